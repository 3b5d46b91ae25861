package system

import (
	"bytes"
	"maps"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
)

// Module is a module that runs, as the kernel knows it.
type Module struct {
	Name        string
	ContainerID string
	// Cgroups are the paths that its first process was in, below the root of each hierarchy.
	Cgroups []string
	// PID and StartTime are of its first process; the network of another that has the number now is not the module's.
	PID       int
	StartTime uint64
	// OwnNetwork says that it has a network namespace of its own.
	OwnNetwork bool
}

// stats reads a module's control groups: what Docker's stats would say, without the runtime.
func (r Root) stats(m Module, now time.Time, h host) container.StatsResponse {
	s := container.StatsResponse{
		ID: m.ContainerID, Name: "/" + m.Name, OSType: "linux", Read: now,
		CPUStats: container.CPUStats{SystemUsage: h.system, OnlineCPUs: h.online},
	}
	read := r.perController
	if h.unified {
		read = r.unified
	}
	for _, cgroup := range m.Cgroups {
		read(cgroup, h, &s)
	}
	if m.OwnNetwork {
		s.Networks = r.networks(m)
	}
	return s
}

// unified reads a v2 group. One that is not there leaves s as it is.
func (r Root) unified(cgroup string, h host, s *container.StatsResponse) {
	dir := path.Join("sys/fs/cgroup", cgroup)
	if current := r.number(dir + "/memory.current"); current > 0 {
		s.MemoryStats.Usage = current
		s.MemoryStats.MaxUsage = r.number(dir + "/memory.peak")
		s.MemoryStats.Limit = h.limit(r.number(dir + "/memory.max"))
		s.MemoryStats.Stats = r.pairs(dir + "/memory.stat")
		s.MemoryStats.Failcnt = r.pairs(dir + "/memory.events")["max"]
	}
	if cpu := r.pairs(dir + "/cpu.stat"); cpu["usage_usec"] > 0 {
		s.CPUStats.CPUUsage.TotalUsage = cpu["usage_usec"] * 1000
		s.CPUStats.CPUUsage.UsageInUsermode = cpu["user_usec"] * 1000
		s.CPUStats.CPUUsage.UsageInKernelmode = cpu["system_usec"] * 1000
		s.CPUStats.ThrottlingData = container.ThrottlingData{
			Periods: cpu["nr_periods"], ThrottledPeriods: cpu["nr_throttled"], ThrottledTime: cpu["throttled_usec"] * 1000,
		}
	}
	r.pids(dir, s)
	b, err := r.read(dir + "/io.stat")
	if err != nil {
		return
	}
	for line := range bytes.Lines(b) { // 8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0
		words := strings.Fields(string(line))
		for _, word := range words[min(1, len(words)):] {
			key, value, _ := strings.Cut(word, "=")
			n, err := strconv.ParseUint(value, 10, 64)
			if op := map[string]string{"rbytes": "read", "wbytes": "write"}[key]; op != "" && err == nil {
				s.BlkioStats.IoServiceBytesRecursive = appendIO(s.BlkioStats.IoServiceBytesRecursive, words[0], op, n)
			}
		}
	}
}

// perController reads a v1 group.
func (r Root) perController(cgroup string, h host, s *container.StatsResponse) {
	dir := func(controller string) string { return path.Join("sys/fs/cgroup", controller, cgroup) }
	memory, acct := dir("memory"), dir("cpuacct")
	if usage := r.number(memory + "/memory.usage_in_bytes"); usage > 0 {
		s.MemoryStats.Usage = usage
		s.MemoryStats.MaxUsage = r.number(memory + "/memory.max_usage_in_bytes")
		s.MemoryStats.Limit = h.limit(r.number(memory + "/memory.limit_in_bytes"))
		s.MemoryStats.Failcnt = r.number(memory + "/memory.failcnt")
		s.MemoryStats.Stats = r.pairs(memory + "/memory.stat")
	}
	if usage := r.number(acct + "/cpuacct.usage"); usage > 0 {
		s.CPUStats.CPUUsage.TotalUsage = usage
		split := r.pairs(acct + "/cpuacct.stat")
		s.CPUStats.CPUUsage.UsageInUsermode = split["user"] * (1e9 / userHZ)
		s.CPUStats.CPUUsage.UsageInKernelmode = split["system"] * (1e9 / userHZ)
	}
	if cpu := r.pairs(dir("cpu") + "/cpu.stat"); cpu != nil {
		s.CPUStats.ThrottlingData = container.ThrottlingData{
			Periods: cpu["nr_periods"], ThrottledPeriods: cpu["nr_throttled"], ThrottledTime: cpu["throttled_time"],
		}
	}
	r.pids(dir("pids"), s)
	b, err := r.read(dir("blkio") + "/blkio.throttle.io_service_bytes_recursive")
	if err != nil {
		return
	}
	for line := range bytes.Lines(b) { // 8:0 Read 4096
		if words := strings.Fields(string(line)); len(words) == 3 {
			if n, err := strconv.ParseUint(words[2], 10, 64); err == nil {
				s.BlkioStats.IoServiceBytesRecursive = appendIO(s.BlkioStats.IoServiceBytesRecursive, words[0], strings.ToLower(words[1]), n)
			}
		}
	}
}

func (r Root) pids(dir string, s *container.StatsResponse) {
	if n := r.number(dir + "/pids.current"); n > 0 {
		s.PidsStats = container.PidsStats{Current: n, Limit: r.number(dir + "/pids.max")}
	}
}

// host is what a module's figures are set against.
type host struct {
	online  uint32 // processors
	system  uint64 // what all of them have used, ns
	memory  uint64 // bytes
	unified bool   // cgroup v2; on a hybrid host the controllers are v1's
}

// limit is Docker's form of no limit: the machine's memory. v1 says it by a number that no machine has.
func (h host) limit(n uint64) uint64 {
	if h.memory > 0 && (n == 0 || n > h.memory) {
		return h.memory
	}
	return n
}

func appendIO(list []container.BlkioStatEntry, device, op string, n uint64) []container.BlkioStatEntry {
	major, minor, _ := strings.Cut(device, ":")
	a, err := strconv.ParseUint(major, 10, 64)
	b, err2 := strconv.ParseUint(minor, 10, 64)
	if err != nil || err2 != nil {
		return list
	}
	return append(list, container.BlkioStatEntry{Major: a, Minor: b, Op: op, Value: n})
}

// networks reads the interfaces of the module's namespace. The first process is the
// one that was recorded when its number and its start time are the same after the read.
func (r Root) networks(m Module) map[string]container.NetworkStats {
	proc := "proc/" + strconv.Itoa(m.PID)
	b, err := r.read(proc + "/net/dev")
	if err != nil || r.startTime(proc) != m.StartTime {
		return nil
	}
	all := parseNetDev(b)
	maps.DeleteFunc(all, func(name string, _ container.NetworkStats) bool { return name == "lo" })
	return all
}

// parseNetDev reads /proc/net/dev (proc_pid_net(5)): two lines of titles, then an interface a line.
func parseNetDev(b []byte) map[string]container.NetworkStats {
	all := map[string]container.NetworkStats{}
	for line := range bytes.Lines(b) {
		name, rest, ok := strings.Cut(string(line), ":")
		words := strings.Fields(rest)
		if !ok || len(words) < 16 {
			continue
		}
		var n [16]uint64
		for i := range n {
			n[i], _ = strconv.ParseUint(words[i], 10, 64)
		}
		all[strings.TrimSpace(name)] = container.NetworkStats{
			RxBytes: n[0], RxPackets: n[1], RxErrors: n[2], RxDropped: n[3],
			TxBytes: n[8], TxPackets: n[9], TxErrors: n[10], TxDropped: n[11],
		}
	}
	return all
}

// startTime is field 22 of /proc/<pid>/stat. Field 2 is the process's own choice and ends with the last ')'.
func (r Root) startTime(proc string) uint64 {
	b, err := r.read(proc + "/stat")
	if err != nil {
		return 0
	}
	words := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(words) < 20 {
		return 0
	}
	n, _ := strconv.ParseUint(words[19], 10, 64)
	return n
}
