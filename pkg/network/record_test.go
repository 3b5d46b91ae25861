package network

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// slowStore is a database whose first write takes until it is let go.
type slowStore struct {
	memory
	begun, finish chan struct{}
	saved         chan *Record
}

func (s *slowStore) SaveNetwork(_ context.Context, r *Record) error {
	select {
	case s.begun <- struct{}{}:
		<-s.finish
	default:
	}
	s.saved <- r
	return nil
}

// TestTheLastOfTwoSavesIsTheNewer: a create saves while the interfaces are made beside it.
func TestTheLastOfTwoSavesIsTheNewer(t *testing.T) {
	store := &slowStore{begun: make(chan struct{}, 1), finish: make(chan struct{}), saved: make(chan *Record, 2)}
	m, _, _ := running(t, member("a", "172.30.0.2"))
	m.Store, m.locks = store, map[string]*keyLock{}
	given := netip.MustParsePrefix("10.77.0.5/24")
	done := make(chan error, 2)
	go func() {
		done <- m.learn(t.Context(), "a", &state{Attached: []attachment{{Network: "plant", Addrs: []netip.Prefix{given}}}})
	}()
	<-store.begun
	store.begun <- struct{}{} // the next one is not held back
	plan := m.records["a"].Plan
	plan.Ports = []Port{{Proto: "tcp", HostIP: local, Port: 80}}
	go func() { done <- m.enrol(t.Context(), Instance{Module: "a", Key: "a"}, &plan, false) }()
	require.Eventually(t, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		l := m.locks["record/a"]
		return len(done) > 0 || l != nil && l.used == 2
	}, 20*time.Second, time.Millisecond)
	close(store.finish)
	require.NoError(t, <-done)
	require.NoError(t, <-done)
	<-store.saved
	last := <-store.saved
	require.Len(t, last.Leases, 2)
	require.Len(t, last.Ports, 1, "an older record was written over a newer one")
}
