package system

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
)

var temp = Module{Name: "temp", ContainerID: "temp-1", Cgroups: []string{"/edged/temp-1"}, PID: 4711, StartTime: 1234, OwnNetwork: true}

// fixture is a Collector of a device in testdata, whose clock stands.
func fixture(dir string) (*Collector, *time.Time) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := &Collector{root: Root(filepath.Join("testdata", dir)), began: now.Add(-time.Minute), now: func() time.Time { return now }}
	return c, &now
}

func TestAModulesUseIsTheSameOnBothVersionsOfCgroups(t *testing.T) {
	for _, dir := range []string{"v1", "v2"} {
		c, _ := fixture(dir)
		stats := c.Stats([]Module{temp})
		require.Len(t, stats, 1)
		s := stats[0]
		require.Equal(t, "/temp", s.Name, dir)
		require.EqualValues(t, 5_000_000, s.CPUStats.CPUUsage.TotalUsage, dir)
		require.EqualValues(t, []uint64{7, 2}, []uint64{s.CPUStats.ThrottlingData.Periods, s.CPUStats.ThrottlingData.ThrottledPeriods}, dir)
		require.EqualValues(t, uint64(10_000*10_000_000), s.CPUStats.SystemUsage, dir)
		require.EqualValues(t, runtime.NumCPU(), s.CPUStats.OnlineCPUs)
		require.EqualValues(t, []uint64{1 << 20, 2 << 20, 4096000 << 10, 3},
			[]uint64{s.MemoryStats.Usage, s.MemoryStats.MaxUsage, s.MemoryStats.Limit, s.MemoryStats.Failcnt}, "no limit is the machine's memory, %s", dir)
		require.EqualValues(t, 4, s.PidsStats.Current, dir)
		require.Contains(t, s.BlkioStats.IoServiceBytesRecursive, container.BlkioStatEntry{Major: 8, Op: "read", Value: 4096}, dir)
		require.Contains(t, s.BlkioStats.IoServiceBytesRecursive, container.BlkioStatEntry{Major: 8, Op: "write", Value: 512}, dir)
		require.Equal(t, map[string]container.NetworkStats{"eth0": {
			RxBytes: 2000, RxPackets: 20, RxErrors: 1, RxDropped: 2, TxBytes: 3000, TxPackets: 30, TxErrors: 3, TxDropped: 4,
		}}, s.Networks, dir)
	}
}

func TestANetworkOfAnotherProcessWithTheNumberIsNotTheModules(t *testing.T) {
	c, _ := fixture("v2")
	other, hosts := temp, temp
	other.StartTime++
	hosts.OwnNetwork = false
	for _, m := range []Module{other, hosts} {
		require.Nil(t, c.Stats([]Module{m})[0].Networks)
	}
}

func TestAModuleThatJustEndedHasNoFigures(t *testing.T) {
	c, _ := fixture("v1")
	gone := Module{Name: "gone", ContainerID: "gone-1", Cgroups: []string{"/edged/gone-1"}, PID: 4712, OwnNetwork: true}
	s := c.Stats([]Module{gone})[0]
	require.Zero(t, s.MemoryStats)
	require.Zero(t, s.PidsStats)
}

func TestUseIsSinceASampleThatIsASecondOld(t *testing.T) {
	c, now := fixture("v1")
	require.Zero(t, c.Stats([]Module{temp})[0].PreRead, "the first has none before it")
	first := *now
	*now = now.Add(sampleFor / 2)
	require.Zero(t, c.Stats([]Module{temp})[0].PreRead)
	*now = now.Add(sampleFor)
	second := *now
	for range 2 { // a second client right after sees the same second
		require.Equal(t, first, c.Stats([]Module{temp})[0].PreRead)
	}
	*now = now.Add(sampleFor)
	require.Equal(t, second, c.Stats([]Module{temp})[0].PreRead)
}

func TestResourcesOfTheHost(t *testing.T) {
	c, _ := fixture("v2")
	used, err := c.Resources([]Module{temp})
	require.NoError(t, err)
	require.InDelta(t, 16, used.UsedCPU, 0.001, "since boot, the first time")
	var stats []container.StatsResponse
	require.NoError(t, json.Unmarshal([]byte(used.DockerStats), &stats))
	require.Equal(t, "/temp", stats[0].Name)
	require.Len(t, used.Disks, 1, "each device once")
	disk := used.Disks[0]
	require.NotZero(t, disk.TotalSpace)
	require.Equal(t, wire.Disk{Name: "/", FileSystem: "ext4", FileType: "Unknown", Device: "/dev/sda1", AvailableSpace: disk.AvailableSpace, TotalSpace: disk.TotalSpace}, disk)
	used.DockerStats, used.Disks, used.UsedCPU = "", nil, 0
	require.Equal(t, wire.SystemResources{HostUptime: 3600, ProcessUptime: 60, UsedRAM: 1024000 << 10, TotalRAM: 4096000 << 10}, used)
	none, err := c.Resources(nil)
	require.NoError(t, err)
	require.Equal(t, "[]", none.DockerStats)
}

func TestAPartitionIsOfItsDisksKind(t *testing.T) {
	for flag, want := range map[string]string{"0": "SSD", "1": "HDD", "": "Unknown"} {
		dir := t.TempDir()
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "sys/devices/sda/sda1"), 0o700))
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "sys/devices/sda/queue"), 0o700))
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "sys/dev/block"), 0o700))
		require.NoError(t, os.Symlink("../../devices/sda/sda1", filepath.Join(dir, "sys/dev/block/8:1")))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "sys/devices/sda/queue/rotational"), []byte(flag+"\n"), 0o600))
		require.Equal(t, want, Root(dir).fileType("8:1"))
	}
}

func TestInfo(t *testing.T) {
	one, two := Root("testdata/v1").Info(), Root("testdata/v2").Info()
	require.Equal(t, []string{"debian", "12", "yes", "Gateway 3000"}, []string{one.OS, one.OSVersion, one.Virtualized, one.ProductName})
	require.Equal(t, []string{"alpine", "3.20", "iot", "no"}, []string{two.OS, two.OSVersion, two.OSVariant, two.Virtualized})
	require.EqualValues(t, int64(4096000<<10), one.TotalMemory)
	require.NotEmpty(t, one.KernelRelease)
	none := Root(t.TempDir()).Info()
	require.Equal(t, "unknown", none.Virtualized)
	require.NotEmpty(t, none.Architecture)
}

func TestTheRunningMachine(t *testing.T) {
	used, err := NewCollector().Resources(nil)
	require.NoError(t, err)
	require.NotZero(t, used.HostUptime)
	require.NotZero(t, used.TotalRAM)
	require.Less(t, used.UsedRAM, used.TotalRAM)
	stat, err := os.ReadFile("/proc/self/stat")
	require.NoError(t, err)
	require.NotEmpty(t, stat)
	require.NotZero(t, Root("/").startTime("proc/self"))
}

// What a module or a broken kernel writes may be anything; figures are then missing, nothing else.
func FuzzFiles(f *testing.F) {
	for _, file := range []string{"v1/proc/4711/net/dev", "v1/proc/stat", "v2/proc/self/mountinfo", "v2/sys/fs/cgroup/edged/temp-1/io.stat"} {
		b, err := os.ReadFile(filepath.Join("testdata", file))
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		for _, file := range []string{"proc/stat", "proc/meminfo", "proc/uptime", "proc/4711/stat", "proc/4711/net/dev", "sys/fs/cgroup/edged/temp-1/io.stat", "sys/fs/cgroup/edged/temp-1/cpu.stat"} {
			require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(file)), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(dir, file), b, 0o600))
		}
		c := &Collector{root: Root(dir), now: time.Now}
		_, err := c.Resources([]Module{temp})
		require.NoError(t, err)
	})
}

func BenchmarkResources(b *testing.B) {
	c, _ := fixture("v2")
	modules := make([]Module, 20)
	for i := range modules {
		modules[i] = temp
	}
	for b.Loop() {
		_, err := c.Resources(modules)
		require.NoError(b, err)
	}
}
