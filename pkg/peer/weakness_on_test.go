//go:build weakened

package peer

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Each defence that is left out lets one attack through that the defence stops. What stops it is in the tests of the same attacks without a weakness.
func TestEachWeaknessLetsItsAttackThrough(t *testing.T) {
	weak := func(t *testing.T, table *Table, w Weakness, s Scope) (path string, take func() *Conn) {
		cfg := Config{Table: table, RowWait: -1}
		cfg.Weakness = w
		p := newPeers(t, cfg)
		l, path := listen(t, p, s)
		return path, func() *Conn { return accept(t, l) }
	}
	t.Run("suffix match: a subgroup named like the victim", func(t *testing.T) {
		table := NewTable(testNamespace())
		_, victim := startModule(t, table, "victim", nil)
		c, in := startModule(t, table, "attacker", nil)
		makeCgroup(t, in.Paths[0]+victim.Paths[0])
		enter(t, in.Paths[0]+victim.Paths[0], c.pid())
		for w, want := range map[Weakness]string{0: "attacker", SuffixMatch: "victim"} {
			path, take := weak(t, table, w, Scope{Name: "workload"})
			c.do("dial", path)
			require.Equal(t, want, who(t, take()).Module())
		}
	})
	t.Run("no liveness: a client that is gone", func(t *testing.T) {
		for w, want := range map[Weakness]Kind{0: Unknown, NoLiveness: Host} {
			path, take := weak(t, NewTable(testNamespace()), w, Scope{Name: "workload"})
			c := startChild(t, nil)
			c.do("dial", path)
			conn := take()
			require.Equal(t, Host, who(t, conn).Kind)
			c.reap()
			require.Equal(t, want, who(t, conn).Kind)
		}
	})
	t.Run("no listener factor: another module's socket", func(t *testing.T) {
		table := NewTable(testNamespace())
		c, _ := startModule(t, table, "attacker", nil)
		for w, want := range map[Weakness]string{0: "", NoListenerFactor: "attacker"} {
			path, take := weak(t, table, w, Scope{Name: "workload", Module: "victim"})
			c.do("dial", path)
			require.Equal(t, want, who(t, take()).Module())
		}
	})
	t.Run("no network namespace: a nested container", func(t *testing.T) {
		table := NewTable(testNamespace())
		_, in := startModule(t, table, "victim", &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET})
		nested := startChild(t, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET})
		enter(t, in.Paths[0], nested.pid())
		for w, want := range map[Weakness]string{0: "", NoNetNS: "victim"} {
			path, take := weak(t, table, w, Scope{Name: "workload"})
			nested.do("dial", path)
			require.Equal(t, want, who(t, take()).Module())
		}
	})
	t.Run("pid only: a process that changed its uid", func(t *testing.T) {
		path, take := weak(t, NewTable(testNamespace()), PIDOnly, Scope{Name: "workload"})
		c := startChild(t, nil)
		c.do("dial", path)
		c.do("setuid", 65534)
		caller := who(t, take())
		require.Equal(t, Host, caller.Kind)
		require.Equal(t, ProofPID, caller.Proof)
	})
}
