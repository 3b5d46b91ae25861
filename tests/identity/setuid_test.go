package identity

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// A process that gives its uid up after it connected is who connected. Where only the process id is known, that could as well be another process.
func TestSetuidAfterConnect(t *testing.T) {
	r := newRig(t)
	r.module(t, "sensor", nil)
	for _, tc := range []struct {
		name, weaknesses string
		status           int
	}{
		{onKernel("is who connected", "is refused"), real, onKernel(http.StatusNoContent, http.StatusForbidden)},
		{"is refused by the fallback", "ForcePIDProof", http.StatusForbidden},
		{"against PIDOnly", "PIDOnly", http.StatusNoContent},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r.daemon(t, tc.weaknesses)
			p := r.puppet(t, "sensor")
			p.dial(t, "c", device.ManagementInside)
			p.do(t, command{Op: "setuid", N: 65534})
			require.Equal(t, tc.status, p.ask(t, "c", harmless).Status)
			e := r.audited(t)
			if tc.status == http.StatusForbidden {
				require.Equal(t, "creds_mismatch", e.Reason)
				return
			}
			require.Equal(t, "sensor", e.CallerModule)
			require.Equal(t, "0", e.CallerUID, "as it was at connect")
		})
	}
}
