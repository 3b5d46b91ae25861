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
			AgentFolders: []string{filepath.Join(dir, "home/agent/desired")}, Log: log, Networks: networksIn(t, filepath.Join(dir, "run"), log),
		},
		limits: limits{noFile: 1024}, making: map[string]bool{}, starting: map[string]bool{}, pids: map[string]int{},
	}, dir
}

func specWith(options string) *module.Spec {
	return &module.Spec{Name: "temp", Type: "docker", Image: "i", CreateOptions: json.RawMessage(options)}
}

func TestEveryHonouredFieldIsTaken(t *testing.T) {
	for _, field := range []string{
		`"Hostname":"h"`, `"User":"1000:1000"`, `"AttachStdin":true`, `"AttachStdout":true`, `"AttachStderr":true`, `"ExposedPorts":{"80/tcp":{}}`, `"Env":["A=1"]`,
		`"Cmd":["a","b"]`, `"Cmd":"a b"`, `"Entrypoint":["a"]`, `"Entrypoint":"a"`, `"entrypoint":"a"`, `"Image":"i"`, `"WorkingDir":"/w"`, `"Labels":{"a":"b"}`, `"StopSignal":"SIGINT"`,
		`"StopTimeout":3`, `"HostConfig":{}`, `"HostConfig":null`, `"NetworkingConfig":{}`, `"NetworkingConfig":{"EndpointsConfig":{}}`,
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
	for name, options := range map[string]string{
		"Tty": `{"Tty":true}`, "OpenStdin": `{"OpenStdin":true}`, "StdinOnce": `{"StdinOnce":true}`, "Healthcheck": `{"Healthcheck":{"Test":["NONE"]}}`,
		"Volumes": `{"Volumes":{"/v":{}}}`, "NetworkDisabled": `{"NetworkDisabled":true}`, "Shell": `{"Shell":["sh"]}`,
		"HostConfig.Devices": `{"HostConfig":{"Devices":[{"PathOnHost":"/dev/null"}]}}`,
		"HostConfig.Tmpfs":   `{"HostConfig":{"Tmpfs":{"/t":""}}}`, "HostConfig.PidMode": `{"HostConfig":{"PidMode":"host"}}`, "HostConfig.IpcMode": `{"HostConfig":{"IpcMode":"host"}}`,
		"HostConfig.UsernsMode": `{"HostConfig":{"UsernsMode":"host"}}`, "HostConfig.SecurityOpt": `{"HostConfig":{"SecurityOpt":["seccomp=unconfined"]}}`,
		"HostConfig.VolumesFrom": `{"HostConfig":{"VolumesFrom":["x"]}}`, "HostConfig.Ulimits": `{"HostConfig":{"Ulimits":[{"Name":"nofile","Soft":1,"Hard":1}]}}`,
		"HostConfig.Runtime": `{"HostConfig":{"Runtime":"kata"}}`, "HostConfig.Sysctls": `{"HostConfig":{"Sysctls":{"a":"b"}}}`, "HostConfig.ShmSize": `{"HostConfig":{"ShmSize":1}}`,
		"HostConfig.CpuShares": `{"HostConfig":{"CpuShares":2}}`, "HostConfig.MemorySwap": `{"HostConfig":{"MemorySwap":-1}}`, "HostConfig.AutoRemove": `{"HostConfig":{"AutoRemove":true}}`,
		"HostConfig.Init": `{"HostConfig":{"Init":true}}`, "HostConfig.Links": `{"HostConfig":{"Links":["a:b"]}}`, "HostConfig.devices": `{"hostconfig":{"devices":[{"PathOnHost":"/dev/null"}]}}`,
		"HostConfig.DeviceCgroupRules": `{"HostConfig":{"Privileged":true,"DeviceCgroupRules":["a *:* rwm"]}}`,
	} {
		_, _, err := parseOptions(json.RawMessage(options))
		require.True(t, errdefs.IsInvalidArgument(err), name)
		require.ErrorContains(t, err, "createOptions."+name+" is not supported")
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
	_, unknown, err := parseOptions(json.RawMessage(`{"Zeta":1,"Alpha":{"x":1},"HostConfig":{"Beta":[1]},"NetworkingConfig":{"Gamma":true}}`))
	require.NoError(t, err)
	require.Equal(t, []string{"Alpha", "Zeta", "HostConfig.Beta", "NetworkingConfig.Gamma"}, unknown)
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
	e := &Engine{Config: Config{Log: log, Networks: networksIn(f, f.TempDir(), log)}}
	f.Fuzz(func(t *testing.T, s string) {
		o, _, err := parseOptions(json.RawMessage(s))
		if err != nil {
			require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
			return
		}
		// Whatever was taken, the checks behind it end in a class, too.
		for _, check := range []func(*options) error{checkHostname, checkSignal, limits{}.check, checkCaps, readNetwork(e)} {
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
