package peer

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRequestWaitsForTheRowOfItsContainer(t *testing.T) {
	table := NewTable(testNamespace())
	p := newPeers(t, Config{Table: table, RowWait: time.Minute})
	l, path := listen(t, p, Scope{Name: "workload"})
	c, in := startModule(t, table, "tempSensor", nil)
	table.Remove(in.ContainerID)
	c.do("dial", path)
	conn := accept(t, l)
	answer := make(chan Caller)
	looked := watch(p)
	go func() {
		caller, err := conn.Caller(context.Background())
		if err != nil {
			t.Error(err)
		}
		answer <- caller
	}()
	<-looked // it has looked, and found no row
	require.NoError(t, table.Add(&Instance{Module: "else", ContainerID: "else-1", Paths: []string{"/" + testNamespace() + "/else-1"}}))
	<-looked // again, for the table has changed
	again := *in
	require.NoError(t, table.Add(&again))
	require.Same(t, &again, (<-answer).Instance)
}

// watch says when the cgroup of a peer is read.
func watch(p *Peers) <-chan struct{} {
	looked := make(chan struct{}, 16)
	real := p.kernel.sys.openat
	p.kernel.sys.openat = func(dirfd int, name string, flags int) (int, error) {
		if strings.HasSuffix(name, "/cgroup") {
			looked <- struct{}{}
		}
		return real(dirfd, name, flags)
	}
	return looked
}

func TestWaitForARowEnds(t *testing.T) {
	table := NewTable(testNamespace())
	c, in := startModule(t, table, "tempSensor", nil)
	table.Remove(in.ContainerID)

	t.Run("after its time", func(t *testing.T) {
		p := newPeers(t, Config{Table: table, RowWait: time.Millisecond})
		l, path := listen(t, p, Scope{Name: "workload"})
		c.do("dial", path)
		require.Equal(t, ReasonStale, who(t, accept(t, l)).Reason)
	})
	t.Run("with its request, undecided", func(t *testing.T) {
		p := newPeers(t, Config{Table: table, RowWait: time.Minute})
		l, path := listen(t, p, Scope{Name: "workload"})
		c.do("dial", path)
		conn := accept(t, l)
		ctx, cancel := context.WithCancel(ConnContext(context.Background(), conn))
		cancel()
		_, err := FromContext(ctx)
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, CloseAfter(ctx))
		again := *in
		require.NoError(t, table.Add(&again))
		require.Equal(t, "tempSensor", who(t, conn).Module())
		table.Remove(in.ContainerID)
	})
	t.Run("with its connection", func(t *testing.T) {
		p := newPeers(t, Config{Table: table, RowWait: time.Minute})
		l, path := listen(t, p, Scope{Name: "workload"})
		c.do("dial", path)
		conn := accept(t, l)
		looked := watch(p)
		answer := make(chan Caller)
		go func() {
			caller, _ := conn.Caller(context.Background())
			answer <- caller
		}()
		<-looked
		require.NoError(t, conn.Close(), "closing does not wait")
		require.NoError(t, table.Add(&Instance{Module: "else", ContainerID: "else-1", Paths: []string{"/" + testNamespace() + "/else-1"}}))
		require.Equal(t, ReasonGone, (<-answer).Reason)
	})
	t.Run("not for a cgroup of a user's own", func(t *testing.T) {
		p := newPeers(t, Config{Table: table, RowWait: time.Minute})
		l, path := listen(t, p, Scope{Name: "workload"})
		makeCgroup(t, "/user.slice/"+testNamespace()+"/x")
		other := startChild(t, nil)
		enter(t, "/user.slice/"+testNamespace()+"/x", other.pid())
		other.do("dial", path)
		require.Equal(t, ReasonForeignContainer, who(t, accept(t, l)).Reason)
	})
}
