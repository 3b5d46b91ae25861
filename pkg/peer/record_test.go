package peer

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestRecordReadsWhatTheKernelSays(t *testing.T) {
	table := NewTable(testNamespace())
	c, in := startModule(t, table, "tempSensor", &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET})
	k := newKernel(t)
	require.Equal(t, []string{"/" + testNamespace() + "/" + in.ContainerID}, in.Paths)
	require.Equal(t, c.pid(), in.PID)
	require.NotZero(t, in.StartTime)
	require.Equal(t, k.BootID(), in.BootID)
	require.Len(t, in.BootID, 36)
	link, err := os.Readlink("/proc/" + strconv.Itoa(c.pid()) + "/ns/net")
	require.NoError(t, err)
	require.Equal(t, link, "net:["+strconv.FormatUint(in.NetNS, 10)+"]")

	_, shares := startModule(t, table, "filter", nil)
	require.Zero(t, shares.NetNS, "it has edged's own")
}

func TestRecordTakesOnlyPathsThatAreTheContainersOwn(t *testing.T) {
	for _, tc := range []struct {
		name, id, cgroup string
		want             []string // nil: refused
	}{
		{"cgroupfs", "a-1", "0::/edged/a-1\n", []string{"/edged/a-1"}},
		{"systemd", "a-1", "0::/system.slice/edged-a-1.scope\n", []string{"/system.slice/edged-a-1.scope"}},
		{"custom parent", "a-1", "0::/plant/a-1\n", []string{"/plant/a-1"}},
		{"every line once", "a-1", "2:pids:/edged/a-1\n1:memory:/edged/a-1\n0::/edged/a-1\n", []string{"/edged/a-1"}},
		{"two paths", "a-1", "2:pids:/x/a-1\n0::/edged/a-1\n", []string{"/x/a-1", "/edged/a-1"}},
		{"the shim's own line is left out", "a-1", "2:misc:/system.slice/containerd.service\n1:pids:/edged/a-1\n0::/\n", []string{"/edged/a-1"}},
		{"only the shim's own", "a-1", "0::/system.slice/containerd.service\n", nil},
		{"root", "a-1", "0::/\n", nil},
		{"another's", "a-1", "0::/edged/a-12\n", nil},
		{"id in the middle", "a-1", "0::/edged/a-1/x\n", nil},
		{"another's scope", "a-1", "0::/system.slice/docker-a-1.scope\n", nil},
		{"deleted", "a-1", "0::/edged/a-1 (deleted)\n", nil},
		{"outside", "a-1", "1:pids:/edged/a-1\n0::/../a-1\n", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := t.TempDir()
			proc := filepath.Join(root, "77")
			require.NoError(t, os.MkdirAll(proc+"/ns", 0o755))
			require.NoError(t, os.WriteFile(proc+"/cgroup", []byte(tc.cgroup), 0o600))
			require.NoError(t, os.WriteFile(proc+"/stat", fixture(t, "module-cgroupfs-v2", "stat"), 0o600))
			require.NoError(t, os.WriteFile(proc+"/ns/net", []byte("net:[4026532300]"), 0o600))
			k := fixtureKernel(unified, 0)
			fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			require.NoError(t, err)
			defer unix.Close(fd) //nolint:errcheck // a test
			k.proc, k.bootID = fd, "boot"

			in, err := k.Record(77, tc.id)
			if tc.want == nil {
				require.True(t, errdefs.IsFailedPrecondition(err), err)
				require.Zero(t, in)
				return
			}
			require.NoError(t, err)
			require.Equal(t, Instance{ContainerID: tc.id, Paths: tc.want, PID: 77, StartTime: 4711, NetNS: fixtureOwnNet, BootID: "boot"}, in)
			require.True(t, k.Alive(in))
		})
	}
}

func TestRecordRefusesProcessesThatAreGone(t *testing.T) {
	k := newKernel(t)
	before := descriptors(t)
	_, err := k.Record(1<<22+1, "a-1")
	require.True(t, errdefs.IsFailedPrecondition(err), err)
	_, err = k.Record(os.Getpid(), "a/../b")
	require.True(t, errdefs.IsInvalidArgument(err), err)
	require.Equal(t, before, descriptors(t))

	c := startChild(t, nil)
	c.kill()
	_, err = k.Record(c.pid(), "a-1")
	require.True(t, errdefs.IsFailedPrecondition(err), err)
	require.ErrorContains(t, err, "exited")
}

func TestAliveKnowsTheVeryProcess(t *testing.T) {
	table := NewTable(testNamespace())
	c, in := startModule(t, table, "tempSensor", nil)
	k := newKernel(t)
	require.True(t, k.Alive(*in))
	for name, change := range map[string]func(*Instance){
		"another boot":       func(in *Instance) { in.BootID = "0f0e0d0c-0000-4000-8000-000000000000" },
		"no boot":            func(in *Instance) { in.BootID = "" },
		"another start time": func(in *Instance) { in.StartTime++ },
		"another pid":        func(in *Instance) { in.PID = os.Getpid() },
		"no pid":             func(in *Instance) { in.PID = 0 },
		"another cgroup":     func(in *Instance) { in.Paths = []string{in.Paths[0] + "2"} },
		"one more cgroup":    func(in *Instance) { in.Paths = append([]string{"/elsewhere"}, in.Paths...) },
		"no cgroup":          func(in *Instance) { in.Paths = nil },
	} {
		changed := *in
		change(&changed)
		require.False(t, k.Alive(changed), name)
	}

	makeCgroup(t, in.Paths[0]+"/init.scope")
	enter(t, in.Paths[0]+"/init.scope", c.pid())
	require.True(t, k.Alive(*in), "it moved itself deeper")
	enter(t, ownCgroup(t), c.pid())
	require.False(t, k.Alive(*in), "it left")
	enter(t, in.Paths[0], c.pid())
	require.True(t, k.Alive(*in))

	before := descriptors(t)
	c.kill()
	require.False(t, k.Alive(*in), "it is a zombie")
	c.reap()
	require.False(t, k.Alive(*in), "it is gone")
	require.LessOrEqual(t, descriptors(t), before)
}
