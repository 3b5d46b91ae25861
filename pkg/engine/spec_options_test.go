package engine

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/module"
)

// knownImage knows its users already, so that no containerd is asked.
func knownImage() unpacked {
	image := unpacked{config: ocispec.ImageConfig{Cmd: []string{"/serve"}}, users: new(sync.Map)}
	image.users.Store("", specs.User{AdditionalGids: []uint32{0}})
	image.users.Store("app", specs.User{UID: 7, GID: 8, AdditionalGids: []uint32{8}})
	image.users.Store(imageGroup("dialout"), uint32(20))
	return image
}

// specFor is the whole OCI spec of a module with these options, which have passed Check.
func specFor(e *Engine, spec *module.Spec) (*oci.Spec, error) {
	o, _, err := parseOptions(spec.CreateOptions)
	if err != nil {
		return nil, err
	}
	c := &module.Container{ID: "temp-1-g1", Spec: *spec, Sockets: sockets}
	plan, err := e.networkPlan(spec, o, nil)
	if err != nil {
		return nil, err
	}
	opts, err := e.specOptions(c, o, knownImage(), plan, nil)
	if err != nil {
		return nil, err
	}
	ctx := namespaces.WithNamespace(context.Background(), e.Namespace)
	return oci.GenerateSpec(ctx, nil, &ociContainer{ID: c.ID, Snapshotter: "overlayfs", SnapshotKey: c.ID}, opts...)
}

// at reads a value of the spec's JSON by its path; a list's element is found by its number.
func at(t *testing.T, spec *oci.Spec, path string) string {
	t.Helper()
	b, err := json.Marshal(spec)
	require.NoError(t, err)
	var value any
	require.NoError(t, json.Unmarshal(b, &value))
	for part := range strings.SplitSeq(path, ".") {
		object, ok := value.(map[string]any)
		if !ok {
			return "nothing at " + part
		}
		value = object[part]
	}
	b, err = json.Marshal(value)
	require.NoError(t, err)
	return string(b)
}

func TestEachOptionIsWhereTheRuntimeReadsIt(t *testing.T) {
	e, dir := engineIn(t)
	for _, f := range []string{"blkio/blkio.bfq.weight"} {
		require.NoError(t, os.MkdirAll(filepath.Join(e.cgroups, filepath.Dir(f)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(e.cgroups, f), nil, 0o644))
	}
	program := filepath.Join(dir, "init")
	require.NoError(t, os.WriteFile(program, nil, 0o755))
	e.inits = []string{program}
	const resources = "linux.resources."
	for _, tc := range []struct{ options, path, want string }{
		{`{"Hostname":"h"}`, "hostname", `"h"`},
		{`{"Domainname":"lab.example"}`, "linux.sysctl", `"kernel.domainname":"lab.example"`},
		{`{"User":"app"}`, "process.user", `{"additionalGids":[8],"gid":8,"uid":7}`},
		{`{"Tty":true}`, "process.terminal", `true`},
		{`{"Tty":true}`, "process.env", `"TERM=xterm"`},
		{`{"Tty":true,"HostConfig":{"ConsoleSize":[40,120]}}`, "process.consoleSize", `{"height":40,"width":120}`},
		{`{"HostConfig":{"ConsoleSize":[40,120]}}`, "process.consoleSize", `null`},
		{`{"Tty":true,"OpenStdin":true}`, "process.terminal", `true`},
		{`{"Env":["A=1"]}`, "process.env", `"A=1"`},
		{`{"Cmd":["/x","y"]}`, "process.args", `["/x","y"]`},
		{`{"Entrypoint":["/e"]}`, "process.args", `["/e"]`},
		{`{"WorkingDir":"/w"}`, "process.cwd", `"/w"`},
		{`{"NetworkDisabled":true}`, "linux.namespaces", `{"type":"network"}`},
		{`{"HostConfig":{"Annotations":{"a.example":"b"}}}`, "annotations", `{"a.example":"b"}`},
		{`{"HostConfig":{"CapAdd":["SYS_TIME"]}}`, "process.capabilities.bounding", `"CAP_SYS_TIME"`},
		{`{"HostConfig":{"CapDrop":["ALL"]}}`, "process.capabilities.bounding", `null`},
		{`{"HostConfig":{"CgroupnsMode":"private"}}`, "linux.namespaces", `{"type":"cgroup"}`},
		{`{"HostConfig":{"CgroupParent":"/line"}}`, "linux.cgroupsPath", `"/line/temp-1-g1"`},
		{`{"HostConfig":{"GroupAdd":["dialout","44","0"]}}`, "process.user.additionalGids", `[0,20,44]`},
		{`{"HostConfig":{"Umask":18}}`, "process.user.umask", `18`},
		{`{"HostConfig":{"IpcMode":"host"}}`, "mounts", `"destination":"/dev/shm","options":["rbind","rprivate","rw","nosuid","noexec","nodev"],"source":"/dev/shm","type":"bind"`},
		{`{"HostConfig":{"IpcMode":"shareable"}}`, "linux.namespaces", `{"type":"ipc"}`},
		{`{"HostConfig":{"OomScoreAdj":-7}}`, "process.oomScoreAdj", `-7`},
		{`{}`, "process.oomScoreAdj", `0`},
		{`{"HostConfig":{"PidMode":"container:other"}}`, "annotations", `{"io.edged.pid-of":"other"}`},
		{`{"HostConfig":{"ReadonlyRootfs":true}}`, "root.readonly", `true`},
		{`{"HostConfig":{"SecurityOpt":["no-new-privileges"]}}`, "process.noNewPrivileges", `true`},
		{`{"HostConfig":{"SecurityOpt":["no-new-privileges:true"]}}`, "process.noNewPrivileges", `true`},
		{`{"HostConfig":{"SecurityOpt":["no-new-privileges=false"]}}`, "process.noNewPrivileges", `null`},
		{`{}`, "linux.seccomp.defaultAction", `"SCMP_ACT_ERRNO"`},
		{`{"HostConfig":{"SecurityOpt":["seccomp=unconfined"]}}`, "linux.seccomp", `null`},
		{`{"HostConfig":{"SecurityOpt":["seccomp:builtin"]}}`, "linux.seccomp.defaultAction", `"SCMP_ACT_ERRNO"`},
		{`{"HostConfig":{"SecurityOpt":["seccomp={\"defaultAction\":\"SCMP_ACT_LOG\"}"]}}`, "linux.seccomp", `{"defaultAction":"SCMP_ACT_LOG"}`},
		{`{"HostConfig":{"Privileged":true,"SecurityOpt":["seccomp={\"defaultAction\":\"SCMP_ACT_LOG\"}"]}}`, "linux.seccomp", `{"defaultAction":"SCMP_ACT_LOG"}`},
		{`{"HostConfig":{"SecurityOpt":["systempaths=unconfined"]}}`, "linux.maskedPaths", `null`},
		{`{"HostConfig":{"SecurityOpt":["systempaths=unconfined"]}}`, "linux.readonlyPaths", `null`},
		{`{"HostConfig":{"SecurityOpt":["label=disable","apparmor=unconfined"]}}`, "process.selinuxLabel", `null`},
		{`{"HostConfig":{"SecurityOpt":["writable-cgroups=true"]}}`, "mounts", `"destination":"/sys/fs/cgroup","options":["rw",`},
		{`{}`, "mounts", `"destination":"/sys/fs/cgroup","options":["ro",`},
		{`{"HostConfig":{"Privileged":true}}`, "linux.seccomp", `null`},
		{`{"HostConfig":{"Privileged":true}}`, "linux.maskedPaths", `null`},
		{`{"HostConfig":{"MaskedPaths":["/proc/a"]}}`, "linux.maskedPaths", `["/proc/a"]`},
		{`{"HostConfig":{"MaskedPaths":[]}}`, "linux.maskedPaths", `null`},
		{`{"HostConfig":{"ReadonlyPaths":["/proc/b"]}}`, "linux.readonlyPaths", `["/proc/b"]`},
		{`{}`, "linux.readonlyPaths", `"/proc/sys"`},
		{`{"HostConfig":{"Tmpfs":{"/t":"size=1m,exec"}}}`, "mounts", `{"destination":"/t","options":["nosuid","nodev","size=1m","exec"],"source":"tmpfs","type":"tmpfs"}`},
		{`{"HostConfig":{"ShmSize":1048576}}`, "mounts", `"mode=1777","size=1048576"],"source":"shm"`},
		{`{}`, "mounts", `"mode=1777","size=67108864"],"source":"shm"`},
		{`{"HostConfig":{"Sysctls":{"net.core.somaxconn":"9"}}}`, "linux.sysctl", `"net.core.somaxconn":"9"`},
		{`{"HostConfig":{"Sysctls":{"net.ipv4.ip_unprivileged_port_start":"1024"}}}`, "linux.sysctl", `"net.ipv4.ip_unprivileged_port_start":"1024"`},
		{`{"HostConfig":{"Init":true}}`, "process.args", `["/sbin/edged-init","--","/serve"]`},
		{`{"HostConfig":{"Init":true}}`, "mounts", `{"destination":"/sbin/edged-init","options":["bind","rprivate","ro","nosuid","nodev"],"source":"` + program + `","type":"bind"}`},
		{`{"HostConfig":{"Init":true,"PidMode":"host"}}`, "process.args", `["/serve"]`},
		{`{"HostConfig":{"Memory":67108864}}`, resources + "memory", `{"limit":67108864,"swap":134217728}`},
		{`{"HostConfig":{"Memory":67108864,"MemorySwap":-1}}`, resources + "memory.swap", `-1`},
		{`{"HostConfig":{"Memory":67108864,"MemorySwap":67108864}}`, resources + "memory.swap", `67108864`},
		{`{"HostConfig":{"MemoryReservation":33554432}}`, resources + "memory", `{"reservation":33554432}`},
		{`{"HostConfig":{"MemorySwappiness":0}}`, resources + "memory", `{"swappiness":0}`},
		{`{"HostConfig":{"MemorySwappiness":-1}}`, resources + "memory", `null`},
		{`{"HostConfig":{"OomKillDisable":true}}`, resources + "memory", `{"disableOOMKiller":true}`},
		{`{"HostConfig":{"NanoCpus":500000000}}`, resources + "cpu", `{"period":100000,"quota":50000}`},
		{`{"HostConfig":{"CpuShares":512}}`, resources + "cpu", `{"shares":512}`},
		{`{"HostConfig":{"CpuPeriod":50000,"CpuQuota":25000}}`, resources + "cpu", `{"period":50000,"quota":25000}`},
		{`{"HostConfig":{"CpuQuota":-1}}`, resources + "cpu", `{"quota":-1}`},
		{`{"HostConfig":{"CpusetCpus":"0-1","CpusetMems":"0"}}`, resources + "cpu", `{"cpus":"0-1","mems":"0"}`},
		{`{"HostConfig":{"PidsLimit":10}}`, resources + "pids", `{"limit":10}`},
		{`{"HostConfig":{"PidsLimit":-1}}`, resources + "pids", `null`},
		{`{"HostConfig":{"BlkioWeight":500}}`, resources + "blockIO", `{"weight":500}`},
		{`{"HostConfig":{"Ulimits":[{"Name":"nofile","Soft":10,"Hard":20},{"Name":"core","Soft":0,"Hard":0}]}}`, "process.rlimits", `[{"hard":20,"soft":10,"type":"RLIMIT_NOFILE"},{"hard":0,"soft":0,"type":"RLIMIT_CORE"}]`},
		{`{"HostConfig":{"Devices":[{"PathOnHost":"/dev/full"}]}}`, "linux.devices", `"path":"/dev/full"`},
		{`{"HostConfig":{"Devices":[{"PathOnHost":"/dev/full","PathInContainer":"/dev/x","CgroupPermissions":"r"}]}}`, resources + "devices", `{"access":"r","allow":true,"major":1,"minor":7,"type":"c"}`},
		{`{"HostConfig":{"DeviceCgroupRules":["c 188:* rw"]}}`, resources + "devices", `{"access":"rw","allow":true,"major":188,"minor":-1,"type":"c"}`},
		{`{"HostConfig":{"Binds":["` + dir + `/data:/dev"]}}`, "mounts", `"destination":"/dev"`},
	} {
		spec := specWith(tc.options)
		_, err := e.Check(spec)
		require.NoError(t, err, tc.options)
		s, err := specFor(e, spec)
		require.NoError(t, err, tc.options)
		require.Contains(t, at(t, s, tc.path), tc.want, "%s: %s", tc.options, tc.path)
	}
	for options, absent := range map[string]string{
		`{"HostConfig":{"NetworkMode":"host"}}`: `"type":"network"`, `{"HostConfig":{"PidMode":"host"}}`: `"type":"pid"`, `{"HostConfig":{"IpcMode":"host"}}`: `"type":"ipc"`,
		`{"HostConfig":{"UTSMode":"host"}}`: `"type":"uts"`, `{"HostConfig":{"CgroupnsMode":"host"}}`: `"type":"cgroup"}]`, `{"HostConfig":{"IpcMode":"none"}}`: `/dev/shm`,
		`{"HostConfig":{"Binds":["` + dir + `/data:/dev"]}}`: `"destination":"/dev/pts"`, `{"HostConfig":{"Tmpfs":{"/dev/shm":""}}}`: `"source":"shm"`,
		`{"HostConfig":{"NetworkMode":"host","UsernsMode":"host"}}`: `ip_unprivileged_port_start`,
	} {
		s, err := specFor(e, specWith(options))
		require.NoError(t, err, options)
		b, err := json.Marshal(s)
		require.NoError(t, err)
		require.NotContains(t, string(b), absent, options)
	}
}

func TestAPrivilegedModuleLeavesTheNextOnesCgroupsReadOnly(t *testing.T) {
	e, _ := engineIn(t)
	_, err := specFor(e, specWith(`{"HostConfig":{"Privileged":true}}`))
	require.NoError(t, err)
	s, err := specFor(e, specWith(`{}`))
	require.NoError(t, err)
	require.Contains(t, at(t, s, "mounts"), `"destination":"/sys/fs/cgroup","options":["ro",`)
}

func TestOptionsThatCannotBeAreRefusedByName(t *testing.T) {
	e, dir := engineIn(t)
	e.inits = []string{"no-such-init"}
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "empty"), 0o755))
	for value, want := range map[string]string{
		`"MemorySwap":67108864`:                                         "HostConfig.MemorySwap",
		`"Memory":67108864,"MemorySwap":33554432`:                       "HostConfig.MemorySwap",
		`"MemorySwap":-2`:                                               "HostConfig.MemorySwap",
		`"Memory":67108864,"MemoryReservation":134217728`:               "HostConfig.MemoryReservation",
		`"MemoryReservation":1`:                                         "HostConfig.MemoryReservation",
		`"MemorySwappiness":101`:                                        "HostConfig.MemorySwappiness",
		`"NanoCpus":3000000000`:                                         "HostConfig.NanoCpus",
		`"NanoCpus":1000000000,"CpuPeriod":100000`:                      "HostConfig.NanoCpus",
		`"NanoCpus":1000000000,"CpuQuota":100000`:                       "HostConfig.NanoCpus",
		`"CpuPeriod":999`:                                               "HostConfig.CpuPeriod",
		`"CpuPeriod":1000001`:                                           "HostConfig.CpuPeriod",
		`"CpuQuota":999`:                                                "HostConfig.CpuQuota",
		`"CpuShares":1`:                                                 "HostConfig.CpuShares",
		`"CpuShares":-1`:                                                "HostConfig.CpuShares",
		`"CpusetCpus":"2"`:                                              "HostConfig.CpusetCpus",
		`"CpusetCpus":"1-0"`:                                            "HostConfig.CpusetCpus",
		`"CpusetCpus":"0-9999999"`:                                      "HostConfig.CpusetCpus",
		`"CpusetCpus":"a"`:                                              "HostConfig.CpusetCpus",
		`"CpusetMems":"1"`:                                              "HostConfig.CpusetMems",
		`"PidsLimit":-2`:                                                "HostConfig.PidsLimit",
		`"BlkioWeight":9`:                                               "HostConfig.BlkioWeight",
		`"BlkioWeight":500`:                                             "HostConfig.BlkioWeight",
		`"BlkioWeightDevice":[{"Path":"/dev/null","Weight":1}]`:         "HostConfig.BlkioWeightDevice",
		`"BlkioDeviceReadBps":[{"Path":"/dev/null","Rate":1}]`:          "HostConfig.BlkioDeviceReadBps: /dev/null is not a block device",
		`"BlkioDeviceWriteBps":[{"Path":"/dev/none","Rate":1}]`:         "HostConfig.BlkioDeviceWriteBps: cannot find device",
		`"BlkioDeviceReadIOps":[{"Path":"null","Rate":1}]`:              "HostConfig.BlkioDeviceReadIOps",
		`"BlkioDeviceWriteIOps":[null]`:                                 "HostConfig.BlkioDeviceWriteIOps",
		`"Ulimits":[{"Name":"files","Soft":1,"Hard":1}]`:                "HostConfig.Ulimits: unknown name",
		`"Ulimits":[{"Name":"nofile","Soft":2,"Hard":1}]`:               "HostConfig.Ulimits",
		`"Ulimits":[{"Name":"nofile","Soft":1,"Hard":1025}]`:            "is above edged's own",
		`"Ulimits":[{"Name":"nofile","Soft":1,"Hard":-1}]`:              "is above edged's own",
		`"Ulimits":[{"Name":"core","Hard":1},{"Name":"core","Hard":1}]`: "given twice",
		`"Ulimits":[null]`:                                              "HostConfig.Ulimits",
		`"Devices":[{"PathOnHost":"/dev/not-plugged-in"}]`:              "HostConfig.Devices: entry for \"/dev/not-plugged-in\": cannot find device",
		`"Devices":[{"PathOnHost":"/etc/passwd"}]`:                      "is not a device",
		`"Devices":[{"PathOnHost":"` + dir + `/empty"}]`:                "there is no device in folder",
		`"Devices":[{"PathOnHost":"dev/null"}]`:                         "PathOnHost is not an absolute path",
		`"Devices":[{"PathOnHost":"/dev/null","PathInContainer":"x"}]`:  "PathInContainer",
		`"Devices":[{"PathOnHost":"/dev/null","PathInContainer":"/run/edged/workload.sock"}]`:                                            "where the module's sockets are",
		`"Devices":[{"PathOnHost":"/dev/null","CgroupPermissions":"rx"}]`:                                                                "CgroupPermissions",
		`"Devices":[{"PathOnHost":"/dev/null","PathInContainer":"/dev/a"},{"PathOnHost":"/dev/zero","PathInContainer":"/dev/../dev/a"}]`: "two devices at /dev/a",
		`"DeviceCgroupRules":["c 1:3"]`:                                                             "HostConfig.DeviceCgroupRules",
		`"DeviceCgroupRules":["c 4294967296:3 r"]`:                                                  "HostConfig.DeviceCgroupRules",
		`"DeviceCgroupRules":["x 1:3 rwm"]`:                                                         "HostConfig.DeviceCgroupRules",
		`"DeviceRequests":[{"Driver":"acme"}]`:                                                      `HostConfig.DeviceRequests: driver "acme" is not supported`,
		`"DeviceRequests":[{"Driver":"cdi","DeviceIDs":["x"]}]`:                                     "HostConfig.DeviceRequests",
		`"DeviceRequests":[{"Driver":"cdi","DeviceIDs":["v.example/c=d"]}]`:                         "is not described on this host",
		`"DeviceRequests":[{"Count":-1,"Capabilities":[["gpu"]]}]`:                                  `"nvidia.com/gpu=all" is not described`,
		`"DeviceRequests":[{"Count":1000000,"Capabilities":[["gpu"]]}]`:                             "a Count of 1000000",
		`"SecurityOpt":["seccomp=/etc/profile.json"]`:                                               "HostConfig.SecurityOpt",
		`"SecurityOpt":["seccomp={"]`:                                                               "HostConfig.SecurityOpt",
		`"SecurityOpt":["seccomp={\"defaultAction\":\"SCMP_ACT_NOTIFY\",\"listenerPath\":\"/x\"}"]`: "listenerPath",
		`"SecurityOpt":["apparmor=mine"]`:                                                           "this host has no AppArmor",
		`"SecurityOpt":["no-new-privileges=maybe"]`:                                                 "HostConfig.SecurityOpt",
		`"SecurityOpt":["magic"]`:                                                                   "HostConfig.SecurityOpt",
		`"SecurityOpt":["no-new-privileges","no-new-privileges=false"]`:                             "given twice",
		`"SecurityOpt":["systempaths=confined"]`:                                                    "systempaths",
		`"CgroupnsMode":"host","SecurityOpt":["writable-cgroups=true"]`:                             "writable-cgroups contradicts",
		`"MaskedPaths":["proc"]`:                                                                    "HostConfig.MaskedPaths",
		`"ReadonlyPaths":["/run/edged"]`:                                                            "HostConfig.ReadonlyPaths",
		`"Sysctls":{"kernel.pid_max":"1"}`:                                                          "HostConfig.Sysctls: kernel.pid_max is the whole host's",
		`"Sysctls":{"net..x":"1"}`:                                                                  "HostConfig.Sysctls",
		`"Sysctls":{"net.a":"1\n2"}`:                                                                "HostConfig.Sysctls",
		`"NetworkMode":"host","Sysctls":{"net.core.somaxconn":"1"}`:                                 "contradicts HostConfig.NetworkMode",
		`"IpcMode":"host","Sysctls":{"kernel.msgmax":"1"}`:                                          "contradicts HostConfig.IpcMode",

		`"GroupAdd":[""]`:                                   "HostConfig.GroupAdd",
		`"GroupAdd":["4294967296"]`:                         "HostConfig.GroupAdd",
		`"Umask":512`:                                       "HostConfig.Umask",
		`"ShmSize":-1`:                                      "HostConfig.ShmSize",
		`"Tmpfs":{"/t":"bind"}`:                             "HostConfig.Tmpfs entry for \"/t\"",
		`"Tmpfs":{"t":""}`:                                  "HostConfig.Tmpfs entry for \"t\"",
		`"Tmpfs":{"/run/edged":""}`:                         "where the module's sockets are",
		`"Tmpfs":{"/t":""},"Binds":["/tmp:/t"]`:             "duplicate mount point",
		`"IpcMode":"container:other"`:                       "HostConfig.IpcMode",
		`"IpcMode":"public"`:                                "HostConfig.IpcMode",
		`"PidMode":"container:temp"`:                        "cannot join itself",
		`"PidMode":"container:"`:                            "HostConfig.PidMode",
		`"PidMode":"private"`:                               "HostConfig.PidMode",
		`"UTSMode":"private"`:                               "HostConfig.UTSMode",
		`"UsernsMode":"private"`:                            "HostConfig.UsernsMode",
		`"CgroupnsMode":"shared"`:                           "HostConfig.CgroupnsMode",
		`"Runtime":"kata"`:                                  "HostConfig.Runtime",
		`"Isolation":"hyperv"`:                              "HostConfig.Isolation",
		`"Init":true`:                                       "HostConfig.Init: this host has neither catatonit nor tini-static",
		`"Annotations":{"io.containerd.runc.v2.group":"x"}`: "HostConfig.Annotations",
		`"Annotations":{"io.edged.pid-of":"x"}`:             "HostConfig.Annotations",
		`"ConsoleSize":[1,65536]`:                           "HostConfig.ConsoleSize",
		`"ConsoleSize":[1,2,3],"Memory":1`:                  "HostConfig.Memory",
		`"NetworkMode":"host"},"NetworkDisabled":true,"NetworkingConfig":{`: "createOptions.NetworkDisabled",
		`"UTSMode":"host"},"Hostname":"h","NetworkingConfig":{`:             "contradicts Hostname",
		`"UTSMode":"host"},"Domainname":"d","NetworkingConfig":{`:           "contradicts Domainname",
		`"Memory":0},"OpenStdin":true,"NetworkingConfig":{`:                 "createOptions.OpenStdin",
		`"Memory":0},"Domainname":"a b","NetworkingConfig":{`:               "createOptions.Domainname",
	} {
		_, err := e.Check(specWith(`{"HostConfig":{` + value + `}}`))
		require.True(t, errdefs.IsInvalidArgument(err), "%s: %v", value, err)
		require.ErrorContains(t, err, want, value)
	}
	e.unified = true
	for _, value := range []string{`"MemorySwappiness":10`, `"OomKillDisable":true`} {
		_, err := e.Check(specWith(`{"HostConfig":{` + value + `}}`))
		require.ErrorContains(t, err, "cgroup v2", value)
	}
	e.controllers = map[string]bool{"cpu": true}
	for value, want := range map[string]string{`"Memory":67108864`: `"memory"`, `"PidsLimit":5`: `"pids"`, `"CpusetCpus":"0"`: `"cpuset"`} {
		_, err := e.Check(specWith(`{"HostConfig":{` + value + `}}`))
		require.ErrorContains(t, err, "no cgroup controller "+want, value)
	}
}

func TestDevicesAreLookedAtAgain(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "by-id")
	require.NoError(t, os.Symlink("/dev/full", link))
	o, _, err := parseOptions([]byte(`{"HostConfig":{"Devices":[{"PathOnHost":"` + link + `","PathInContainer":"/dev/adapter"}],"DeviceCgroupRules":["c 1:5 r"]}}`))
	require.NoError(t, err)
	s := apply(t, func(_ context.Context, _ oci.Client, _ *ociContainer, s *oci.Spec) error {
		s.Linux.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}}}
		return nil
	}, (&Engine{}).withDevices(o), withDeviceRules(o))
	require.Len(t, s.Linux.Devices, 1)
	require.Equal(t, int64(7), s.Linux.Devices[0].Minor)
	require.NoError(t, os.Remove(link))
	require.NoError(t, os.Symlink("/dev/random", link))
	var d devices
	require.NoError(t, json.Unmarshal([]byte(s.Annotations[annotationDevices]), &d))
	found, err := d.find()
	require.NoError(t, err)
	d.removeFrom(s)
	require.Empty(t, s.Linux.Devices)
	d.Got = found
	d.addTo(s)
	require.Equal(t, int64(8), s.Linux.Devices[0].Minor)
	require.Equal(t, "/dev/adapter", s.Linux.Devices[0].Path)
	require.Len(t, s.Linux.Resources.Devices, 3, "the refusal of all, the caller's rule, and the new device")
	require.NoError(t, os.Remove(link))
	_, err = d.find()
	require.True(t, errdefs.IsInvalidArgument(err))
	require.ErrorContains(t, err, "HostConfig.Devices")
}
