package identity

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// Where the kernel gives no pidfd of a peer, modules are known on their own sockets alone, and what the proof is worth can be seen.
func TestFallbackWithoutPIDFD(t *testing.T) {
	r := newRig(t)
	r.module(t, "sensor", func(host map[string]any) { host["NetworkMode"] = "host" })
	r.module(t, "meter", nil)
	for _, tc := range []struct {
		weaknesses, proof string
		own, shared       bool
	}{
		{real, kernelProof, true, kernelProof == byPIDFD},
		{"ForcePIDProof", "pid", true, false},
		{"PIDOnly", "pid", true, true},
	} {
		name := tc.weaknesses
		if name == real {
			name = onKernel("not needed", "all that the kernel has")
		}
		t.Run(name, func(t *testing.T) {
			before := len(r.EdgedLog())
			r.daemon(t, tc.weaknesses)
			for _, kind := range []string{"pid", "pidfd"} {
				expected := map[bool]string{true: "1", false: "0"}[kind == tc.proof]
				require.Equal(t, expected, r.metrics(t)[`edged_peer_proof{kind="`+kind+`"}`], kind)
			}
			r.Eventually("edged says so", func() bool {
				said := r.EdgedLog()[before:]
				return strings.Contains(said, "callers are proven by "+tc.proof+`"`) && strings.Contains(said, "this kernel has no SO_PEERPIDFD") == (tc.proof == byPID)
			})
			for _, module := range []string{"sensor", "meter"} {
				p := r.puppet(t, module)
				for _, s := range []struct {
					path  string
					known bool
				}{
					{device.ManagementInside, tc.own},
					{device.WorkloadInside, tc.own},
					{r.share(t, module, r.Management()), tc.shared},
					{r.share(t, module, r.Workload()), tc.shared},
				} {
					p.dial(t, "c", s.path)
					expected := map[bool]int{true: http.StatusOK, false: http.StatusForbidden}[s.known]
					require.Equal(t, expected, p.ask(t, "c", list).Status, "%s on %s", module, s.path)
				}
			}
			if !tc.shared {
				require.Equal(t, "2", r.rejected(t, "management", "listener_mismatch"))
				require.Equal(t, "2", r.rejected(t, "workload", "listener_mismatch"))
			}
		})
	}
}
