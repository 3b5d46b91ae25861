package identity

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// Who runs while edged is started anew is known from its first answer on: the callers here wait for the sockets, and are the first who come.
func TestModulesAreKnownAtOnceAfterARestart(t *testing.T) {
	r := newRig(t)
	r.module(t, "sensor", nil)
	agent, sensor := r.puppet(t, "edgeAgent"), r.puppet(t, "sensor")
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			for i := range 5 {
				r.Edged.Signal(sig)
				planted := fmt.Sprintf("planted-%d-%d", sig, i)
				agent.order(t, device.ManagementInside, r.planted(planted))
				sensor.order(t, device.WorkloadInside, list)
				r.StartEdged()
				require.Equal(t, http.StatusCreated, agent.delivery(t, device.ManagementInside, r.planted(planted)).Status)
				require.Equal(t, http.StatusOK, sensor.delivery(t, device.WorkloadInside, list).Status)
				require.True(t, r.exists(planted))
				for name := range r.metrics(t) {
					require.NotContains(t, name, "edged_peer_rejected_total")
				}
			}
		})
	}
}

// order makes the puppet ask as soon as somebody listens; delivery is the answer.
func (p *puppet) order(t *testing.T, socket, request string) {
	t.Helper()
	for _, c := range []command{{Op: "dialfirst", Conn: "c", Path: socket}, {Op: "send", Conn: "c", Text: request}, {Op: "answer", Conn: "c"}} {
		require.NoError(t, p.out.Encode(c))
	}
}

// The fallback closes what came before it was ready, once and without an answer, so that there the puppet asks again.
func (p *puppet) delivery(t *testing.T, socket, request string) (last result) {
	t.Helper()
	closed := false
	for range 3 {
		last = result{}
		require.NoError(t, p.in.Decode(&last))
		closed = closed || last.Error != ""
	}
	if closed {
		require.Equal(t, byPID, kernelProof, last.Error)
		p.dial(t, "c", socket)
		last = p.ask(t, "c", request)
	}
	return last
}
