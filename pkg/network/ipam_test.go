package network

import (
	"net/netip"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestAddressesAreGivenInTurnAndUntilThereIsNone(t *testing.T) {
	for subnet, want := range map[string][]string{
		"172.30.0.0/29": {"172.30.0.2", "172.30.0.3", "172.30.0.4", "172.30.0.5", "172.30.0.6"},
		"10.0.0.4/30":   {"10.0.0.6"},
		"fd00::/125":    {"fd00::2", "fd00::3", "fd00::4", "fd00::5", "fd00::6", "fd00::7"},
	} {
		p := pool{subnet: netip.MustParsePrefix(subnet)}
		taken := map[netip.Addr]bool{}
		for _, a := range want {
			got, err := p.next(func(a netip.Addr) bool { return taken[a] })
			require.NoError(t, err, subnet)
			require.Equal(t, netip.MustParseAddr(a), got, subnet)
			taken[got] = true
		}
		_, err := p.next(func(a netip.Addr) bool { return taken[a] })
		require.True(t, errdefs.IsResourceExhausted(err), "%s: %v", subnet, err)
		first := netip.MustParseAddr(want[0])
		delete(taken, first)
		got, err := p.next(func(a netip.Addr) bool { return taken[a] })
		require.NoError(t, err)
		require.Equal(t, first, got, "what was given back comes again, last")
	}
}

func TestWhatIsNobodysAddressIsNotUsable(t *testing.T) {
	p := pool{subnet: netip.MustParsePrefix("172.30.0.0/16")}
	for a, want := range map[string]bool{
		"172.30.0.0": false, "172.30.0.1": false, "172.30.0.2": true, "172.30.255.254": true, "172.30.255.255": false, "172.31.0.2": false, "fd00::1": false,
	} {
		require.Equal(t, want, p.usable(netip.MustParseAddr(a)), a)
	}
}

func TestLeasesAreOfOneWish(t *testing.T) {
	given, static := netip.MustParseAddr("172.30.0.5"), netip.MustParseAddr("172.30.0.9")
	r := Record{Leases: []Lease{{Network: "edged", Addr: static, Static: true}, {Network: "edged", Addr: given}}}
	a, ok := r.lease("edged", netip.Addr{}, false)
	require.True(t, ok)
	require.Equal(t, given, a)
	a, ok = r.lease("edged", static, false)
	require.True(t, ok)
	require.Equal(t, static, a)
	_, ok = r.lease("edged", netip.MustParseAddr("172.30.0.7"), false)
	require.False(t, ok)
	_, ok = r.lease("edged", netip.Addr{}, true)
	require.False(t, ok)
}
