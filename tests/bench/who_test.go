package bench

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/peer"
	"github.com/edged/edged/tests/device"
)

// BenchmarkWho is the processor time of knowing who is asking, in this process: pkg/peer
// around a listener against the listener alone, with 1 and 200 instances in the table by
// turns. The clients are this process too; what they cost is in both and falls out of the
// difference.
func BenchmarkWho(b *testing.B) {
	bareListener := newConnections(b, 0, false)
	few, many := newConnections(b, 1, false), newConnections(b, 200, false)
	logIn(b)
	module1, module200 := newConnections(b, 1, true), newConnections(b, 200, true)
	b.Run("new-connection", func(b *testing.B) {
		const n = 1000
		var bare, host1, host200, mod1, mod200 []float64
		rounds(b, 15, func() {
			bare = append(bare, bareListener.cpu(b, n))
			host1 = append(host1, few.cpu(b, n))
			host200 = append(host200, many.cpu(b, n))
			mod1 = append(mod1, module1.cpu(b, n))
			mod200 = append(mod200, module200.cpu(b, n))
		})
		base := median(bare)
		figure(b, "bare-us", base)
		atMost(b, "module-us-of-1", median(mod1)-base, 60)
		atMost(b, "module-us-of-200", median(mod200)-base, 60)
		atMost(b, "host-us-of-1", median(host1)-base, 60)
		atMost(b, "host-us-of-200", median(host200)-base, 60)
		atMost(b, "ratio-200-to-1", (median(mod200)-base)/(median(mod1)-base), 1.15)
	})
	b.Run("kept-connection", func(b *testing.B) {
		const n = 20000
		var one, all []float64
		first, second := few.keep(b), many.keep(b)
		rounds(b, 15, func() {
			one = append(one, requests(b, first, n))
			all = append(all, requests(b, second, n))
		})
		atMost(b, "us-1-module", median(one), 2)
		atMost(b, "us-200-modules", median(all), 2)
		atMost(b, "ratio-200-to-1", median(all)/median(one), 1.15)
	})
}

// connections is a listener whose callers are known, with a number of instances in its
// table; or, with none, the bare listener.
type connections struct {
	listener net.Listener
	path     string
	kind     peer.Kind // what this process is to the listener
}

// newConnections makes one. asModule puts this process into the table, with its control
// group and network namespace: it is then a module to the listener, else the host.
func newConnections(b *testing.B, instances int, asModule bool) *connections {
	b.Helper()
	folder, err := os.MkdirTemp("", "edb")
	require.NoError(b, err)
	b.Cleanup(func() { _ = os.RemoveAll(folder) })
	path := filepath.Join(folder, "s")
	plain, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(b, err)
	b.Cleanup(func() { _ = plain.Close() })
	if instances == 0 {
		return &connections{plain, path, peer.Unknown}
	}
	table := peer.NewTable("bench")
	for i := range instances {
		id := fmt.Sprintf("module%d-g1", i)
		in := &peer.Instance{Module: id, Generation: 1, ContainerID: id, Paths: []string{"/bench/" + id}}
		if asModule && i == 0 {
			in.Paths, in.NetNS = []string{ownCgroup(b)}, ownNetNS(b)
		}
		require.NoError(b, table.Add(in))
	}
	kind := peer.Host
	if asModule {
		kind = peer.Module
	}
	peers, err := peer.New(peer.Config{Table: table})
	require.NoError(b, err)
	b.Cleanup(peers.Close)
	return &connections{peers.Listen(plain, peer.Scope{Name: "management"}), path, kind}
}

// logIn moves this process, where there is v1, to where systemd has it on such a host: the hierarchy that was mounted first is systemd's own there, and what a
// user starts is in user.slice.
func logIn(b *testing.B) {
	lines, err := os.ReadFile("/proc/self/cgroup")
	require.NoError(b, err)
	first := regexp.MustCompile(`(?m)^1:([^:,]+):/$`).FindSubmatch(lines)
	if first == nil {
		return
	}
	root := filepath.Join("/sys/fs/cgroup", string(first[1]))
	folder := filepath.Join(root, "user.slice", fmt.Sprintf("edged-bench-%d", os.Getpid()))
	enter(b, root, folder)
}

// ownCgroup moves this process into a control group of its own, until the benchmark ends.
func ownCgroup(b *testing.B) string {
	root := "/sys/fs/cgroup" // v2
	if _, err := os.Stat(root + "/pids"); err == nil {
		root += "/pids" // v1
	}
	name := fmt.Sprintf("edged-bench-%d", os.Getpid())
	enter(b, root, filepath.Join(root, name))
	return "/" + name
}

// enter moves this process into a control group, and back to the root when the benchmark ends.
func enter(b *testing.B, root, folder string) {
	require.NoError(b, os.MkdirAll(folder, 0o755))
	pid := []byte(strconv.Itoa(os.Getpid()))
	require.NoError(b, os.WriteFile(filepath.Join(folder, "cgroup.procs"), pid, 0o600))
	b.Cleanup(func() {
		require.NoError(b, os.WriteFile(filepath.Join(root, "cgroup.procs"), pid, 0o600))
		_ = os.Remove(folder) // the second listener's clean-up finds it gone
	})
}

func ownNetNS(b *testing.B) uint64 {
	var st syscall.Stat_t
	require.NoError(b, syscall.Stat("/proc/self/ns/net", &st))
	return st.Ino
}

// one makes a connection and, on a listener that can, finds out whose it is.
func (c *connections) one(b *testing.B) (client, server net.Conn) {
	client, err := net.Dial("unix", c.path)
	require.NoError(b, err)
	server, err = c.listener.Accept()
	require.NoError(b, err)
	if known, ok := server.(*peer.Conn); ok {
		caller, err := known.Caller(context.Background())
		require.NoError(b, err)
		require.Equal(b, c.kind, caller.Kind, caller.Reason)
	}
	return client, server
}

// cpu is the microseconds of processor time of a connection.
func (c *connections) cpu(b *testing.B, n int) float64 {
	b.Helper()
	before := ownCPU(b)
	for range n {
		client, server := c.one(b)
		_ = server.Close()
		_ = client.Close()
	}
	return us(ownCPU(b)-before) / float64(n)
}

func (c *connections) keep(b *testing.B) *peer.Conn {
	b.Helper()
	client, server := c.one(b)
	b.Cleanup(func() {
		_ = client.Close()
		_ = server.Close()
	})
	return server.(*peer.Conn)
}

// requests is the microseconds of asking again on a connection that is kept.
func requests(b *testing.B, c *peer.Conn, n int) float64 {
	b.Helper()
	ctx := context.Background()
	before := ownCPU(b)
	for range n {
		if caller, err := c.Caller(ctx); err != nil || caller.Kind != peer.Host {
			b.Fatal(caller, err)
		}
	}
	return us(ownCPU(b)-before) / float64(n)
}

func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkWhoWholeDaemon is edged's processor time for a small request, over what a bare
// server takes for it: identity, rules, routes and limits together. A module asks, on its
// own socket, with 1 and 200 modules there.
func BenchmarkWhoWholeDaemon(b *testing.B) {
	f := newFleet(b, "[containerd]\nshared_shim = true\n")
	for _, modules := range []int{1, 200} {
		f.grow(b, modules)
		bare := newBare(b, `{"modules":[`+f.Host("GET", onePath, "").Body+`]}`)
		reach(b, f, bare)
		for _, fresh := range []bool{true, false} {
			name, unit := "kept-connection", 1
			if fresh {
				name, unit = "new-connection", 0
			}
			b.Run(fmt.Sprintf("%s/%d-modules", name, modules), func(b *testing.B) {
				n := []int{500, 2000}[unit]
				ask := func(socket string) {
					loop{Socket: socket, Calls: []device.Call{{Method: "GET", Path: onePath}}, Cycles: n, Workers: 1, Fresh: fresh}.run(b, f.Agent())
				}
				var edged, floor []time.Duration
				rounds(b, 7, func() {
					before := cpuOf(b, f.Edged.PID())
					ask(device.ManagementInside)
					edged = append(edged, cpuOf(b, f.Edged.PID())-before)
					before = cpuOf(b, bare.pid)
					ask("/probe/bare.sock")
					floor = append(floor, cpuOf(b, bare.pid)-before)
				})
				figure(b, "cpu-us", us(median(edged))/float64(n))
				figure(b, "bare-cpu-us", us(median(floor))/float64(n))
				figure(b, "added-cpu-us", us(median(edged)-median(floor))/float64(n))
			})
		}
	}
}

// reach puts the bare server's socket where edgeAgent can reach it.
func reach(b *testing.B, f *fleet, s *bare) {
	b.Helper()
	link := filepath.Join(f.ProbeDir("edgeAgent"), "bare.sock")
	_ = os.Remove(link)
	require.NoError(b, os.Link(s.socket, link))
}
