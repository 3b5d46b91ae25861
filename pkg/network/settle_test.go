package network

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWhatNoGenerationWantsIsGivenBack: a static address and a chosen port came free only with the module.
func TestWhatNoGenerationWantsIsGivenBack(t *testing.T) {
	given, static := netip.MustParseAddr("172.30.0.2"), netip.MustParseAddr("172.30.0.9")
	rec := member("a", given.String())
	older, newer := rec.Plan, rec.Plan
	older.Endpoints = []Endpoint{{Network: DefaultNetwork, IPv4: static}}
	older.Ports = []Port{{Proto: "tcp", HostIP: local, Port: 80}}
	newer.Ports = []Port{{Proto: "tcp", HostIP: local, Port: 81}}
	m, _, _ := running(t, rec, member("b", "172.30.0.3"))
	store := &slowStore{begun: make(chan struct{}), saved: make(chan *Record, 10)}
	m.Store, m.locks = store, map[string]*keyLock{}
	in := Instance{Module: "a", Key: "a"}
	require.NoError(t, m.enrol(t.Context(), in, &older, true))
	require.NoError(t, m.enrol(t.Context(), in, &newer, false))
	require.Len(t, m.records["a"].Leases, 2)
	require.Len(t, m.records["a"].Ports, 2)
	settle := func(left ...Plan) {
		require.NoError(t, m.Settle(t.Context(), "a", func(module string) ([]Plan, error) {
			require.Equal(t, "a", module)
			return left, nil
		}))
	}
	settle(older, newer)
	settle()
	require.Len(t, m.records["a"].Ports, 2, "an update that fails goes back to them")
	require.Equal(t, static, m.records["a"].Plan.Endpoints[0].IPv4)
	settle(newer)
	require.Equal(t, []Lease{{Network: DefaultNetwork, Addr: given}}, m.records["a"].Leases, "an address that edged gave stays")
	require.Len(t, m.records["a"].Ports, 1)
	require.Equal(t, newer.Ports[0], m.records["a"].Ports[0].Port)
	require.True(t, samePlan(&newer, &m.records["a"].Plan), "also of a module that was not started")
	require.NoError(t, m.enrol(t.Context(), Instance{Module: "b", Key: "b"}, &older, false), "another module may have it")
	for len(store.saved) > 1 {
		if r := <-store.saved; len(store.saved) == 1 {
			require.Len(t, r.Leases, 1, "it is written down")
		}
	}
	require.NoError(t, m.Settle(t.Context(), "gone", nil))
}
