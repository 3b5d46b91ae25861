package identity

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// A bad client costs its own connection: 10,000 that exit as soon as they are connected leave nothing behind, and the listener goes on.
func TestClientsThatExitAtOnce(t *testing.T) {
	const clients = 10_000
	r := newRig(t)
	r.module(t, "sensor", nil)
	p := r.puppet(t, "sensor")
	answers := func() {
		p.dial(t, "c", device.WorkloadInside)
		require.Equal(t, http.StatusOK, p.ask(t, "c", list).Status)
	}
	answers()
	before := restingDescriptors(t, r.Edged.PID())
	taken := r.taken(t, "workload")
	p.do(t, command{Op: "flood", Path: device.WorkloadInside, N: clients})
	answers()
	// Fewer is as good: what the start left behind goes with the collector, and the test's own idle connections end.
	r.Eventually("every descriptor is back", func() bool { return descriptors(t, r.Edged.PID()) <= before })
	require.GreaterOrEqual(t, r.taken(t, "workload")-taken, clients, "each client was one that the daemon met")
	select {
	case <-r.Edged.Done():
		require.FailNow(t, "the daemon ended")
	default:
	}
	answers()
	require.Equal(t, http.StatusOK, r.Host(http.MethodGet, "/modules?"+device.Version, "").Status)
}

// taken is how many connections a listener's daemon has met, those it closed at once among them.
func (r *rig) taken(t *testing.T, listener string) int {
	t.Helper()
	m := r.metrics(t)
	sum := 0
	for _, name := range []string{
		`edged_peer_connections_total{listener="` + listener + `",proof="` + kernelProof + `"}`,
		`edged_peer_rejected_total{listener="` + listener + `",reason="gone"}`,
		`edged_peer_rejected_total{listener="` + listener + `",reason="limit_uid"}`,
	} {
		if m[name] != "" {
			n, err := strconv.Atoi(m[name])
			require.NoError(t, err)
			sum += n
		}
	}
	return sum
}
