// Package engine has whole-system tests of createOptions: what an option does is read inside a running module.
package engine

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/engine"
	"github.com/edged/edged/tests/device"
)

// effect is one module and what shows, inside it, that options were honoured.
type effect struct {
	module  string
	options string
	// shows is by option: what a shell command prints has to match. The first %s is the device's root.
	shows map[string]show
}

type show struct{ command, want string }

// both reads a control file on cgroup v1 or v2.
func both(v1, v2 string) string {
	return fmt.Sprintf("cat /sys/fs/cgroup/%s 2>/dev/null || cat /sys/fs/cgroup/%s", v1, v2)
}

func TestEveryHonouredOptionHasItsEffect(t *testing.T) {
	parent := "/modules-of-" + strings.ToLower(rand.Text()[:8])
	if unified() { // systemd makes it, in the machine that has this layout
		parent = "modulesof" + strings.ToLower(rand.Text()[:8]) + ".slice"
	}
	t.Cleanup(func() { device.RemoveCgroups(t, strings.TrimPrefix(parent, "/")) }) // after the device is gone
	d := device.New(t, device.Options{Network: true})
	block, number := blockDevice(t)
	weighed, weighedNumber := weighedDevice(t)
	describe(t, d)
	data := filepath.Join(d.Root, "data")
	require.NoError(t, os.Mkdir(data, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(data, "file"), []byte("from the host\n"), 0o644))

	tested := map[string]bool{"HostConfig": true}
	place := machine{data: data, block: block, number: number, parent: parent, namespace: d.Namespace, weighed: weighed, weighedNumber: weighedNumber, network: namespaceIn(t, d.NetNS())}
	for _, e := range append(effects(place), networkEffects...) {
		for option := range e.shows {
			tested[option] = true
		}
		t.Run(e.module, func(t *testing.T) { e.run(t, d.For(t)) })
	}
	all := maps.Clone(others)
	maps.Copy(all, published)
	for option, test := range all {
		tested[option] = true
		t.Run(option, func(t *testing.T) { test(t, d.For(t)) })
	}
	for _, option := range engine.Options() {
		if option.Treatment == engine.Honoured {
			require.True(t, tested[option.Name], "%s counts as honoured, and nothing reads its effect", option.Name)
		} else {
			require.False(t, tested[option.Name], "%s has an effect, so it is honoured", option.Name)
		}
	}
}

// machine is what options name and what depends on where the test runs.
type machine struct {
	data                   string // a folder of the host
	block, number          string // a disk
	weighed, weighedNumber string // another, with a scheduler that weighs
	parent, namespace      string // of control groups
	network                string // matches the device's own network namespace
}

func effects(m machine) []effect {
	list := []effect{
		{"person", `{"User":"1000:1000","WorkingDir":"/tmp/deep","Env":["WHO=me","OVERRIDDEN=options"],"Hostname":"box","Domainname":"lab.example",
			"HostConfig":{"GroupAdd":["extra","4242"],"Umask":63}}`, map[string]show{
			"User": {"id -u", `^1000$`}, "HostConfig.GroupAdd": {"id -G", `^1000 1234 4242$`}, "HostConfig.Umask": {"umask", `^0077$`}, "WorkingDir": {"pwd", `^/tmp/deep$`},
			"Env": {"echo $WHO $OVERRIDDEN $FROM_IMAGE", `^me options yes$`}, "Hostname": {"hostname; cat /etc/hostname", `^box\nbox$`},
			"Domainname": {"cat /proc/sys/kernel/domainname; grep box /etc/hosts", `^lab.example\n172.30.\d+.\d+\tbox.lab.example box person$`},
			"Entrypoint": {"head -c 10 /proc/1/cmdline | tr '\\0' ' '", `^/bin/sh -c$`}, "Cmd": {"echo $0 $1", `^arg0 arg1$`},
		}},
		{"limits", fmt.Sprintf(`{"HostConfig":{"Memory":67108864,"MemoryReservation":33554432,"MemorySwap":100663296,
			"CpuShares":512,"CpuPeriod":50000,"CpuQuota":25000,"CpusetCpus":"0","CpusetMems":"0","PidsLimit":77,"OomScoreAdj":300,
			"Ulimits":[{"Name":"nofile","Soft":256,"Hard":512},{"Name":"core","Soft":0,"Hard":0}],
			"BlkioDeviceReadBps":[{"Path":%[1]q,"Rate":1048576}],"BlkioDeviceWriteBps":[{"Path":%[1]q,"Rate":2097152}],
			"BlkioDeviceReadIOps":[{"Path":%[1]q,"Rate":100}],"BlkioDeviceWriteIOps":[{"Path":%[1]q,"Rate":200}]}}`, m.block), map[string]show{
			"HostConfig.Memory": {both("memory/memory.limit_in_bytes", "memory.max"), `^67108864$`}, "HostConfig.MemoryReservation": {both("memory/memory.soft_limit_in_bytes", "memory.low"), `^33554432$`},
			"HostConfig.MemorySwap": {both("memory/memory.memsw.limit_in_bytes", "memory.swap.max"), `^(100663296|33554432)$`},
			"HostConfig.CpuShares":  {both("cpu/cpu.shares", "cpu.weight"), `^(512|20|59)$`}, "HostConfig.CpuPeriod": {both("cpu/cpu.cfs_period_us", "cpu.max"), `50000$`},
			"HostConfig.CpuQuota": {both("cpu/cpu.cfs_quota_us", "cpu.max"), `^25000`}, "HostConfig.CpusetCpus": {"grep Cpus_allowed_list /proc/self/status", `:\t0$`},
			"HostConfig.CpusetMems": {both("cpuset/cpuset.mems", "cpuset.mems"), `^0$`}, "HostConfig.PidsLimit": {both("pids/pids.max", "pids.max"), `^77$`},
			"HostConfig.OomScoreAdj": {"cat /proc/self/oom_score_adj", `^300$`}, "HostConfig.Ulimits": {"ulimit -Sn; ulimit -Hn; ulimit -c", `^256\n512\n0$`},
			"HostConfig.BlkioDeviceReadBps":   {both("blkio/blkio.throttle.read_bps_device", "io.max"), m.number + `.*1048576`},
			"HostConfig.BlkioDeviceWriteBps":  {both("blkio/blkio.throttle.write_bps_device", "io.max"), m.number + `.*2097152`},
			"HostConfig.BlkioDeviceReadIOps":  {both("blkio/blkio.throttle.read_iops_device", "io.max"), m.number + `.*100`},
			"HostConfig.BlkioDeviceWriteIOps": {both("blkio/blkio.throttle.write_iops_device", "io.max"), m.number + `.*200`},
		}},
		{"place", fmt.Sprintf(`{"NetworkDisabled":true,"HostConfig":{"NanoCpus":500000000,"CgroupParent":"%s","CgroupnsMode":"host","IpcMode":"none","Init":true}}`, m.parent), map[string]show{
			"HostConfig.NanoCpus": {"cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cat /sys/fs/cgroup/cpu.max", `^50000`}, "HostConfig.CgroupParent": {"cat /proc/self/cgroup", placeBelow(m.parent)},
			"HostConfig.CgroupnsMode": {"cat /proc/self/cgroup", placeBelow(m.parent)}, "NetworkDisabled": {"tail -n +3 /proc/net/dev | cut -d: -f1", `^\s*lo$`},
			"HostConfig.Init": {"cat /proc/1/comm; echo $$", `^edged-init\n[2-9]$`},
		}},
		{"guarded", `{"HostConfig":{"CapAdd":["NET_ADMIN"],"CapDrop":["CHOWN"],"ReadonlyRootfs":true,"MaskedPaths":["/proc/uptime"],"ReadonlyPaths":["/proc/irq"],
			"SecurityOpt":["no-new-privileges","seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\",\"mkdirat\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":42}]}"]}}`, map[string]show{
			"HostConfig.CapAdd": {"grep CapBnd /proc/self/status", `00000000a80435fa$`}, "HostConfig.CapDrop": {"grep CapBnd /proc/self/status", `00000000a80435fa$`},
			"HostConfig.ReadonlyRootfs": {"touch /x", `Read-only file system`}, "HostConfig.MaskedPaths": {"wc -c </proc/uptime", `^0$`},
			"HostConfig.ReadonlyPaths": {"grep -c ' /proc/irq proc ro' /proc/mounts; grep -c ' /proc/sys ' /proc/mounts", `^1\n0$`},
			"HostConfig.SecurityOpt":   {"grep NoNewPrivs /proc/self/status; mkdir /tmp/x", `^NoNewPrivs:\t1\nmkdir: can't create directory '/tmp/x': No message of desired type$`},
		}},
		{"wide", `{"HostConfig":{"Privileged":true,"NetworkMode":"host","PidMode":"host","IpcMode":"host","UTSMode":"host"}}`, map[string]show{
			"HostConfig.Privileged":  {"grep -E 'CapBnd|Seccomp:' /proc/self/status; ls /dev/loop-control; grep -c ' /sys/fs/cgroup.* rw' /proc/mounts", `^CapBnd:\t` + ownCaps() + `\nSeccomp:\t0\n/dev/loop-control\n[1-9]`},
			"HostConfig.NetworkMode": {"readlink /proc/self/ns/net", m.network}, "HostConfig.PidMode": {"readlink /proc/self/ns/pid", ownNamespace("pid")},
			"HostConfig.IpcMode": {"readlink /proc/self/ns/ipc; stat -c %d /dev/shm", ownNamespace("ipc")}, "HostConfig.UTSMode": {"readlink /proc/self/ns/uts; cat /etc/hostname", ownNamespace("uts")},
		}},
		{"terminal", `{"Tty":true,"OpenStdin":true,"HostConfig":{"ConsoleSize":[40,120]}}`, map[string]show{
			"Tty": {"test -t 0 && test -t 1 && test -t 2 && echo all three; echo $TERM", `^all three\nxterm$`}, "HostConfig.ConsoleSize": {"stty size", `^40 120$`},
			"OpenStdin": {"timeout 1 cat; echo ended with $?", `^(Terminated\n)?ended with (143|124)$`},
		}},
		{"holder", fmt.Sprintf(`{"HostConfig":{"Binds":["%[1]s:/bound:ro"],"Mounts":[{"Type":"bind","Source":"%[1]s","Target":"/again","ReadOnly":true,"BindOptions":{"ReadOnlyForceRecursive":true}},
			{"Type":"tmpfs","Target":"/run-here","TmpfsOptions":{"SizeBytes":1048576,"Mode":448,"Options":[["exec"],["uid","1000"]]}}],"Tmpfs":{"/fast":"size=2m,mode=1777,uid=7"},"ShmSize":8388608,
			"Sysctls":{"net.ipv4.ip_forward":"1","kernel.msgmax":"12345"},"Devices":[{"PathOnHost":"/dev/tty63","PathInContainer":"/dev/mine","CgroupPermissions":"r"}],
			"DeviceCgroupRules":["c 10:237 r"],"DeviceRequests":[{"Driver":"cdi","DeviceIDs":["%[2]s.example/thing=one"]}]}}`, m.data, m.namespace), map[string]show{
			"HostConfig.Binds": {"cat /bound/file; touch /bound/x", `^from the host\ntouch: /bound/x: Read-only`}, "HostConfig.Mounts": {"cat /again/file; touch /again/x; grep /run-here /proc/mounts", `^from the host\ntouch: /again/x: Read-only .*\n.*rw,nosuid,nodev,relatime,size=1024k,mode=700,uid=1000`},
			"HostConfig.Tmpfs": {"grep ' /fast ' /proc/mounts", `nosuid,nodev,noexec,.*size=2048k,uid=7`}, "HostConfig.ShmSize": {"grep ' /dev/shm ' /proc/mounts", `size=8192k`},
			"HostConfig.Sysctls":           {"cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax", `^1\n12345$`},
			"HostConfig.Devices":           {"true </dev/mine && echo read; true >/dev/mine", `^read\n.*/dev/mine: Operation not permitted$`},
			"HostConfig.DeviceCgroupRules": {"mknod /tmp/l c 10 237; true </tmp/l && echo opened; mknod /tmp/z c 10 236; true </tmp/z", `^opened\n.*/tmp/z: Operation not permitted$`},
			"HostConfig.DeviceRequests":    {"echo $FROM_DESCRIPTION; true </dev/described && echo opened", `^yes\nopened$`},
		}},
		{"guest", `{"HostConfig":{"PidMode":"container:person"}}`, map[string]show{
			"HostConfig.PidMode": {"tr '\\0' ' ' </proc/1/cmdline; echo; hostname; test $$ -gt 1 && echo not the first", `^/bin/probe sleep \nguest-\w+\nnot the first$`},
		}},
	}
	if !unified() {
		list = append(list, effect{"old", `{"HostConfig":{"MemorySwappiness":10,"OomKillDisable":true,"Memory":67108864}}`, map[string]show{
			"HostConfig.MemorySwappiness": {"cat /sys/fs/cgroup/memory/memory.swappiness", `^10$`}, "HostConfig.OomKillDisable": {"cat /sys/fs/cgroup/memory/memory.oom_control", `oom_kill_disable 1`},
		}})
	}
	return append(list, effect{"weighed", fmt.Sprintf(`{"HostConfig":{"BlkioWeight":300,"BlkioWeightDevice":[{"Path":%q,"Weight":200}]}}`, m.weighed), map[string]show{
		"HostConfig.BlkioWeight": {both("blkio/blkio.bfq.weight", "io.bfq.weight"), `\b300\b`}, "HostConfig.BlkioWeightDevice": {both("blkio/blkio.bfq.weight_device", "io.bfq.weight"), m.weighedNumber + ` 200`},
	}})
}

// run starts the module with a script as its command and compares what the script prints.
func (e effect) run(t *testing.T, d *device.Device) {
	options := slices.Sorted(func(yield func(string) bool) {
		for option := range e.shows {
			if !yield(option) {
				return
			}
		}
	})
	var script strings.Builder
	script.WriteString("export PATH=/bin\n")
	for _, option := range options {
		fmt.Fprintf(&script, "echo '== %s'\n{ %s\n} 2>&1\n", option, e.shows[option].command)
	}
	script.WriteString("echo '== end'\nexec /bin/probe sleep")
	spec := d.CommandSpec(e.module)
	spec.Config.Settings.CreateOptions = json.RawMessage(e.options)
	spec = device.WithOptions(spec, func(top, _ map[string]any) {
		top["Entrypoint"] = "/bin/sh"
		top["Cmd"] = []string{"-c", script.String(), "arg0", "arg1"}
	})
	d.CreateAndStart(spec)
	out := ""
	d.Eventually("the script is through", func() bool {
		out = strings.ReplaceAll(d.Logs(e.module, ""), "\r\n", "\n")
		return strings.Contains(out, "\n== end\n")
	})
	for i, option := range options {
		next := "end"
		if i+1 < len(options) {
			next = options[i+1]
		}
		_, rest, _ := strings.Cut(out, "== "+option+"\n")
		text, _, _ := strings.Cut(rest, "== "+next+"\n")
		require.Regexp(t, regexp.MustCompile(e.shows[option].want), strings.TrimSuffix(text, "\n"), option)
	}
	m, _ := d.Get(e.module)
	require.JSONEq(t, string(spec.Config.Settings.CreateOptions), string(m.Config.Settings.CreateOptions), "createOptions come back as given")
	require.Equal(t, "running", m.Status.RuntimeStatus.Status)
}

// placeBelow matches the control group of the module "place" below its parent.
func placeBelow(parent string) string {
	if unified() {
		return `:/` + parent + `/edged-place-\w+-g1\.scope`
	}
	return `:` + parent + `/place-`
}

func unified() bool {
	var fs unix.Statfs_t
	return unix.Statfs("/sys/fs/cgroup", &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC
}

// namespaceIn is what a process in the namespace of a file reads of it.
func namespaceIn(t *testing.T, file string) string {
	info, err := os.Stat(file)
	require.NoError(t, err)
	return regexp.QuoteMeta(fmt.Sprintf("net:[%d]", info.Sys().(*syscall.Stat_t).Ino))
}

func ownNamespace(name string) string {
	link, _ := os.Readlink("/proc/self/ns/" + name)
	return "^" + regexp.QuoteMeta(link)
}

// ownCaps are what edged holds, which is what the test holds.
func ownCaps() string {
	b, _ := os.ReadFile("/proc/self/status")
	m := regexp.MustCompile(`CapEff:\t(\w+)`).FindSubmatch(b)
	return string(m[1])
}

// blockDevice is any whole disk of the machine, and its number.
func blockDevice(t *testing.T) (path, number string) {
	disks, err := filepath.Glob("/sys/block/*/dev")
	require.NoError(t, err)
	for _, disk := range disks {
		path = "/dev/" + filepath.Base(filepath.Dir(disk))
		if _, err := os.Stat(path); err == nil && !strings.Contains(path, "loop") {
			b, err := os.ReadFile(disk)
			require.NoError(t, err)
			return path, strings.TrimSpace(string(b))
		}
	}
	t.Fatal("this machine has no disk")
	return "", ""
}

// weighedDevice is a loop device that nobody uses, with the one scheduler that weighs for as long as the test.
func weighedDevice(t *testing.T) (path, number string) {
	for _, dir := range []string{"/sys/block/loop7", "/sys/block/loop6", "/sys/block/loop5"} {
		scheduler := filepath.Join(dir, "queue/scheduler")
		b, err := os.ReadFile(scheduler)
		if _, used := os.Stat(filepath.Join(dir, "loop")); err != nil || used == nil {
			continue
		}
		before := regexp.MustCompile(`\[(.+)\]`).FindSubmatch(b)
		require.NoError(t, os.WriteFile(scheduler, []byte("bfq"), 0), "the kernel has the scheduler BFQ")
		t.Cleanup(func() { _ = os.WriteFile(scheduler, before[1], 0) })
		b, err = os.ReadFile(filepath.Join(dir, "dev"))
		require.NoError(t, err)
		return "/dev/" + filepath.Base(dir), strings.TrimSpace(string(b))
	}
	t.Fatal("this machine has no loop device that is free")
	return "", ""
}

// describe writes a device description of the Container Device Interface, under a vendor of this device's own.
func describe(t *testing.T, d *device.Device) {
	const dir = "/var/run/cdi"
	_, err := os.Stat(dir)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	file := filepath.Join(dir, d.Namespace+".json")
	t.Cleanup(func() {
		_ = os.Remove(file)
		if err != nil {
			_ = os.Remove(dir) // it was not there before
		}
	})
	text := fmt.Sprintf(`{"cdiVersion":"0.6.0","kind":"%s.example/thing","devices":[{"name":"one","containerEdits":{"env":["FROM_DESCRIPTION=yes"],"deviceNodes":[{"path":"/dev/described","hostPath":"/dev/tty62"}]}}]}`, d.Namespace)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
}
