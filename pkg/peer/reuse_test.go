package peer

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A client of a container connects, exits, and its pid goes to a process of the host, all while the connection waits in the backlog, as it does while systemd
// starts edged. Who believes the number takes the container for host root.
func TestPIDReuseInBacklog(t *testing.T) {
	table := NewTable(testNamespace())
	pidfd := newPeers(t, Config{Table: table, RequirePIDFD: true})
	weak := newPeers(t, Config{Table: table, ForcePIDProof: true})
	strongL, strongPath := listen(t, pidfd, Scope{Name: "management"})
	weakL, weakPath := listen(t, weak, Scope{Name: "management"})
	drainL, drainPath := socket(t)
	for range 20 {
		attacker, in := startModule(t, table, "attacker", nil)
		for _, path := range []string{strongPath, weakPath, drainPath} {
			attacker.do("dial", path)
		}
		attacker.reap()
		table.Remove(in.ContainerID)
		host := startChild(t, nil)
		if host.do("forkas", attacker.pid()) == "taken" { // others on the machine make processes too
			_ = accept(t, weakL).Close() // the queue is for the next attempt; strongL refuses by itself
			_, err := weak.DrainBacklog(drainL)
			require.NoError(t, err)
			continue
		}

		fooled := who(t, accept(t, weakL))
		require.Equal(t, Host, fooled.Kind, "the attack must work on the number alone, else this test shows nothing: %s", fooled)
		require.Equal(t, attacker.pid(), fooled.PID)

		// The pidfd resolver turns the same connection away, and lets through the next one.
		host.do("dial", strongPath)
		caller := who(t, accept(t, strongL))
		require.Equal(t, Host, caller.Kind)
		require.Equal(t, host.pid(), caller.PID)
		gone := pidfd.Stats().Rejects
		require.Len(t, gone, 1)
		require.Equal(t, ReasonGone, gone[0].Reason)

		// Where there is no pidfd, what waited is closed before edged is ready.
		n, err := weak.DrainBacklog(drainL)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		return
	}
	require.FailNow(t, "the pid was never free: the machine makes too many processes")
}
