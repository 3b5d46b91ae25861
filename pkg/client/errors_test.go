package client_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client"
)

func TestAStatusHasItsClassAndEdgedsMessage(t *testing.T) {
	for status, is := range map[int]func(error) bool{
		400: errdefs.IsInvalidArgument, 413: errdefs.IsInvalidArgument, 415: errdefs.IsInvalidArgument, 422: errdefs.IsInvalidArgument,
		403: errdefs.IsPermissionDenied, 404: errdefs.IsNotFound, 409: errdefs.IsAlreadyExists, 408: errdefs.IsUnavailable,
		500: errdefs.IsInternal, 501: errdefs.IsNotImplemented, 503: errdefs.IsUnavailable, 507: errdefs.IsResourceExhausted,
	} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"message":"because of this"}`)
		})
		err := c.Start(t.Context(), "m")
		var own *client.Error
		require.ErrorAs(t, err, &own)
		require.Equal(t, client.Error{Status: status, Message: "because of this"}, *own)
		require.True(t, is(err), "%d: %v", status, err)
		require.EqualError(t, err, "because of this")
	}
}

func TestConflictIsBothClasses(t *testing.T) {
	err := &client.Error{Status: http.StatusConflict}
	require.True(t, errdefs.IsConflict(err))
	require.True(t, errdefs.IsAlreadyExists(err))
}

func TestAnErrorWithoutEdgedsShapeIsNamedByItsStatus(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	require.EqualError(t, c.Stop(t.Context(), "m"), "service unavailable")
}

func TestWhatKeepsACallFromEdgedIsSaid(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o666))
	for name, tc := range map[string]struct {
		path, hint string
	}{
		"no socket": {filepath.Join(dir, "none"), "is edged installed and its socket enabled?"},
		"no server": {dead, "nobody listens there"},
		"a file":    {filepath.Join(dir, "file"), "nobody listens there"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := client.New(tc.path)
			require.NoError(t, err)
			_, err = c.List(t.Context())
			var own *client.UnreachableError
			require.ErrorAs(t, err, &own)
			require.Equal(t, tc.path, own.Path)
			require.Contains(t, own.Hint, tc.hint)
			require.True(t, errdefs.IsUnavailable(err))
			require.True(t, strings.HasPrefix(err.Error(), "cannot reach edged at "+tc.path+": "), err.Error())
		})
	}
}

// The mode of a socket binds everybody but root, so the caller is made somebody else.
func TestASocketThatMayNotBeOpenedNamesTheGroup(t *testing.T) {
	require.Zero(t, os.Geteuid(), "this test has to run as root")
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, os.Chmod(path, 0o600))
	c, err := client.New(path)
	require.NoError(t, err)
	err = asNobody(t, func() error {
		_, err := c.List(context.Background())
		return err
	})
	require.True(t, errdefs.IsPermissionDenied(err), "%v", err)
	require.ErrorContains(t, err, "be root or a member of the group edged")
}

// asNobody runs f while every thread of the process lacks root's rights over files:
// net/http dials in a goroutine of its own.
func asNobody(t *testing.T, f func() error) error {
	t.Helper()
	require.NoError(t, syscall.Setresuid(-1, 65534, -1))
	defer func() { require.NoError(t, syscall.Setresuid(-1, 0, -1)) }()
	return f()
}

func TestAServerThatHangsIsGivenUpAtTheCallersDeadline(t *testing.T) {
	gone := make(chan struct{})
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(gone)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := c.Get(ctx, "m")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "it did not answer in time")
	<-gone
}

func TestACancelledCallSaysJustThat(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Get(ctx, "m")
	require.EqualError(t, err, "context canceled")
}

func TestABrokenConnectionIsUnavailable(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	err := c.Stop(t.Context(), "m")
	require.True(t, errdefs.IsUnavailable(err))
	require.ErrorContains(t, err, "the connection broke")
}

func TestHostIsAFlagThenTheEnvironmentThenThePackages(t *testing.T) {
	for _, tc := range []struct{ flag, env, want string }{
		{"", "", "unix:///run/edged/mgmt.sock"},
		{"", "/a/b", "unix:///a/b"},
		{"", "unix:///a/b", "unix:///a/b"},
		{"/c", "/a/b", "unix:///c"},
	} {
		t.Setenv("EDGED_HOST", tc.env)
		c, err := client.New(tc.flag)
		require.NoError(t, err)
		require.Equal(t, tc.want, c.Host())
	}
}

func TestAHostThatIsNoSocketIsRefused(t *testing.T) {
	for _, host := range []string{"tcp://1.2.3.4:5", "mgmt.sock", "unix://mgmt.sock", "unix:/a", "http://x", "/" + strings.Repeat("x", 107)} {
		t.Setenv("EDGED_HOST", "")
		_, err := client.New(host)
		require.True(t, errdefs.IsInvalidArgument(err), host)
		t.Setenv("EDGED_HOST", host)
		_, err = client.New("")
		require.ErrorContains(t, err, "from EDGED_HOST", host)
	}
}
