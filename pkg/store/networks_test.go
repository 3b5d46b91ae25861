package store

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/network"
)

func TestAModulesNetworkGoesWithTheModule(t *testing.T) {
	s := open(t, t.TempDir())
	want := network.Record{
		Module: "Pump", Key: "Pump-1", Plan: network.Plan{Mode: network.ModeNetworks, Hostname: "pump", Endpoints: []network.Endpoint{{Network: "edged", IPv4: netip.MustParseAddr("172.30.0.2")}}},
		Leases: []network.Lease{{Network: "edged", Addr: netip.MustParseAddr("172.30.0.2"), Static: true}},
		Ports:  []network.PortLease{{Port: network.Port{Proto: "tcp", Port: 80}, Host: 40000}},
	}
	require.Error(t, s.SaveNetwork(t.Context(), &want), "there is no such module")
	require.NoError(t, s.SaveModule(t.Context(), record("Pump")))
	require.NoError(t, s.SaveNetwork(t.Context(), &want))
	want.Leases = append(want.Leases, network.Lease{Network: "plant", Addr: netip.MustParseAddr("fd00::1")})
	require.NoError(t, s.SaveNetwork(t.Context(), &want))
	all, err := s.Networks(t.Context())
	require.NoError(t, err)
	require.Equal(t, []network.Record{want}, all)
	require.NoError(t, s.DeleteModule(t.Context(), "Pump"))
	all, err = s.Networks(t.Context())
	require.NoError(t, err)
	require.Empty(t, all)
}

func TestNamesAreTakenInAnyCase(t *testing.T) {
	s := open(t, t.TempDir())
	require.NoError(t, s.SaveModule(t.Context(), record("Pump")))
	for name, want := range map[string]bool{"Pump": true, "pUMP": true, "pum": false, "%": false} {
		taken, err := s.NameTaken(t.Context(), name, "other")
		require.NoError(t, err)
		require.Equal(t, want, taken, name)
	}
	taken, err := s.NameTaken(t.Context(), "pump", "Pump")
	require.NoError(t, err)
	require.False(t, taken, "it is its own")
}
