package support

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/config"
	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/modulelog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Each place where a module may be given a secret has one of its own, with "hush" in it.
const everySecret = `{
	"Env": ["A=hush-env", "PATH=/bin", "IOTEDGE_MODULEID=temp"],
	"Cmd": ["run", "--password=hush-cmd"], "Entrypoint": "hush-entrypoint",
	"Labels": {"owner": "hush-label"}, "Image": "https://me:hush-user@registry.example/i",
	"Healthcheck": {"Test": ["CMD", "curl", "-u", "hush-test"]},
	"HostConfig": {
		"LogConfig": {"Type": "json-file", "Config": {"tag": "hush-tag"}}, "Annotations": {"a": "hush-annotation"},
		"Mounts": [{"Type": "volume", "VolumeOptions": {"Labels": {"l": "hush-volume"}, "DriverConfig": {"Options": {"o": "hush-driver"}}}}],
		"Binds": ["/data:/data:ro"], "Privileged": true, "Memory": 1048576
	},
	"X-Password": "hush-unknown", "Auth": {"token": "hush-deep", "list": [{"secretKey": "hush-list"}]}
}`

func state() *module.State {
	return &module.State{Generation: 3, ContainerID: "temp-1", Status: module.Status{Runtime: module.Running}, Spec: module.Spec{
		Name: "temp", Image: "registry.example/temp:1", CreateOptions: []byte(everySecret),
		Env:  []module.EnvVar{{Key: "B", Value: "hush-own"}, {Key: "TZ", Value: "UTC"}, {Key: "SHORT", Value: "1"}},
		Auth: &module.Auth{Username: "u", Password: "hush-registry"},
	}}
}

type fakeLogs struct {
	opt  modulelog.Options
	fail error
}

func (f *fakeLogs) Copy(_ context.Context, w io.Writer, name string, opt modulelog.Options, _ <-chan struct{}) error {
	f.opt = opt
	// In pieces that cut the secrets.
	for _, piece := range []string{"1 my env is hush-", "env and hush-own\n", "2 cannot reach https://me:hush", "-url@host/path of " + name + "\n", "3 hush-regi", "stry"} {
		if _, err := io.WriteString(w, piece); err != nil {
			return err
		}
	}
	return f.fail
}

func bundle(logs Logs, states ...*module.State) *Bundle {
	return &Bundle{
		Modules: func(context.Context) []*module.State { return states }, Logs: logs,
		Info:      func(context.Context) wire.SystemInfo { return wire.SystemInfo{Version: "1.2.3"} },
		Resources: func() (wire.SystemResources, error) { return wire.SystemResources{HostUptime: 7}, nil },
		Metrics:   func(w io.Writer) { _, _ = io.WriteString(w, "edged_modules 1\n") },
		Config: func(w io.Writer) error {
			return Text(w, &config.Config{
				Agent:    config.Agent{Env: map[string]string{"S": "hush-agent", "LANG": "C"}, CreateOptions: everySecret},
				Keystore: config.Keystore{URI: "pkcs11:token=edged?pin-value=hush-pin"},
			})
		},
	}
}

func files(t *testing.T, b *Bundle, opt Options) map[string]string {
	var out bytes.Buffer
	require.NoError(t, b.Write(t.Context(), &out, opt))
	z, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
	require.NoError(t, err)
	all := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		all[f.Name] = string(text)
	}
	return all
}

func TestNothingSecretIsInTheArchive(t *testing.T) {
	all := files(t, bundle(&fakeLogs{}, state()), Options{})
	for name, text := range all {
		require.NotContains(t, text, "hush", name)
	}
	for _, want := range []string{`"A=[redacted]"`, `"PATH=/bin"`, `"IOTEDGE_MODULEID=temp"`, `"/data:/data:ro"`, `"Memory": 1048576`, `"TZ=UTC"`, `"owner": "[redacted]"`} {
		require.Contains(t, all["modules.json"], want)
	}
	require.Equal(t, "1 my env is [redacted] and [redacted]\n2 cannot reach https://[redacted]@host/path of temp\n3 [redacted]", all["logs/temp_log.txt"])
	require.Contains(t, all["systeminfo.json"], "1.2.3")
	require.Contains(t, all["resources.json"], `"host_uptime": 7`)
	require.Equal(t, "edged_modules 1\n", all["metrics.txt"])
	require.Contains(t, all["config.toml"], "LANG = 'C'")
	require.Contains(t, all["config.toml"], "pkcs11:[redacted]")
}

func TestWhatChecksPrintAndErrorsRepeatIsNotInTheArchive(t *testing.T) {
	s := state()
	s.Spec.Env = append(s.Spec.Env, module.EnvVar{Key: "Q", Value: `hush"<quoted>`}, module.EnvVar{Key: "N", Value: "1048576"})
	s.Status.Description = `cannot start: "hush-own" is not hush"<quoted>`
	s.Status.Health = &module.Health{Status: module.Unhealthy, Checks: []module.CheckResult{{Probed: module.Probed{Code: 3, Output: "hush-printed"}}}}
	b := bundle(&fakeLogs{}, s)
	b.Commands = []Command{{File: "logs/edged.txt", Args: []string{"echo", "module temp said hush-own"}}}
	all := files(t, b, Options{})
	for name, text := range all {
		require.NotContains(t, text, "hush", name)
	}
	require.Equal(t, "module temp said [redacted]\n", all["logs/edged.txt"])
	var list []struct{ Status module.Status }
	require.NoError(t, json.Unmarshal([]byte(all["modules.json"]), &list), "it is JSON still")
	require.Equal(t, 3, list[0].Status.Health.Checks[0].Code)
	require.Equal(t, "hush-printed", s.Status.Health.Checks[0].Output, "others see it")
}

func TestSecretsOfSeveralLinesAreFoundByTheLine(t *testing.T) {
	spec := &module.Spec{Env: []module.EnvVar{{Key: "KEY", Value: "-----BEGIN KEY-----\r\n  hush-first\nhush-\"second\"\nab\n"}}}
	var out bytes.Buffer
	s := newScrubber(&out, secrets(spec))
	for _, line := range []string{"got hush-first\n", "got hush-\"second\"\n", `msg="-----BEGIN KEY-----\r\n  hush-first\nhush-\"second\"\nab\n"` + "\n", "ab stays\n"} {
		_, err := s.Write([]byte(line))
		require.NoError(t, err)
	}
	require.NoError(t, s.Close())
	require.Equal(t, "got [redacted]\ngot [redacted]\nmsg=\"[redacted]\"\nab stays\n", out.String())
}

func TestALineThatDoesNotEndIsScrubbedToo(t *testing.T) {
	for _, at := range []int{0, 1, maxLine - 3, maxLine, maxLine + 100} {
		var out bytes.Buffer
		s := newScrubber(&out, []string{"hush-hush"})
		text := strings.Repeat("x", at) + "hush-hush" + strings.Repeat("y", 2*maxLine)
		for piece := range bytes.SplitAfterSeq([]byte(text), []byte("h")) {
			_, err := s.Write(piece)
			require.NoError(t, err)
		}
		require.NoError(t, s.Close())
		require.Equal(t, strings.ReplaceAll(text, "hush-hush", redacted), out.String(), at)
	}
}

func TestWhatCannotBeHadSaysWhy(t *testing.T) {
	b := bundle(&fakeLogs{fail: errors.New("disk gone")}, state())
	b.Commands = []Command{
		{File: "journal.txt", Args: []string{"/no/such/program"}},
		{File: "failed.txt", Args: []string{"sh", "-c", "echo said; exit 3"}},
		{File: "good.txt", Args: []string{"echo", "https://u:p@h"}},
	}
	all := files(t, b, Options{})
	require.Contains(t, all["logs/temp_log_err.txt"], "disk gone")
	require.Contains(t, all["journal_err.txt"], "/no/such/program")
	require.Equal(t, "said\n", all["failed.txt"])
	require.Contains(t, all["failed_err.txt"], "exit status 3")
	require.Equal(t, "https://[redacted]@h\n", all["good.txt"])
	require.NotContains(t, all, "good_err.txt")
}

func TestTimesGoToLogsAndJournal(t *testing.T) {
	logs := &fakeLogs{}
	b := bundle(logs, state())
	journal := Journal("journal.txt", "edged", "containerd")
	require.Equal(t, "journalctl", journal.Args[0])
	journal.Args[0] = "echo"
	b.Commands = []Command{journal}
	opt := Options{Since: time.Unix(100, 0), Until: time.Unix(200, 0)}
	text := files(t, b, opt)["journal.txt"]
	require.Contains(t, text, "--unit=edged --unit=containerd")
	require.Contains(t, text, "--since=@100")
	require.Contains(t, text, "--until=@200")
	require.Equal(t, opt.Since, logs.opt.Since)
	require.Equal(t, opt.Until, logs.opt.Until)
	require.NotContains(t, files(t, b, Options{})["journal.txt"], "--since")
}

func TestRuntimeOnlyLeavesOtherModulesLogsOut(t *testing.T) {
	agent, other := state(), state()
	agent.Spec.Name, other.Spec.Name = "edgeAgent", `a\b:c`
	all := files(t, bundle(&fakeLogs{}, agent, other), Options{RuntimeOnly: true})
	require.Contains(t, all, "logs/edgeAgent_log.txt")
	require.NotContains(t, all, "logs/a_b_c_log.txt")
	require.Contains(t, files(t, bundle(&fakeLogs{}, agent, other), Options{}), "logs/a_b_c_log.txt")
}

func TestAClientThatLeavesEndsTheWork(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, bundle(&fakeLogs{}, state()).Write(ctx, io.Discard, Options{}), context.Canceled)
	require.Error(t, bundle(&fakeLogs{}, state()).Write(t.Context(), broken{}, Options{}))
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestACommandsOutputIsBounded(t *testing.T) {
	var out bytes.Buffer
	b := &bounded{w: &out, left: 5}
	n, err := b.Write([]byte("1234567"))
	require.Equal(t, 5, n)
	require.ErrorIs(t, err, errFull)
	require.Equal(t, "12345", out.String())
}
