package peer

import (
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestStartIsRefusedWhereIdentityBreaks(t *testing.T) {
	initial := namespaces{pid: initialPIDNS, user: initialUserNS, cgroup: initialCgroupNS}
	identity := []byte("         0          0 4294967295\n")
	good := surroundings{
		procIsProc: true, procSelf: "812", pid: 812, uidMap: identity, gidMap: identity, ptrace: true,
		selfCgroup: []byte("0::/system.slice/edged.service\n"), initCgroup: []byte("0::/init.scope\n"),
		self: initial, init: initial, initComm: "systemd", booted: true,
	}
	// What a booted system container shows: all namespaces but the user's are its own, and shared with its pid 1.
	inside := good
	inside.self = namespaces{pid: 4026532201, user: initialUserNS, cgroup: 4026532203}
	inside.init = inside.self
	for _, tc := range []struct {
		name   string
		from   surroundings
		change func(*surroundings)
		says   string // empty: not refused
	}{
		{"host", good, func(*surroundings) {}, ""},
		{"host without systemd", good, func(s *surroundings) { s.booted, s.initComm = false, "runner" }, ""},
		{"host whose pid 1 hides", good, func(s *surroundings) { s.initErr, s.init = unix.EACCES, namespaces{} }, ""},
		{"system container", inside, func(*surroundings) {}, ""},
		{"system container with another init", inside, func(s *surroundings) { s.booted, s.initComm = false, "init" }, ""},
		{"application container", inside, func(s *surroundings) { s.booted, s.initComm = false, "sh" }, "application container"},
		{"edged is pid 1", inside, func(s *surroundings) { s.pid, s.procSelf = 1, "1" }, "PrivatePIDs="},
		{"no procfs", good, func(s *surroundings) { s.procIsProc = false }, "procfs"},
		{"/proc of another pid namespace", good, func(s *surroundings) { s.procSelf = "7" }, "another pid namespace"},
		{"uid_map is not the identity", good, func(s *surroundings) { s.uidMap = []byte("0 100000 65536\n") }, "PrivateUsers="},
		{"gid_map is not the identity", good, func(s *surroundings) { s.gidMap = nil }, "PrivateUsers="},
		{"no CAP_SYS_PTRACE", good, func(s *surroundings) { s.ptrace = false }, "CAP_SYS_PTRACE"},
		{"own path leaves the root", good, func(s *surroundings) { s.selfCgroup = []byte("0::/../x\n") }, "/.."},
		{"path of pid 1 leaves the root", good, func(s *surroundings) { s.initCgroup = []byte("2:pids:/\n0::/..\n") }, "/.."},
		{"no path at all", good, func(s *surroundings) { s.initCgroup = nil }, "/.."},
		{"own cgroup namespace", good, func(s *surroundings) { s.self.cgroup = 4026532203 }, "ProtectControlGroups="},
		{"own user namespace with an identity map", good, func(s *surroundings) { s.self.user = 4026532202 }, "PrivateUsers="},
		{"own pid namespace with the /proc of it", good, func(s *surroundings) { s.self.pid = 4026532201 }, "another pid namespace"},
		{"namespaces of its own and a pid 1 that hides", inside, func(s *surroundings) { s.initErr = unix.EACCES }, "does not show"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := tc.from
			tc.change(&s)
			err := s.refuse()
			if tc.says == "" {
				require.NoError(t, err)
				return
			}
			require.True(t, errdefs.IsFailedPrecondition(err), err)
			require.ErrorContains(t, err, tc.says)
			require.ErrorContains(t, err, "cannot tell callers apart here: ")
		})
	}
}

func TestProbeAsksTheKernelNotItsVersion(t *testing.T) {
	for _, tc := range []struct {
		name    string
		errno   error
		require bool
		want    Proof
		says    string
	}{
		{"there is one", nil, true, ProofPIDFD, ""},
		{"there is none", unix.ENOPROTOOPT, false, ProofPID, ""},
		{"there is none and it is required", unix.ENOPROTOOPT, true, "", "require_pidfd"},
		{"a policy forbids it", unix.EACCES, false, "", "SO_PEERPIDFD"},
		{"no descriptors", unix.EMFILE, false, "", "SO_PEERPIDFD"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := newKernel(t)
			if tc.errno != nil {
				k.sys.peerPIDFD = func(int) (int, error) { return -1, tc.errno }
			} else {
				k.sys.peerPIDFD = func(int) (int, error) { return unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0) }
			}
			p, err := New(Config{Table: NewTable("edged"), Kernel: k, RequirePIDFD: tc.require})
			if tc.says != "" {
				require.ErrorContains(t, err, tc.says)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, p.Proof())
		})
	}
}

func TestNewNeedsTheNetworkNamespaceOfSockets(t *testing.T) {
	k := newKernel(t)
	k.sys.sockNetNS = func(int) (uint64, error) { return 0, unix.EPERM }
	_, err := New(Config{Table: NewTable("edged"), Kernel: k})
	require.True(t, errdefs.IsFailedPrecondition(err), err)
	require.ErrorContains(t, err, "CAP_NET_ADMIN")
}

func TestNewRefusesConfigurationsThatMakeNoSense(t *testing.T) {
	table := NewTable("edged")
	for _, cfg := range []Config{
		{},
		{Table: table, RequirePIDFD: true, ForcePIDProof: true},
		{Table: table, Limits: Limits{PerUID: -1}},
		{Table: table, Limits: Limits{PerListener: 16}},
	} {
		_, err := New(cfg)
		require.True(t, errdefs.IsInvalidArgument(err), err)
	}
}

func TestNewLeavesNoDescriptorsBehind(t *testing.T) {
	before := descriptors(t)
	p, err := New(Config{Table: NewTable("edged"), ForcePIDProof: true})
	require.NoError(t, err)
	require.Equal(t, ProofPID, p.Proof())
	p.Close()
	_, err = New(Config{Table: NewTable("edged"), Limits: Limits{PerUID: -1}})
	require.Error(t, err)
	require.Equal(t, before, descriptors(t))
}
