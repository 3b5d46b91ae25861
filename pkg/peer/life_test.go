package peer

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// shared is a listener on the machine's real kernel, with modules in the table.
func shared(t *testing.T, cfg Config) (p *Peers, dialPath string, take func() *Conn) {
	t.Helper()
	p = newPeers(t, cfg)
	if !cfg.ForcePIDProof {
		require.Equal(t, ProofPIDFD, p.Proof(), "these tests are about SO_PEERPIDFD (Linux 6.5)")
	}
	l, path := listen(t, p, Scope{Name: "workload"})
	return p, path, func() *Conn { return accept(t, l) }
}

func TestHostProcessIsAHostUser(t *testing.T) {
	_, path, take := shared(t, Config{})
	c := startChild(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1234, Gid: 5678, Groups: []uint32{10, 20}}})
	c.do("dial", path)
	caller := who(t, take())
	require.Equal(t, Caller{
		Kind: Host, PID: c.pid(), UID: 1234, GID: 5678, Groups: []uint32{10, 20}, Proof: ProofPIDFD, Listener: "workload",
	}, caller)
}

func TestManyGroupsAreAllThere(t *testing.T) {
	groups := make([]uint32, 1000)
	for i := range groups {
		groups[i] = uint32(i + 1)
	}
	_, path, take := shared(t, Config{})
	c := startChild(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Groups: groups}})
	c.do("dial", path)
	require.Equal(t, groups, who(t, take()).Groups)
}

func TestModuleProcessIsTheModuleWhateverItsUID(t *testing.T) {
	table := NewTable(testNamespace())
	_, path, take := shared(t, Config{Table: table})
	c, in := startModule(t, table, "tempSensor", &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET})
	c.do("dial", path)
	caller := who(t, take())
	require.Equal(t, Caller{Kind: Module, Instance: in, PID: c.pid(), Proof: ProofPIDFD, Listener: "workload"}, caller)
	require.Equal(t, "tempSensor", caller.Module())
}

func TestSubgroupNamedLikeAnotherModuleIsStillTheOuterOne(t *testing.T) {
	table := NewTable(testNamespace())
	_, path, take := shared(t, Config{Table: table})
	_, victim := startModule(t, table, "victim", nil)
	c, in := startModule(t, table, "attacker", nil)
	makeCgroup(t, in.Paths[0]+victim.Paths[0])
	enter(t, in.Paths[0]+victim.Paths[0], c.pid())
	c.do("dial", path)
	require.Equal(t, "attacker", who(t, take()).Module())
}

func TestForeignCgroupIsNobodyAlsoAsRoot(t *testing.T) {
	table := NewTable(testNamespace())
	_, path, take := shared(t, Config{Table: table})
	c := startChild(t, nil)
	makeCgroup(t, "/docker/"+testNamespace())
	enter(t, "/docker/"+testNamespace(), c.pid())
	c.do("dial", path)
	require.Equal(t, ReasonForeignContainer, who(t, take()).Reason)
}

func TestProcessInNamespacesOfItsOwnIsNobody(t *testing.T) {
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 65536}}
	root := &syscall.Credential{NoSetGroups: true}
	for name, attr := range map[string]*syscall.SysProcAttr{
		"user, pid and net": {Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET, UidMappings: ids, GidMappings: ids, Credential: root},
		"user":              {Cloneflags: unix.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids, Credential: root},
		"pid":               {Cloneflags: unix.CLONE_NEWPID},
		"cgroup":            {Cloneflags: unix.CLONE_NEWCGROUP},
	} {
		t.Run(name, func(t *testing.T) {
			_, path, take := shared(t, Config{})
			c := startChild(t, attr)
			c.do("dial", path)
			caller := who(t, take())
			require.Equal(t, ReasonForeignContainer, caller.Reason)
			require.Equal(t, c.pid(), caller.PID, "as this pid namespace numbers it")
			if attr.UidMappings != nil {
				require.Equal(t, uint32(100000), caller.UID, "not the 0 that it is inside")
			}
		})
	}
}

func TestModuleThatConnectsFromAnotherNetworkNamespaceIsNobody(t *testing.T) {
	table := NewTable(testNamespace())
	_, path, take := shared(t, Config{Table: table})
	_, in := startModule(t, table, "tempSensor", &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET})
	nested := startChild(t, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET})
	enter(t, in.Paths[0], nested.pid())
	nested.do("dial", path)
	require.Equal(t, ReasonNetNSMismatch, who(t, take()).Reason)
}

func TestModuleListenerIsForItsModuleAlone(t *testing.T) {
	for _, force := range []bool{false, true} {
		t.Run("forced pid proof "+strconv.FormatBool(force), func(t *testing.T) {
			table := NewTable(testNamespace())
			p := newPeers(t, Config{Table: table, ForcePIDProof: force})
			l, path := listen(t, p, Scope{Name: "workload", Module: "tempSensor"})
			c, _ := startModule(t, table, "tempSensor", nil)
			c.do("dial", path)
			caller := who(t, accept(t, l))
			require.Equal(t, "tempSensor", caller.Module())
			require.Equal(t, p.Proof(), caller.Proof)

			c, _ = startModule(t, table, "other", nil)
			c.do("dial", path)
			require.Equal(t, ReasonListenerMismatch, who(t, accept(t, l)).Reason)

			c = startChild(t, nil)
			c.do("dial", path)
			require.Equal(t, ReasonListenerMismatch, who(t, accept(t, l)).Reason)
		})
	}
}

func TestWeakProofKnowsNoModulesOnASharedListener(t *testing.T) {
	table := NewTable(testNamespace())
	_, path, take := shared(t, Config{Table: table, ForcePIDProof: true})
	c, _ := startModule(t, table, "tempSensor", nil)
	c.do("dial", path)
	require.Equal(t, ReasonListenerMismatch, who(t, take()).Reason)
	c = startChild(t, nil)
	c.do("dial", path)
	caller := who(t, take())
	require.Equal(t, Host, caller.Kind)
	require.Equal(t, ProofPID, caller.Proof)
}

func TestExecAfterConnectIsTheSameProcess(t *testing.T) {
	for _, force := range []bool{false, true} {
		_, path, take := shared(t, Config{ForcePIDProof: force})
		c := startChild(t, nil)
		c.do("dial", path)
		conn := take()
		require.Equal(t, Host, who(t, conn).Kind)
		require.Equal(t, strconv.Itoa(c.pid()), c.do("exec"))
		c.do("send", "hello")
		caller := who(t, conn)
		require.Equal(t, Host, caller.Kind, caller)
		require.Equal(t, c.pid(), caller.PID)
	}
}

func TestSetuidAfterConnect(t *testing.T) {
	_, path, take := shared(t, Config{})
	c := startChild(t, nil)
	c.do("dial", path)
	c.do("setuid", 65534)
	caller := who(t, take())
	require.Equal(t, Host, caller.Kind)
	require.Zero(t, caller.UID, "credentials are those of the connect")

	_, path, take = shared(t, Config{ForcePIDProof: true})
	c = startChild(t, nil)
	c.do("dial", path)
	c.do("setuid", 65534)
	require.Equal(t, ReasonCredentials, who(t, take()).Reason, "the weaker proof cannot tell it from another process")
}

func TestExitedClientIsGone(t *testing.T) {
	for _, force := range []bool{false, true} {
		for _, reap := range []bool{false, true} {
			p, path, take := shared(t, Config{ForcePIDProof: force})
			c := startChild(t, nil)
			c.do("dial", path)
			conn := take()
			require.Equal(t, Host, who(t, conn).Kind)
			c.kill()
			if reap {
				c.reap()
			}
			presumed, err := conn.Presumed(t.Context())
			require.NoError(t, err)
			require.Equal(t, Host, presumed.Kind, "it is not looked at again")
			require.Equal(t, ReasonGone, who(t, conn).Reason)
			require.Equal(t, []RejectStat{{Listener: "workload", Reason: ReasonGone, Count: 1}}, p.Stats().Rejects)
			require.Equal(t, ReasonGone, who(t, conn).Reason, "for good")
			require.Equal(t, uint64(1), p.Stats().Rejects[0].Count, "counted once")
		}
	}
}

func TestClientThatExitsBeforeItsFirstRequestIsJudgedIsGone(t *testing.T) {
	table := NewTable(testNamespace())
	_, path, take := shared(t, Config{Table: table})
	c, _ := startModule(t, table, "tempSensor", nil)
	c.do("dial", path)
	conn := take()
	c.kill()
	in, err := table.Match(cgroupOf(t, c.pid()))
	require.NoError(t, err)
	require.Equal(t, "tempSensor", in.Module, "a zombie's files can still be read")
	require.Equal(t, ReasonGone, who(t, conn).Reason)
}

func cgroupOf(t *testing.T, pid int) []byte {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	require.NoError(t, err)
	return b
}

// What was read before the process ended may be another's: the poll comes after.
func TestProcessThatEndsWhileItIsReadIsGone(t *testing.T) {
	for _, force := range []bool{false, true} {
		p, path, take := shared(t, Config{ForcePIDProof: force})
		c := startChild(t, nil)
		c.do("dial", path)
		conn := take()
		real := p.kernel.sys.peerGroups
		p.kernel.sys.peerGroups = func(fd int) ([]uint32, error) { // the last thing that is asked
			c.kill()
			return real(fd)
		}
		require.Equal(t, ReasonGone, who(t, conn).Reason)
	}
}

func TestForkAndExitLeavesTheConnectionToNobody(t *testing.T) {
	_, path, take := shared(t, Config{})
	c := startChild(t, nil)
	c.do("dial", path)
	conn := take()
	require.Equal(t, Host, who(t, conn).Kind)
	heir := c.do("spawn")
	require.NoError(t, unix.Waitid(unix.P_PID, c.pid(), nil, unix.WEXITED|unix.WNOWAIT, nil))
	c.do("send", "from-the-child") // the commands go to the child now
	b := make([]byte, 32)
	n, err := conn.Read(b)
	require.NoError(t, err)
	require.Equal(t, "from-the-child", string(b[:n]), "the child has the connection")
	require.DirExists(t, "/proc/"+heir)
	require.Equal(t, ReasonGone, who(t, conn).Reason)
	c.do("dial", path)
	require.Equal(t, heir, strconv.Itoa(who(t, take()).PID), "it may come back as itself")
	pid, err := strconv.Atoi(heir)
	require.NoError(t, err)
	require.NoError(t, unix.Kill(pid, unix.SIGKILL))
}

// On v1, and whichever hierarchy it is in, the cgroups of a process whose first thread has exited read "/": the places of a host process.
func TestFirstThreadThatExitsDoesNotMakeAHostUser(t *testing.T) {
	table := NewTable(testNamespace())
	_, path, take := shared(t, Config{Table: table})
	c := startChild(t, nil)
	c.do("leaderexit")
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(c.pid()) + "/stat")
	require.NoError(t, err)
	require.Contains(t, string(stat), ") Z ")
	c.do("dial", path)
	caller := who(t, take())
	require.Equal(t, Unknown, caller.Kind, caller)
	require.Equal(t, ReasonForeignContainer, caller.Reason)

	// A module is known by its v2 line, which stays.
	m, _ := startModule(t, table, "tempSensor", nil)
	m.do("leaderexit")
	m.do("dial", path)
	require.Equal(t, "tempSensor", who(t, take()).Module())
}

func TestHostileBindAddressIsNowhere(t *testing.T) {
	_, path, take := shared(t, Config{})
	c := startChild(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1234, Gid: 5678}})
	for _, name := range []string{"/tmp/x;uid=0;" + strconv.Itoa(os.Getpid()), "@x;uid=0;pid=1;"} {
		c.do("dial", path, name)
		conn := take()
		if strings.HasPrefix(name, "/") {
			t.Cleanup(func() { _ = os.Remove(name) })
		}
		require.Equal(t, name, conn.UnixConn.RemoteAddr().String(), "the client's name arrived")
		require.Equal(t, "@", conn.RemoteAddr().String())
		caller := who(t, conn)
		require.Equal(t, uint32(1234), caller.UID)
		require.NotContains(t, caller.String(), ";")
	}
}
