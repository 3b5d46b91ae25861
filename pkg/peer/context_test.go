package peer

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// wrapper is what a layer between this package and http.Server looks like.
type wrapper struct{ net.Conn }

func (w wrapper) NetConn() net.Conn { return w.Conn }

func TestConnContextFindsTheConnectionBelowWrappers(t *testing.T) {
	p := newPeers(t, Config{})
	l, path := listen(t, p, Scope{Name: "workload"})
	c := startChild(t, nil)
	c.do("dial", path)
	conn := accept(t, l)
	for _, wrapped := range []net.Conn{conn, wrapper{conn}, wrapper{wrapper{conn}}} {
		caller, err := FromContext(ConnContext(context.Background(), wrapped))
		require.NoError(t, err)
		require.Equal(t, Host, caller.Kind)
	}
}

func TestWithoutAConnectionThereIsNoCaller(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close() //nolint:errcheck // a test
	defer b.Close() //nolint:errcheck // a test
	endless := &loopWrapper{}
	endless.Conn = endless
	for _, ctx := range []context.Context{
		context.Background(),
		ConnContext(context.Background(), a),
		ConnContext(context.Background(), wrapper{a}),
		ConnContext(context.Background(), endless),
	} {
		caller, err := FromContext(ctx)
		require.True(t, errdefs.IsInternal(err), err)
		require.Zero(t, caller)
		require.Equal(t, Unknown, caller.Kind)
		require.False(t, CloseAfter(ctx))
	}
}

type loopWrapper struct{ net.Conn }

func (w *loopWrapper) NetConn() net.Conn { return w.Conn }

func TestNewContextHoldsTheCallerGiven(t *testing.T) {
	want := Caller{Kind: Module, Instance: &Instance{Module: "tempSensor"}, UID: 7}
	ctx := NewContext(context.Background(), want)
	caller, err := FromContext(ctx)
	require.NoError(t, err)
	require.Equal(t, want, caller)
	require.False(t, CloseAfter(ctx))
}

func TestCallerDescribesItselfForLogs(t *testing.T) {
	in := &Instance{Module: "a\nb", Generation: 3, ContainerID: "a-3"}
	for _, tc := range []struct {
		caller       Caller
		kind, module string
		text         string
	}{
		{
			Caller{Kind: Module, Instance: in, PID: 12, Proof: ProofPIDFD, Listener: "workload"},
			"module", "a\nb",
			`module "a\nb" generation 3 container "a-3" pid 12 uid 0 proof pidfd listener workload`,
		},
		{
			Caller{Kind: Host, PID: 12, UID: 5, GID: 6, Proof: ProofPID, Listener: "management"},
			"host", "",
			"host uid 5 gid 6 pid 12 proof pid listener management",
		},
		{Caller{Reason: ReasonGone, Instance: in}, "unknown", "", "unknown (gone) pid 0 uid 0 proof  listener "},
	} {
		require.Equal(t, tc.kind, tc.caller.Kind.String())
		require.Equal(t, tc.module, tc.caller.Module())
		require.Equal(t, tc.text, tc.caller.String())
	}
}

// serve runs an HTTP server as edged does.
func serve(t *testing.T, l net.Listener) {
	t.Helper()
	server := &http.Server{ConnContext: ConnContext, Handler: whoHandler(), ReadHeaderTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
}

// request makes a child ask, on the connection it has, and returns what comes back.
func request(c *child) string {
	c.t.Helper()
	c.do("get")
	return c.do("read")
}

func TestRemovedInstanceIsRefusedOnceAndMayComeBack(t *testing.T) {
	table := NewTable(testNamespace())
	p := newPeers(t, Config{Table: table, RowWait: -1})
	l, path := listen(t, p, Scope{Name: "workload"})
	serve(t, l)
	c, in := startModule(t, table, "tempSensor", nil)
	c.do("dial", path)
	require.Contains(t, request(c), "200 OK")
	require.Contains(t, request(c), "module tempSensor @")

	table.Remove(in.ContainerID)
	answer := request(c)
	require.Contains(t, answer, "403 Forbidden")
	require.Contains(t, answer, "Connection: close")
	require.Contains(t, answer, ReasonStale)
	require.Equal(t, `""`, c.do("read"), "the connection is closed")

	again := *in
	require.NoError(t, table.Add(&again))
	c.do("dial", path)
	require.Contains(t, request(c), "200 OK")
}

func TestAnotherInstanceOfTheSameModuleDoesNotInheritConnections(t *testing.T) {
	table := NewTable(testNamespace())
	p := newPeers(t, Config{Table: table})
	l, path := listen(t, p, Scope{Name: "workload"})
	c, in := startModule(t, table, "tempSensor", nil)
	c.do("dial", path)
	conn := accept(t, l)
	require.Same(t, in, who(t, conn).Instance)
	table.Remove(in.ContainerID)
	same := *in
	require.NoError(t, table.Add(&same))
	require.Equal(t, ReasonStale, who(t, conn).Reason)
	c.do("dial", path)
	require.Same(t, &same, who(t, accept(t, l)).Instance)
}

func TestShortageOfEdgedsOwnDecidesNothing(t *testing.T) {
	p := newPeers(t, Config{})
	l, path := listen(t, p, Scope{Name: "workload"})
	c := startChild(t, nil)
	c.do("dial", path)
	conn := accept(t, l)
	ctx := ConnContext(context.Background(), conn)
	good := p.kernel.sys
	fails := func() {
		t.Helper()
		caller, err := FromContext(ctx)
		require.True(t, errdefs.IsUnavailable(err), err)
		require.Zero(t, caller)
		require.False(t, CloseAfter(ctx))
		p.kernel.sys = good
		caller, err = FromContext(ctx)
		require.NoError(t, err)
		require.Equal(t, Host, caller.Kind)
	}
	p.kernel.sys.openat = func(int, string, int) (int, error) { return -1, unix.EMFILE }
	fails()
	p.kernel.sys.exited = func(int) (bool, error) { return false, unix.ENOMEM }
	fails()
	require.Empty(t, p.Stats().Rejects)
}

func TestDescriptorsAreReleasedAsSoonAsTheyCanBe(t *testing.T) {
	p := newPeers(t, Config{})
	l, path := listen(t, p, Scope{Name: "workload"})
	c := startChild(t, nil)
	before := descriptors(t)
	c.do("dial", path)
	conn := accept(t, l)
	require.Equal(t, before+2, descriptors(t), "the socket and the pidfd")
	who(t, conn)
	require.Equal(t, before+2, descriptors(t))
	require.NoError(t, conn.Close())
	require.Error(t, conn.Close())
	require.Equal(t, before, descriptors(t))
	caller, err := conn.Caller(context.Background())
	require.NoError(t, err)
	require.Equal(t, ReasonGone, caller.Reason)
}

func TestWeakProofHoldsTheProcDirectoryOnlyUntilTheCallerIsKnown(t *testing.T) {
	p := newPeers(t, Config{ForcePIDProof: true})
	l, path := listen(t, p, Scope{Name: "workload"})
	c := startChild(t, nil)
	before := descriptors(t)
	c.do("dial", path)
	conn := accept(t, l)
	require.Equal(t, before+3, descriptors(t), "the socket, the pidfd and /proc/<pid>")
	who(t, conn)
	require.Equal(t, before+2, descriptors(t))
	require.NoError(t, conn.Close())
	require.Equal(t, before, descriptors(t))
}

func TestConnectionsAreJudgedWhileTheyAreClosed(t *testing.T) {
	p := newPeers(t, Config{})
	l, path := listen(t, p, Scope{Name: "workload"})
	before := descriptors(t)
	for range 50 {
		client, err := net.Dial("unix", path)
		require.NoError(t, err)
		conn := accept(t, l)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 5 {
				if _, err := conn.Caller(context.Background()); err != nil {
					t.Error(err)
				}
			}
		}()
		require.NoError(t, conn.Close())
		<-done
		require.NoError(t, client.Close())
	}
	require.Equal(t, before, descriptors(t))
}

func TestHTTPServerSeesTheSafeAddress(t *testing.T) {
	p := newPeers(t, Config{})
	l, path := listen(t, p, Scope{Name: "workload"})
	serve(t, l)
	client, err := net.DialUnix("unix", &net.UnixAddr{Net: "unix", Name: "@x;uid=0;"}, &net.UnixAddr{Net: "unix", Name: path})
	require.NoError(t, err)
	defer client.Close() //nolint:errcheck // a test
	_, err = fmt.Fprint(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(client), nil)
	require.NoError(t, err)
	defer res.Body.Close() //nolint:errcheck // a test
	body := make([]byte, 64)
	n, _ := res.Body.Read(body)
	require.Equal(t, "host  @", string(body[:n]))
}
