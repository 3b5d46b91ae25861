package identity

import (
	"bufio"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/listen"
	"github.com/edged/edged/tests/device"
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

// What waited while edged was away is closed without an answer where a process id is all there is: whoever waited may have exited and left it to another. The
// service manager keeps the sockets meanwhile, the shared ones and those of modules. Where the kernel pins who connected, everybody is answered.
func TestWhatWaitedIsClosedWhereAPIDIsTheProof(t *testing.T) {
	r := newRig(t)
	r.module(t, "sensor", nil)
	sensor := r.puppet(t, "sensor")
	folder := listen.NewModuleSockets(r.Run).Dir("sensor")
	r.Edged.Signal(syscall.SIGTERM)
	for path, name := range map[string]string{
		r.Management(): listen.ManagementSocket, r.Workload(): listen.WorkloadSocket,
		filepath.Join(folder, "mgmt.sock"): listen.FDName("sensor"), filepath.Join(folder, "workload.sock"): listen.FDName("sensor"),
	} {
		r.Keep(name, path)
	}
	for _, weaknesses := range []string{"ForcePIDProof", real} {
		t.Run(onProof(weaknesses), func(t *testing.T) {
			r.Edged.Signal(syscall.SIGTERM)
			shared := map[string]net.Conn{}
			for _, path := range []string{r.Management(), r.Workload()} {
				c, err := net.Dial("unix", path)
				require.NoError(t, err)
				defer c.Close()
				_, err = c.Write([]byte(list))
				require.NoError(t, err)
				shared[path] = c
			}
			own := []string{device.ManagementInside, device.WorkloadInside}
			for _, path := range own {
				sensor.dial(t, path, path)
				sensor.do(t, command{Op: "send", Conn: path, Text: list})
			}
			r.daemon(t, weaknesses)
			answered := onProof(weaknesses) == byPIDFD
			for path, c := range shared {
				require.NoError(t, c.SetDeadline(time.Now().Add(device.Patience(t))))
				answer, err := http.ReadResponse(bufio.NewReader(c), nil)
				require.Equal(t, answered, err == nil, "%s: %v", path, err)
				if answered {
					require.Equal(t, http.StatusOK, answer.StatusCode, path)
					require.NoError(t, answer.Body.Close())
				}
			}
			for _, path := range own {
				answer := sensor.try(t, command{Op: "answer", Conn: path})
				require.Equal(t, answered, answer.Error == "", "%s: %+v", path, answer)
				sensor.dial(t, path, path)
				require.Equal(t, http.StatusOK, sensor.ask(t, path, list).Status, "who comes later is answered")
			}
			for name := range r.metrics(t) {
				require.NotContains(t, name, "edged_peer_rejected_total", "nobody was refused")
			}
		})
	}
}

// onProof is the proof that a daemon has on this kernel.
func onProof(weaknesses string) string {
	if weaknesses == real {
		return kernelProof
	}
	return byPID
}
