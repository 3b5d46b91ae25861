package identity

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// A process of a module asks for what edgeAgent alone may have, leaves the connection to an accomplice and exits. Its process id goes to a process of
// edgeAgent's, all while the connection waits in the backlog, as it does while edged starts.
func TestPIDReuseInTheBacklog(t *testing.T) {
	r := newRig(t)
	r.module(t, "attacker", nil)
	victim, accomplice := r.puppet(t, "edgeAgent"), r.puppet(t, "attacker")
	accomplice.do(t, command{Op: "listen", Conn: "l", Path: "/probe/pass.sock"})
	for _, tc := range []struct{ weaknesses, reason string }{
		{real, onKernel("gone", "listener_mismatch")},
		{"ForcePIDProof", "listener_mismatch"}, // the fallback knows modules on their own sockets alone
		{"PIDOnly", "netns_mismatch"},
		{"PIDOnly,NoNetNS", ""},
	} {
		t.Run(against(tc.weaknesses), func(t *testing.T) {
			r.reuse(t, tc.weaknesses, victim, accomplice)
			answer := accomplice.try(t, command{Op: "answer", Conn: "c"})
			switch {
			case tc.weaknesses == real && kernelProof == byPIDFD:
				require.NotEmpty(t, answer.Error, "the connection is closed when it is accepted, without an answer: %+v", answer)
			case tc.reason != "":
				require.Equal(t, http.StatusForbidden, answer.Status, "%+v", answer)
				require.True(t, answer.Closed)
			default:
				require.Equal(t, http.StatusCreated, answer.Status, "%+v", answer)
				require.Equal(t, "edgeAgent", r.audited(t).CallerModule)
			}
			if tc.reason != "" {
				require.Equal(t, "1", r.rejected(t, "management", tc.reason))
			}
			require.Equal(t, tc.reason == "", r.exists("planted"))
		})
	}
}

// reuse tries until the victim has the process id: others on the machine take ids too, and what one of them got is no proof of anything.
func (r *rig) reuse(t *testing.T, weaknesses string, victim, accomplice *puppet) {
	t.Helper()
	for range 5 {
		r.daemon(t, weaknesses)
		attacker := r.puppet(t, "attacker")
		socket := r.share(t, "attacker", r.Management())
		freeze(t, r.Edged.PID())
		attacker.dial(t, "c", socket)
		attacker.do(t, command{Op: "send", Conn: "c", Text: r.planted("planted")})
		attacker.do(t, command{Op: "pass", Conn: "c", Path: "/probe/pass.sock"})
		accomplice.do(t, command{Op: "receive", Conn: "l", Text: "c"})
		attacker.exit(t)
		done := recycle(t, victim, attacker.pid)
		thaw(t, r.Edged.PID())
		if done {
			return
		}
	}
	require.FailNow(t, "the process id never came back: the machine makes too many processes")
}
