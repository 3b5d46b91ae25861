package identity

import (
	"net/http"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/listen"
	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/tests/device"
)

// A privileged module makes its connection in the network namespace of another, which that one gave it.
func TestConnectionFromAJoinedNetworkNamespace(t *testing.T) {
	r := newRig(t)
	r.module(t, "attacker", privileged)
	r.module(t, "other", func(host map[string]any) {
		host["NetworkMode"] = "host"
		host["Binds"] = append(host["Binds"].([]any), r.ProbeDir("attacker")+":/attacker")
	})
	other, attacker := r.puppet(t, "other"), r.puppet(t, "attacker")
	attacker.do(t, command{Op: "listen", Conn: "l", Path: "/probe/pass.sock"})
	other.do(t, command{Op: "open", Conn: "net", Path: "/proc/self/ns/net"})
	other.do(t, command{Op: "pass", Conn: "net", Path: "/attacker/pass.sock"})
	attacker.do(t, command{Op: "receive", Conn: "l", Text: "net"})
	stranger := r.puppet(t, "attacker")
	stranger.do(t, command{Op: "unshare", N: syscall.CLONE_NEWNET})
	attacker.do(t, command{Op: "setns", Conn: "net", N: syscall.CLONE_NEWNET})
	for _, weaknesses := range []string{real, "NoNetNS"} {
		t.Run(against(weaknesses), func(t *testing.T) {
			r.daemon(t, weaknesses)
			for i, p := range []*puppet{attacker, stranger} {
				p.dial(t, "c", device.ManagementInside)
				a := p.ask(t, "c", harmless)
				if weaknesses != real {
					require.Equal(t, http.StatusNoContent, a.Status)
					require.Equal(t, "attacker", r.audited(t).CallerModule)
					continue
				}
				require.Equal(t, http.StatusForbidden, a.Status)
				require.True(t, a.Closed)
				require.Equal(t, strconv.Itoa(i+1), r.rejected(t, "management", "netns_mismatch"))
			}
		})
	}
}

// A module calls on the socket of another: by way of that one's folder, which it was given a descriptor of, or of a folder of the host above it.
func TestSocketOfAnotherModule(t *testing.T) {
	r := newRig(t)
	for _, source := range []string{filepath.Join(r.Run, "modules"), r.Run} {
		spec := r.spec("thief", func(host map[string]any) { host["Binds"] = []any{source + ":/stolen"} })
		a := r.Agent().Manage(http.MethodPost, "/modules", r.Body(spec))
		require.Equal(t, http.StatusBadRequest, a.Status, a.Body)
	}
	r.module(t, "attacker", func(host map[string]any) {
		host["Binds"] = append(host["Binds"].([]any), r.ProbeDir("edgeAgent")+":/agent", r.Root+":/host")
	})
	attacker, agent := r.puppet(t, "attacker"), r.puppet(t, "edgeAgent")
	attacker.do(t, command{Op: "listen", Conn: "l", Path: "/agent/pass.sock"})
	agent.do(t, command{Op: "open", Conn: "sockets", Path: module.SocketDir, N: unix.O_PATH | unix.O_DIRECTORY})
	agent.do(t, command{Op: "pass", Conn: "sockets", Path: "/probe/pass.sock"})
	attacker.do(t, command{Op: "receive", Conn: "l", Text: "sockets"})
	folder, err := filepath.Rel(r.Root, listen.NewModuleSockets(r.Run).Dir("edgeAgent"))
	require.NoError(t, err)
	for _, weaknesses := range []string{real, "NoListenerFactor"} {
		t.Run(against(weaknesses), func(t *testing.T) {
			r.daemon(t, weaknesses)
			attacker.do(t, command{Op: "dial", Conn: "given", Dir: "sockets", Path: "mgmt.sock"})
			attacker.dial(t, "taken", filepath.Join("/host", folder, "mgmt.sock"))
			for i, conn := range []string{"given", "taken"} {
				a := attacker.ask(t, conn, harmless)
				if weaknesses != real {
					require.Equal(t, http.StatusNoContent, a.Status)
					require.Equal(t, "attacker", r.audited(t).CallerModule)
					continue
				}
				require.Equal(t, http.StatusForbidden, a.Status)
				require.True(t, a.Closed)
				require.Equal(t, "listener_mismatch", r.audited(t).Reason)
				require.Equal(t, strconv.Itoa(i+1), r.rejected(t, "management", "listener_mismatch"))
			}
			// On its own socket the same process is itself.
			attacker.dial(t, "own", device.ManagementInside)
			require.Equal(t, http.StatusNoContent, attacker.ask(t, "own", harmless).Status)
		})
	}
}
