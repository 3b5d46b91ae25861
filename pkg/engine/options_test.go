package engine

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/volume"
)

// engineIn is an engine without a containerd, for what needs none. Its folders are
// below dir, behind a symbolic link.
func engineIn(t *testing.T) (*Engine, string) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	for _, d := range []string{"home/agent/desired", "run", "containerd", "data"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	return &Engine{
		Config: Config{
			Namespace: "edged", Home: filepath.Join(dir, "home"), Run: filepath.Join(dir, "run"), Protected: []string{filepath.Join(dir, "containerd")},
			AgentFolders: []string{filepath.Join(dir, "home/agent/desired")}, Log: log,
			Volumes:  volume.NewStore(filepath.Join(dir, "home/volumes")),
			Networks: networksIn(t, filepath.Join(dir, "run"), log),
		},
		machine: deviceIn(dir), held: func() ([]string, error) { return heldCaps, nil }, making: map[string]bool{}, starting: map[string]bool{}, pids: map[string]int{},
	}, dir
}

// heldCaps are those of the containerd that the engine here would ask: not all.
var heldCaps = []string{"CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_SYS_BOOT"}

// deviceIn is a small gateway: two CPUs, cgroup v1 without BFQ, everything else there.
func deviceIn(dir string) machine {
	m := machine{hard: map[string]uint64{}, cpus: "0-1", mems: "0", cpuCount: 2, appArmor: func() bool { return false }, cgroups: filepath.Join(dir, "cgroup")}
	for name := range rlimits {
		m.hard[name] = 1024
	}
	return m
}

func specWith(options string) *module.Spec {
	return &module.Spec{Name: "temp", Type: "docker", Image: "i", CreateOptions: json.RawMessage(options)}
}

func TestEveryHonouredFieldIsTaken(t *testing.T) {
	for _, field := range []string{
		`"Hostname":"h"`, `"User":"1000:1000"`, `"AttachStdin":true`, `"AttachStdout":true`, `"AttachStderr":true`, `"ExposedPorts":{"80/tcp":{}}`, `"Env":["A=1"]`,
		`"Cmd":["a","b"]`, `"Cmd":"a b"`, `"Entrypoint":["a"]`, `"Entrypoint":"a"`, `"entrypoint":"a"`, `"Image":"i"`, `"WorkingDir":"/w"`, `"Labels":{"a":"b"}`, `"StopSignal":"SIGINT"`,
		`"StopTimeout":3`, `"Volumes":{"/v":{}}`, `"Healthcheck":{"Test":["CMD","x"]}`, `"Shell":["ash","-c"]`, `"HostConfig":{"VolumeDriver":"local"}`, `"HostConfig":{}`, `"HostConfig":null`, `"NetworkingConfig":{}`, `"NetworkingConfig":{"EndpointsConfig":{}}`,
		`"HostConfig":{"Binds":["/data:/data"]}`, `"HostConfig":{"Mounts":[{"Type":"tmpfs","Target":"/t"}]}`, `"HostConfig":{"LogConfig":{"Type":"json-file","Config":{"max-size":"1m"}}}`,
		`"HostConfig":{"NetworkMode":"host"}`, `"Domainname":"d"`, `"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"80"}]},"PublishAllPorts":true}`,
		`"HostConfig":{"Dns":["192.0.2.1"],"DnsOptions":["o"],"DnsSearch":["s"],"ExtraHosts":["a:192.0.2.1"]}`, `"NetworkingConfig":{"EndpointsConfig":{"edged":{"Aliases":["a"]}}}`, `"HostConfig":{"RestartPolicy":{"Name":"always"}}`, `"HostConfig":{"CapAdd":["NET_ADMIN"],"CapDrop":["all"]}`,
		`"HostConfig":{"CgroupnsMode":"host"}`, `"HostConfig":{"CgroupParent":"/x"}`, `"HostConfig":{"Privileged":true}`, `"HostConfig":{"ReadonlyRootfs":true}`,
		`"HostConfig":{"Memory":67108864,"NanoCpus":500000000,"PidsLimit":10,"OomScoreAdj":-5}`,
	} {
		o, unknown, err := parseOptions(json.RawMessage("{" + field + "}"))
		require.NoError(t, err, field)
		require.Empty(t, unknown, field)
		require.NotNil(t, o)
	}
}

func TestWhatIsKnownAndNotHonouredIsRefusedByName(t *testing.T) {
	for name, value := range map[string]string{
		"MacAddress":             `"02:42:ac:11:00:02"`,
		"HostConfig.VolumesFrom": `["x"]`,
		"HostConfig.AutoRemove":  `true`,
		"HostConfig.Links":       `["a:b"]`, "HostConfig.Cgroup": `"container:x"`, "HostConfig.StorageOpt": `{"size":"1G"}`,
		"HostConfig.Capabilities": `["CAP_KILL"]`, "HostConfig.KernelMemory": `1073741824`, "HostConfig.KernelMemoryTCP": `1073741824`,
		"HostConfig.CpuRealtimePeriod": `1000000`, "HostConfig.CpuRealtimeRuntime": `950000`,
		"HostConfig.CpuCount": `1`, "HostConfig.CpuPercent": `1`, "HostConfig.IOMaximumIOps": `1`, "HostConfig.IOMaximumBandwidth": `1`,
	} {
		whole := `{"` + name + `":` + value + `}`
		if place, field, below := strings.Cut(name, "."); below {
			whole = `{"` + place + `":{"` + field + `":` + value + `}}`
		}
		_, _, err := parseOptions(json.RawMessage(whole))
		require.True(t, errdefs.IsInvalidArgument(err), name)
		require.ErrorContains(t, err, "createOptions."+name+" is not supported: ")
		require.Equal(t, Refused, treatments()[strings.ToLower(name)].Treatment)
		_, _, err = parseOptions(json.RawMessage(strings.ToLower(whole)))
		require.ErrorContains(t, err, "is not supported: ", "names in any case")
	}
}

func TestEveryFieldOfDockersTypesHasATreatment(t *testing.T) {
	fields := knownFields()
	paths := map[string]bool{}
	for name, below := range fields.fields {
		paths[name] = true
		for _, place := range []string{"hostconfig", "networkingconfig"} {
			for field := range below.fields {
				if name == place {
					paths[place+"."+field] = true
				}
			}
		}
	}
	seen := map[string]bool{}
	for _, option := range Options() {
		name := strings.ToLower(option.Name)
		require.False(t, seen[name], "%s is in the table twice", option.Name)
		seen[name] = true
		if !paths[name] {
			require.Equal(t, Refused, option.Treatment, "%s: no type decodes it", option.Name)
		}
		if option.Treatment != Honoured {
			require.NotEmpty(t, option.Note, "%s: why", option.Name)
		}
	}
	for path := range paths {
		require.True(t, seen[path], "%s is a field of Docker's that the table does not know", path)
	}
}

func TestValuesThatAskForNothingAreTaken(t *testing.T) {
	for _, options := range []string{
		``, ` `, `null`, `{}`,
		`{"Tty":false,"OpenStdin":false,"Domainname":"","Volumes":{},"Volumes":null,"Healthcheck":null,"Shell":[],"OnBuild":null}`,
		`{"HostConfig":{"Devices":[],"PortBindings":{},"ShmSize":0,"ConsoleSize":[0,0],"PidMode":"","Init":null,"Ulimits":null,"AutoRemove":false,"CpuShares":0}}`,
	} {
		_, unknown, err := parseOptions(json.RawMessage(options))
		require.NoError(t, err, options)
		require.Empty(t, unknown)
	}
}

func TestWhatNobodyKnowsIsNamedAndIgnored(t *testing.T) {
	_, unknown, err := parseOptions(json.RawMessage(`{"Zeta":1,"Alpha":{"x":1},"HostConfig":{"Beta":[1],"Mounts":[{"Type":"tmpfs","Target":"/t","Delta":1,"TmpfsOptions":{"Eta":1}}],
		"Devices":[{"PathOnHost":"/dev/null"},{"PathOnHost":"/dev/zero","Theta":null}],"RestartPolicy":{"Iota":""},"LogConfig":{"Config":{"any":"x"}},"Annotations":{"any":"x"}},
		"Labels":{"any":"x"},"NetworkingConfig":{"Gamma":true}}`))
	require.NoError(t, err)
	require.Equal(t, []string{
		"Alpha", "HostConfig.Beta", "HostConfig.Devices[1].Theta", "HostConfig.Mounts[0].Delta", "HostConfig.Mounts[0].TmpfsOptions.Eta", "HostConfig.RestartPolicy.Iota",
		"NetworkingConfig.Gamma", "Zeta",
	}, unknown)
}

func TestAFieldThatIsGivenTwiceIsRefused(t *testing.T) {
	for options, name := range map[string]string{
		`{"Tty":true,"tty":false}`: "tty", `{"HostConfig":{"Memory":1,"MEMORY":2}}`: "HostConfig.Memory", `{"HostConfig":{},"hostConfig":{}}`: "hostConfig",
		`{"HostConfig":{"Devices":[{"PathOnHost":"/a","pathOnHost":"/b"}]}}`: "HostConfig.Devices[0].pathOnHost",
	} {
		_, _, err := parseOptions(json.RawMessage(options))
		require.True(t, errdefs.IsInvalidArgument(err), options)
		require.ErrorContains(t, err, "createOptions."+name+": it is given twice")
	}
}

func TestAValueOfAnotherTypeIsNamed(t *testing.T) {
	for options, want := range map[string]string{
		`{"Env":"A=1"}`: "createOptions.Env: a JSON string", `{"HostConfig":{"Memory":"1g"}}`: "createOptions.HostConfig.Memory: a JSON string", `{"HostConfig":[]}`: "createOptions.HostConfig: a JSON array",
		`{"HostConfig":{"Binds":"/a:/b"}}`: "createOptions.HostConfig.Binds: a JSON string", `{"HostConfig":{"Memory":1e30}}`: "createOptions.HostConfig.Memory: a JSON number",
		`{"HostConfig":{"Devices":[{"PathOnHost":5}]}}`: "createOptions.HostConfig.Devices.PathOnHost: a JSON number", `{"HostConfig":{"BlkioWeight":70000}}`: "createOptions.HostConfig.BlkioWeight: a JSON number",
		`{"HostConfig":{"Memory":1.5}}`: "createOptions.HostConfig.Memory: a JSON number",
	} {
		_, _, err := parseOptions(json.RawMessage(options))
		require.True(t, errdefs.IsInvalidArgument(err), options)
		require.ErrorContains(t, err, want, options)
	}
}

func TestOptionsOfAnotherShapeAreRefused(t *testing.T) {
	for _, options := range []string{`[]`, `5`, `"x"`, `{`, `{"Env":"A=1"}`, `{"HostConfig":[]}`, `{"HostConfig":{"Memory":"1g"}}`, `{"StopTimeout":"3"}`, `{"HostConfig":{"Binds":"/a:/b"}}`, `{"Cmd":5}`} {
		_, _, err := parseOptions(json.RawMessage(options))
		require.True(t, errdefs.IsInvalidArgument(err), options)
		require.ErrorContains(t, err, "invalid createOptions")
	}
}

func TestACommandMayBeAString(t *testing.T) {
	o, _, err := parseOptions(json.RawMessage(`{"Cmd":"echo hi","Entrypoint":"/bin/sh"}`))
	require.NoError(t, err)
	require.Equal(t, []string{"echo hi"}, o.Cmd)
	require.Equal(t, []string{"/bin/sh"}, o.Entrypoint)
}

func FuzzParseOptions(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"Cmd":"a","HostConfig":{"Binds":["/a:/b"],"Devices":[]}}`, `{"HostConfig":{"RestartPolicy":{"Name":"x"}}}`, `{"cmd":"a","CMD":["b"]}`, `{"NetworkingConfig":null}`,
		`{"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"1-2"}]},"ExtraHosts":["a:host-gateway"]},"NetworkingConfig":{"EndpointsConfig":{"edged":{"IPAMConfig":{"IPv4Address":"172.30.0.9"}}}}}`,
		`{"HostConfig":{"LogConfig":{"Config":{"max-size":"1k"}},"Mounts":[{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"Mode":1023}}]}}`,
	} {
		f.Add(s)
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	e := &Engine{Config: Config{Namespace: "edged", Home: "/var/lib/edged", Run: "/run/edged", Log: log, Networks: networksIn(f, f.TempDir(), log)}, machine: deviceIn("/nowhere")}
	spec := specWith("{}")
	f.Fuzz(func(t *testing.T, s string) {
		o, _, err := parseOptions(json.RawMessage(s))
		if err != nil {
			require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
			return
		}
		// Whatever was taken, the checks behind it end in a class, too.
		for _, check := range append(e.checks(spec), readNetwork(e)) {
			if err := check(o); err != nil {
				require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
			}
		}
		if _, err := restartPolicy(o); err != nil {
			require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
		}
		if size, files, err := logSizes(o); err != nil {
			require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
		} else {
			require.Positive(t, size)
			require.Positive(t, files)
		}
	})
}

func TestCheckReadsWhatConcernsTheSupervisor(t *testing.T) {
	defaults := module.Lifecycle{Restart: module.RestartPolicy{Name: "no"}, StopTimeout: 10 * time.Second, LogMaxSize: 10_000_000, LogMaxFiles: 3}
	with := func(change func(*module.Lifecycle)) module.Lifecycle {
		l := defaults
		change(&l)
		return l
	}
	e, _ := engineIn(t)
	for options, want := range map[string]module.Lifecycle{
		`{}`:                            defaults,
		`{"StopTimeout":0}`:             with(func(l *module.Lifecycle) { l.StopTimeout = 0 }),
		`{"StopTimeout":30}`:            with(func(l *module.Lifecycle) { l.StopTimeout = 30 * time.Second }),
		`{"StopTimeout":-1}`:            with(func(l *module.Lifecycle) { l.StopTimeout = 4 * time.Minute }),
		`{"StopTimeout":86400}`:         with(func(l *module.Lifecycle) { l.StopTimeout = 4 * time.Minute }),
		`{"StopTimeout":9223372036854}`: with(func(l *module.Lifecycle) { l.StopTimeout = 4 * time.Minute }),
		`{"HostConfig":{"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":5}}}`: with(func(l *module.Lifecycle) {
			l.Restart = module.RestartPolicy{Name: "on-failure", MaxRetries: 5}
		}),
		`{"HostConfig":{"RestartPolicy":{"Name":"","MaximumRetryCount":0}}}`: defaults,
		`{"HostConfig":{"RestartPolicy":{"Name":"on-unhealthy"}}}`:           with(func(l *module.Lifecycle) { l.Restart.Name = "on-unhealthy" }),
		`{"HostConfig":{"LogConfig":{"Config":{"max-size":"10k","max-file":"7"}}}}`: with(func(l *module.Lifecycle) {
			l.LogMaxSize, l.LogMaxFiles = 10_000, 7
		}),
	} {
		life, err := e.Check(specWith(options))
		require.NoError(t, err, options)
		require.Equal(t, want, life, options)
	}
}

func TestCheckRefusesWhatTheSpecAloneShows(t *testing.T) {
	e, _ := engineIn(t)
	for options, want := range map[string]string{
		`{"HostConfig":{"RestartPolicy":{"Name":"sometimes"}}}`:                             "RestartPolicy.Name",
		`{"HostConfig":{"RestartPolicy":{"Name":"Always"}}}`:                                "RestartPolicy.Name",
		`{"HostConfig":{"RestartPolicy":{"Name":"always","MaximumRetryCount":1}}}`:          "MaximumRetryCount",
		`{"HostConfig":{"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":-1}}}`:     "MaximumRetryCount",
		`{"HostConfig":{"LogConfig":{"Type":"syslog"}}}`:                                    "LogConfig.Type",
		`{"HostConfig":{"LogConfig":{"Type":"none"}}}`:                                      "LogConfig.Type",
		`{"HostConfig":{"LogConfig":{"Config":{"max-size":"-1"}}}}`:                         "max-size",
		`{"HostConfig":{"LogConfig":{"Config":{"max-size":"0"}}}}`:                          "max-size",
		`{"HostConfig":{"LogConfig":{"Config":{"max-size":"much"}}}}`:                       "max-size",
		`{"HostConfig":{"LogConfig":{"Config":{"max-file":"0"}}}}`:                          "max-file",
		`{"HostConfig":{"LogConfig":{"Config":{"max-file":"1001"}}}}`:                       "max-file",
		`{"HostConfig":{"LogConfig":{"Config":{"other":"1"}}}}`:                             "other",
		`{"HostConfig":{"NetworkMode":"plant"}}`:                                            "NetworkMode",
		`{"HostConfig":{"NetworkMode":"container:temp"}}`:                                   "NetworkMode",
		`{"StopSignal":"SIGNOPE"}`:                                                          "StopSignal",
		`{"HostConfig":{"CapAdd":["NOPE"]}}`:                                                "unknown capability",
		`{"HostConfig":{"CapDrop":["CAP_"]}}`:                                               "unknown capability",
		`{"HostConfig":{"Memory":1024}}`:                                                    "Memory",
		`{"HostConfig":{"Memory":-1}}`:                                                      "Memory",
		`{"HostConfig":{"NanoCpus":1}}`:                                                     "NanoCpus",
		`{"HostConfig":{"OomScoreAdj":1001}}`:                                               "OomScoreAdj",
		`{"HostConfig":{"Binds":["/a"]}}`:                                                   "Binds entry",
		`{"Hostname":"a b"}`:                                                                "Hostname",
		`{"Hostname":"x\n1.2.3.4 example"}`:                                                 "Hostname",
		`{"Hostname":"-x"}`:                                                                 "Hostname",
		`{"Hostname":"` + strings.Repeat("x", 65) + `"}`:                                    "Hostname",
		`{"HostConfig":{"Binds":["/a:/x","/b:/x/"]}}`:                                       "duplicate mount point",
		`{"HostConfig":{"Binds":["/a:/x"],"Mounts":[{"Type":"tmpfs","Target":"/x/../x"}]}}`: "duplicate mount point",
	} {
		_, err := e.Check(specWith(options))
		require.True(t, errdefs.IsInvalidArgument(err), options)
		require.ErrorContains(t, err, want, options)
	}
	for _, image := range []string{"", "UPPER", "a b", "i@sha256:short", "-x", "http://r.example/i"} {
		s := specWith(`{}`)
		s.Image = image
		_, err := e.Check(s)
		require.True(t, errdefs.IsInvalidArgument(err), image)
	}
}
