package engine

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// others are the honoured options whose effect is no output of a command: what the supervisor does, and what is
// told to the runtime.
var others = map[string]func(t *testing.T, d *device.Device){
	"StopSignal": func(_ *testing.T, d *device.Device) {
		startScript(d, "stopped-by", `{"StopSignal":"SIGINT"}`, "trap 'exit 7' INT; echo ready; while :; do busybox sleep 0.05; done")
		d.Post("stopped-by", "stop")
		ended(d, "stopped-by", "7")
	},
	"StopTimeout": func(t *testing.T, d *device.Device) {
		startScript(d, "stopped-soon", `{"StopTimeout":0}`, "trap '' TERM; echo ready; while :; do busybox sleep 0.05; done")
		begin := time.Now()
		d.Post("stopped-soon", "stop")
		require.Less(t, time.Since(begin), 5*time.Second, "the default is 10 s")
		ended(d, "stopped-soon", "137")
	},
	"HostConfig.RestartPolicy": func(_ *testing.T, d *device.Device) {
		startScript(d, "comes-back", `{"HostConfig":{"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":2}}}`, "echo ready; exit 3")
		d.Eventually("it ran three times", func() bool { return strings.Count(d.Logs("comes-back", ""), "ready\n") == 3 })
		d.WaitFor("comes-back", "failed")
	},
	"HostConfig.LogConfig": func(t *testing.T, d *device.Device) {
		startScript(d, "short-log", `{"HostConfig":{"LogConfig":{"Type":"json-file","Config":{"max-size":"4k","max-file":"2"}}}}`,
			"i=0; while [ $i -lt 500 ]; do echo line $i of many that do not fit; i=$((i+1)); done; echo ready; exec /bin/probe sleep")
		files, err := filepath.Glob(filepath.Join(d.Home, "logs", "*", "1", "*.log"))
		require.NoError(t, err)
		size := 0
		for _, file := range files {
			if strings.Contains(file, "short-log") {
				b, err := os.ReadFile(file)
				require.NoError(t, err)
				size += len(b)
			}
		}
		require.Positive(t, size)
		require.Less(t, size, 10_000, "two files of 4 kB")
	},
	"HostConfig.Annotations": func(t *testing.T, d *device.Device) {
		startScript(d, "annotated", `{"HostConfig":{"Annotations":{"com.example.site":"line 4"}}}`, "echo ready; exec /bin/probe sleep")
		out, err := exec.Command("runc", "--root", "/run/containerd/runc/"+d.Namespace, "state", d.Containers("annotated-")[0]).Output()
		require.NoError(t, err)
		var state struct{ Annotations map[string]string }
		require.NoError(t, json.Unmarshal(out, &state))
		require.Equal(t, "line 4", state.Annotations["com.example.site"], "the runtime is told")
	},
}

// startScript runs a shell script as a module and waits until it says that it is ready.
func startScript(d *device.Device, name, options, script string) {
	spec := d.CommandSpec(name)
	spec.Config.Settings.CreateOptions = json.RawMessage(options)
	d.CreateAndStart(device.WithOptions(spec, func(top, _ map[string]any) {
		top["Entrypoint"] = []string{"/bin/sh", "-c", "export PATH=/bin\n" + script}
	}))
	d.Eventually(name+" is ready", func() bool { return strings.Contains(d.Logs(name, ""), "ready") })
}

func ended(d *device.Device, name, code string) {
	d.Eventually(name+" ended with "+code, func() bool {
		m, _ := d.Get(name)
		return m.Status.ExitStatus != nil && m.Status.ExitStatus.StatusCode == code
	})
}
