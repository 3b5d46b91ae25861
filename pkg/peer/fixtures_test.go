package peer

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Namespaces of the fixtures: edged's own, and the private network namespace of the module tempSensor.
const (
	fixturePIDNS    = 4026531836
	fixtureUserNS   = 4026531837
	fixtureCgroupNS = 4026531835
	fixtureHostNet  = 4026531833
	fixtureOwnNet   = 4026532300
)

// fixtureTable holds what edged has recorded on the device of the fixtures.
func fixtureTable(t testing.TB) *Table {
	t.Helper()
	table := NewTable("edged")
	for _, in := range []*Instance{
		{Module: "tempSensor", ContainerID: "tempSensor-1", NetNS: fixtureOwnNet, Paths: []string{"/edged/tempSensor-1"}},
		{Module: "victim", ContainerID: "victim-1", NetNS: fixtureOwnNet + 1, Paths: []string{"/edged/victim-1"}},
		{Module: "filter", ContainerID: "filter-3", Paths: []string{"/system.slice/edged-filter-3.scope"}},
		{Module: "press", ContainerID: "press-1", Paths: []string{"/plant/line1/press-1"}},
		{Module: "press", ContainerID: "press-2", Paths: []string{"/plant/line1/press-2"}},
	} {
		require.NoError(t, table.Add(in))
	}
	table.Remove("press-1")
	return table
}

// fixtureKernel answers from a directory that looks like a /proc/<pid>. Processes there live for ever and connect from the network namespace given.
func fixtureKernel(owner hierarchy, net uint64) *Kernel {
	s := realSys()
	s.nsInode = func(dirfd int, link string) (uint64, error) {
		fd, err := s.openat(dirfd, link, unix.O_RDONLY)
		if err != nil {
			return 0, err
		}
		defer s.close(fd)
		b := make([]byte, 64)
		n, err := s.pread(fd, b)
		if err != nil {
			return 0, err
		}
		return parseNSLink(b[:n])
	}
	s.exited = func(int) (bool, error) { return false, nil }
	s.sockNetNS = func(int) (uint64, error) { return net, nil }
	s.peerGroups = func(int) ([]uint32, error) { return []uint32{4, 1000}, nil }
	k := &Kernel{sys: s, owner: owner, self: namespaces{pid: fixturePIDNS, user: fixtureUserNS, cgroup: fixtureCgroupNS, net: fixtureHostNet}}
	k.pool.New = func() any { return new([maxProcFile]byte) }
	return k
}

// fixtureCaller judges a fixture as if it had connected.
func fixtureCaller(t *testing.T, dir string, k *Kernel, scope Scope, proof Proof) Caller {
	t.Helper()
	cfg := Config{Table: fixtureTable(t), RowWait: -1}
	require.NoError(t, cfg.complete())
	p := &Peers{cfg: cfg, kernel: k, table: cfg.Table, proof: proof}
	real, path := socket(t)
	fd, err := dial([]string{path})
	require.NoError(t, err)
	defer unix.Close(fd) //nolint:errcheck // a test
	uc, err := real.AcceptUnix()
	require.NoError(t, err)
	proc, err := unix.Open(filepath.Join(dir, "123"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	c := &Conn{
		UnixConn: uc, listener: p.Listen(real, scope).(*listener),
		cred: unix.Ucred{Pid: 123, Uid: 1000, Gid: 1000}, pidfd: -1, proc: proc, start: 4711,
	}
	defer c.Close() //nolint:errcheck // a test
	return who(t, c)
}

func TestFixtures(t *testing.T) {
	const module, host = "module ", "host"
	for _, tc := range []struct {
		dir   string
		owner hierarchy
		want  string // host, module and its name, or a reason
	}{
		{"module-cgroupfs-v2", unified, module + "tempSensor"},
		{"module-cgroupfs-hybrid", named, module + "tempSensor"},
		{"module-cgroupfs-hybrid", unmanaged, module + "tempSensor"},
		{"module-cgroupfs-v1", named, module + "tempSensor"},
		{"module-hybrid-v2-at-root", unmanaged, module + "tempSensor"},
		{"module-v1-unowned-line", named, module + "tempSensor"},
		{"module-systemd-v2", unified, module + "filter"},
		{"module-systemd-hybrid", named, module + "filter"},
		{"module-custom-parent", unified, module + "press"},
		{"module-own-init-scope", unified, module + "tempSensor"},
		{"module-nested-docker", named, module + "tempSensor"},
		{"module-deep", unified, module + "tempSensor"},
		{"module-name-with-colon", unified, module + "tempSensor"},
		{"module-comm-parenthesis", unified, module + "tempSensor"},

		{"attack-nested-victim", unified, module + "tempSensor"},
		{"attack-nested-victim-hybrid", named, module + "tempSensor"},
		{"attack-hierarchy-disagree", named, ReasonDisagree},
		{"attack-victim-below-user-slice", unified, ReasonForeignContainer},
		{"attack-own-scope-below-user-slice", unified, ReasonForeignContainer},
		{"attack-colon-in-user-path", unified, ReasonForeignContainer},
		{"attack-first-thread-exited-v1", unmanaged, ReasonForeignContainer},
		{"attack-first-thread-exited-v1", named, ReasonForeignContainer},
		{"attack-first-thread-exiting-v1", unmanaged, ReasonGone},
		{"attack-first-thread-exiting-v1", named, ReasonGone},
		{"attack-first-thread-exiting-midway-v1", named, ReasonGone},

		{"own-not-in-table", unified, ReasonStale},
		{"own-scope-not-in-table", unified, ReasonStale},
		{"own-retired-custom-parent", unified, ReasonStale},
		{"own-retired-custom-parent-memory-line", unmanaged, ReasonStale},
		{"own-namespace-cgroup-itself", unified, ReasonForeignContainer},
		{"zombie-deleted", unified, ReasonGone},
		{"zombie-deleted-one-line", named, ReasonGone},
		{"outside-cgroup-namespace", unified, ReasonForeignContainer},
		{"outside-cgroup-namespace-parent", unified, ReasonForeignContainer},

		{"host-session-v2", unified, host},
		{"host-user-service-v2", unified, host},
		{"host-service-v2", unified, host},
		{"host-service-delegated-v2", unified, host},
		{"host-template-service-v2", unified, host},
		{"host-docker-daemon-v2", unified, host},
		{"host-init-v2", unified, host},
		{"host-root-v2", unified, host},
		{"host-session-hybrid", named, host},
		{"host-session-v1", named, host},
		{"host-unmanaged-memory-line", unmanaged, host},
		{"host-unmanaged-v1", unmanaged, host},
		{"unmanaged-v1-odd-line", unmanaged, ReasonForeignContainer},

		{"docker-cgroupfs-v2", unified, ReasonForeignContainer},
		{"docker-cgroupfs-hybrid", unmanaged, ReasonForeignContainer},
		{"docker-cgroupfs-memory-line-only", unmanaged, ReasonForeignContainer},
		{"docker-cgroupfs-memory-line-only", named, ReasonForeignContainer},
		{"docker-systemd-v2", unified, ReasonForeignContainer},
		{"docker-systemd-v1", named, ReasonForeignContainer},
		{"docker-rootless", unified, ReasonForeignContainer},
		{"docker-in-a-service", unified, ReasonForeignContainer},
		{"docker-custom-parent-v2", unified, ReasonForeignContainer},
		{"kubernetes-systemd-v2", unified, ReasonForeignContainer},
		{"kubernetes-cgroupfs-v1", named, ReasonForeignContainer},
		{"kubernetes-cri-without-systemd", unified, ReasonForeignContainer},
		{"kubernetes-crio", unified, ReasonForeignContainer},
		{"kubernetes-in-docker", unified, ReasonForeignContainer},
		{"podman-root-v2", unified, ReasonForeignContainer},
		{"podman-rootless-v2", unified, ReasonForeignContainer},
		{"podman-cgroupfs-v1", unmanaged, ReasonForeignContainer},
		{"lxc-payload", unified, ReasonForeignContainer},
		{"lxc-v1", named, ReasonForeignContainer},
		{"incus-payload", unified, ReasonForeignContainer},
		{"nspawn-machine", unified, ReasonForeignContainer},
		{"machine-scope-outside-its-slice", unified, ReasonForeignContainer},
		{"containerd-default-namespace", unified, ReasonForeignContainer},
		{"containerd-default-namespace-hybrid", unmanaged, ReasonForeignContainer},
		{"containerd-foreign-namespace", unified, ReasonForeignContainer},
		{"containerd-foreign-namespace-v1-systemd", named, ReasonForeignContainer},
		{"nerdctl-systemd", unified, ReasonForeignContainer},

		{"host-pid-namespace-differs", unified, ReasonForeignContainer},
		{"host-user-namespace-differs", unified, ReasonForeignContainer},
		{"host-cgroup-namespace-differs", unified, ReasonForeignContainer},
		{"systemd-line-missing", named, ReasonForeignContainer},
		{"empty", unified, ReasonMalformed},
		{"malformed-no-colon", unified, ReasonMalformed},
		{"malformed-relative-path", unified, ReasonMalformed},
	} {
		t.Run(tc.dir+"/"+strconv.Itoa(int(tc.owner)), func(t *testing.T) {
			dir := filepath.Join("testdata/proc", tc.dir)
			k := fixtureKernel(tc.owner, fixtureOwnNet)
			caller := fixtureCaller(t, dir, k, Scope{Name: "workload"}, ProofPIDFD)
			switch {
			case tc.want == host:
				require.Equal(t, Host, caller.Kind, caller)
				require.Equal(t, []uint32{4, 1000}, caller.Groups)
				require.Empty(t, caller.Reason)
			case caller.Kind == Module:
				require.Equal(t, tc.want, module+caller.Module())
				require.Nil(t, caller.Groups, "a module's groups are its own choice")
				require.Empty(t, caller.Reason)
			default:
				require.Equal(t, tc.want, caller.Reason)
				require.Equal(t, Unknown, caller.Kind)
				require.Nil(t, caller.Instance)
			}
			require.Equal(t, uint32(1000), caller.UID)
			require.Equal(t, 123, caller.PID)
			require.Equal(t, "workload", caller.Listener)

			// A module's own listener is for its instances alone, with either proof.
			for _, proof := range []Proof{ProofPIDFD, ProofPID} {
				for _, name := range []string{"tempSensor", "other"} {
					own := fixtureCaller(t, dir, k, Scope{Name: "workload", Module: name}, proof)
					require.Equal(t, tc.want == module+name, own.Kind == Module, "%s on the listener of %s", own, name)
					require.NotEqual(t, Host, own.Kind)
				}
			}
			// With the weaker proof, a shared listener knows no modules.
			weak := fixtureCaller(t, dir, k, Scope{Name: "workload"}, ProofPID)
			require.Equal(t, tc.want == host, weak.Kind == Host, weak)
			require.NotEqual(t, Module, weak.Kind)
		})
	}
	entries, err := os.ReadDir("testdata/proc")
	require.NoError(t, err)
	require.Len(t, entries, 77, "a fixture without a line in the table above proves nothing")
}

func TestModuleFromAnotherNetworkNamespaceIsUnknown(t *testing.T) {
	k := fixtureKernel(unified, fixtureHostNet)
	caller := fixtureCaller(t, "testdata/proc/module-cgroupfs-v2", k, Scope{Name: "workload"}, ProofPIDFD)
	require.Equal(t, ReasonNetNSMismatch, caller.Reason)

	// One without a private network namespace is not asked.
	caller = fixtureCaller(t, "testdata/proc/module-systemd-v2", k, Scope{Name: "workload"}, ProofPIDFD)
	require.Equal(t, "filter", caller.Module())

	k.sys.sockNetNS = func(int) (uint64, error) { return 0, unix.EPERM }
	caller = fixtureCaller(t, "testdata/proc/module-cgroupfs-v2", k, Scope{Name: "workload"}, ProofPIDFD)
	require.Equal(t, "errno_eperm", caller.Reason)
}

func TestWeakProofRefusesChangedCredentialsAndStartTime(t *testing.T) {
	k := fixtureKernel(unified, fixtureOwnNet)
	real := k.sys.openat
	status := "Name:\tclient\nUid:\t1000\t0\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\n"
	k.sys.openat = func(dirfd int, name string, flags int) (int, error) {
		if name == "status" {
			return memory(t, status), nil
		}
		return real(dirfd, name, flags)
	}
	caller := fixtureCaller(t, "testdata/proc/host-session-v2", k, Scope{Name: "management"}, ProofPID)
	require.Equal(t, ReasonCredentials, caller.Reason)
	caller = fixtureCaller(t, "testdata/proc/host-session-v2", k, Scope{Name: "management"}, ProofPIDFD)
	require.Equal(t, Host, caller.Kind, "the pidfd is proof enough")

	k = fixtureKernel(unified, fixtureOwnNet)
	k.sys.openat = func(dirfd int, name string, flags int) (int, error) {
		if name == "stat" {
			return memory(t, "123 (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 5 0 4712 0\n"), nil
		}
		return real(dirfd, name, flags)
	}
	caller = fixtureCaller(t, "testdata/proc/host-session-v2", k, Scope{Name: "management"}, ProofPID)
	require.Equal(t, ReasonGone, caller.Reason)
}

// memory makes a file of a text.
func memory(t *testing.T, text string) int {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
	require.NoError(t, err)
	_, err = unix.Write(fd, []byte(text))
	require.NoError(t, err)
	return fd
}
