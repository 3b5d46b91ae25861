package engine

// Treatment says what edged does with a field of createOptions.
type Treatment int

const (
	// Honoured fields change what runs. A test reads the effect of each inside a
	// running module (tests/engine), else it does not count as honoured.
	Honoured Treatment = iota
	// Inert fields change nothing, here as in Docker: Note says why. They are kept for the echo.
	Inert
	// Refused fields are errdefs.InvalidArgument, unless their value asks for nothing: better a
	// clear no than a module that runs otherwise than its author thinks. Note is the reason.
	Refused
)

// Option is a field that Docker's API knows or knew, as a path: "HostConfig.Memory".
type Option struct {
	Name      string
	Treatment Treatment
	Note      string
}

// Options lists every field of Docker's ContainerCreate body and what edged does with it.
func Options() []Option { return append([]Option(nil), optionTable...) }

// Notes that more than one row shares.
const (
	noAttach  = "nobody attaches to a module; its output is in its log"
	ofWindows = "it is for Windows"
	ofBuilds  = "it is about building images"
)

// optionTable is the one place where a field gets its treatment. A field of Docker's
// API that is missing here fails a test; one that is here and no longer in Docker's
// types (KernelMemory, ...) is decoded by nobody, so it can only be Inert or Refused.
var optionTable = []Option{
	{"Hostname", Honoured, ""},
	{"Domainname", Honoured, ""},
	{"User", Honoured, ""},
	{"AttachStdin", Inert, noAttach},
	{"AttachStdout", Inert, noAttach},
	{"AttachStderr", Inert, noAttach},
	{"ExposedPorts", Inert, "it tells people about ports, and PublishAllPorts about which; PortBindings opens them"},
	{"Tty", Honoured, ""},
	{"OpenStdin", Honoured, ""},
	{"StdinOnce", Inert, noAttach},
	{"Env", Honoured, ""},
	{"Cmd", Honoured, ""},
	{"Healthcheck", Honoured, ""},
	{"ArgsEscaped", Inert, ofWindows},
	{"Image", Inert, "settings.image is what runs"},
	{"Volumes", Honoured, ""},
	{"WorkingDir", Honoured, ""},
	{"Entrypoint", Honoured, ""},
	{"NetworkDisabled", Honoured, ""},
	{"OnBuild", Inert, ofBuilds},
	{"Labels", Inert, "they are for whoever lists modules, and in the echo"},
	{"StopSignal", Honoured, ""},
	{"StopTimeout", Honoured, ""},
	{"Shell", Honoured, ""},
	{"MacAddress", Refused, "it went from Docker's API; it is in NetworkingConfig now, of each endpoint"},

	{"HostConfig", Honoured, ""},
	{"HostConfig.Binds", Honoured, ""},
	{"HostConfig.ContainerIDFile", Inert, "Docker's command line writes that file, its daemon does not"},
	{"HostConfig.LogConfig", Honoured, ""},
	{"HostConfig.NetworkMode", Honoured, ""},
	{"HostConfig.PortBindings", Honoured, ""},
	{"HostConfig.RestartPolicy", Honoured, ""},
	{"HostConfig.AutoRemove", Refused, "a module stays until it is deleted, and its last exit can be asked for"},
	{"HostConfig.VolumeDriver", Inert, "volumes are folders of edged's own, the driver \"local\"; another name is refused"},
	{"HostConfig.VolumesFrom", Refused, "anonymous volumes belong to one module and go with it; give the volume a name and mount it in both modules"},
	{"HostConfig.ConsoleSize", Honoured, ""},
	{"HostConfig.Annotations", Honoured, ""},
	{"HostConfig.CapAdd", Honoured, ""},
	{"HostConfig.CapDrop", Honoured, ""},
	{"HostConfig.Capabilities", Refused, "it went from Docker's API; use CapAdd and CapDrop"},
	{"HostConfig.CgroupnsMode", Honoured, ""},
	{"HostConfig.Dns", Honoured, ""},
	{"HostConfig.DnsOptions", Honoured, ""},
	{"HostConfig.DnsSearch", Honoured, ""},
	{"HostConfig.ExtraHosts", Honoured, ""},
	{"HostConfig.GroupAdd", Honoured, ""},
	{"HostConfig.IpcMode", Honoured, ""},
	{"HostConfig.Cgroup", Refused, "Docker on Linux does nothing with it; use CgroupParent"},
	{"HostConfig.Links", Refused, "modules of one network reach each other by name; further names are Aliases in NetworkingConfig"},
	{"HostConfig.OomScoreAdj", Honoured, ""},
	{"HostConfig.PidMode", Honoured, ""},
	{"HostConfig.Privileged", Honoured, ""},
	{"HostConfig.PublishAllPorts", Honoured, ""},
	{"HostConfig.ReadonlyRootfs", Honoured, ""},
	{"HostConfig.SecurityOpt", Honoured, ""},
	{"HostConfig.StorageOpt", Refused, "containerd's snapshots have no quota of their own; mount a tmpfs with a size, or a partition"},
	{"HostConfig.Tmpfs", Honoured, ""},
	{"HostConfig.UTSMode", Honoured, ""},
	{"HostConfig.UsernsMode", Inert, "modules are in the host's user namespace, so \"host\" is what is"},
	{"HostConfig.ShmSize", Honoured, ""},
	{"HostConfig.Sysctls", Honoured, ""},
	{"HostConfig.Runtime", Inert, "runc runs every module; another name is refused"},
	{"HostConfig.Umask", Honoured, ""},
	{"HostConfig.Isolation", Inert, ofWindows + "; \"default\" is the only one of Linux"},
	{"HostConfig.Mounts", Honoured, ""},
	{"HostConfig.MaskedPaths", Honoured, ""},
	{"HostConfig.ReadonlyPaths", Honoured, ""},
	{"HostConfig.Init", Honoured, ""},

	{"HostConfig.CpuShares", Honoured, ""},
	{"HostConfig.Memory", Honoured, ""},
	{"HostConfig.NanoCpus", Honoured, ""},
	{"HostConfig.CgroupParent", Honoured, ""},
	{"HostConfig.BlkioWeight", Honoured, ""},
	{"HostConfig.BlkioWeightDevice", Honoured, ""},
	{"HostConfig.BlkioDeviceReadBps", Honoured, ""},
	{"HostConfig.BlkioDeviceWriteBps", Honoured, ""},
	{"HostConfig.BlkioDeviceReadIOps", Honoured, ""},
	{"HostConfig.BlkioDeviceWriteIOps", Honoured, ""},
	{"HostConfig.CpuPeriod", Honoured, ""},
	{"HostConfig.CpuQuota", Honoured, ""},
	{"HostConfig.CpuRealtimePeriod", Refused, noRealtime},
	{"HostConfig.CpuRealtimeRuntime", Refused, noRealtime},
	{"HostConfig.CpusetCpus", Honoured, ""},
	{"HostConfig.CpusetMems", Honoured, ""},
	{"HostConfig.Devices", Honoured, ""},
	{"HostConfig.DeviceCgroupRules", Honoured, ""},
	{"HostConfig.DeviceRequests", Honoured, ""},
	{"HostConfig.KernelMemory", Refused, "it went from Docker's API and from the kernel; Memory counts it"},
	{"HostConfig.KernelMemoryTCP", Refused, "it went from Docker's API; Memory counts it"},
	{"HostConfig.MemoryReservation", Honoured, ""},
	{"HostConfig.MemorySwap", Honoured, ""},
	{"HostConfig.MemorySwappiness", Honoured, ""},
	{"HostConfig.OomKillDisable", Honoured, ""},
	{"HostConfig.PidsLimit", Honoured, ""},
	{"HostConfig.Ulimits", Honoured, ""},
	{"HostConfig.CpuCount", Refused, ofWindows + "; use NanoCpus"},
	{"HostConfig.CpuPercent", Refused, ofWindows + "; use NanoCpus"},
	{"HostConfig.IOMaximumIOps", Refused, ofWindows + "; use BlkioDeviceReadIOps and BlkioDeviceWriteIOps"},
	{"HostConfig.IOMaximumBandwidth", Refused, ofWindows + "; use BlkioDeviceReadBps and BlkioDeviceWriteBps"},

	{"NetworkingConfig", Inert, "what is in it counts"},
	{"NetworkingConfig.EndpointsConfig", Honoured, ""},
}

const noRealtime = "it needs real-time time reserved for the group of all modules, which edged does not take from the host; " +
	"CapAdd SYS_NICE and Ulimits rtprio let a module choose real-time scheduling itself"
