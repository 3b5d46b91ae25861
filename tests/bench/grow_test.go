package bench

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

// fleet is a device with a number of modules, edgeAgent among them.
type fleet struct {
	*device.Device
	modules int
	running int
}

func newFleet(b *testing.B, config string) *fleet {
	b.Helper()
	return &fleet{newDevice(b, config), 1, 1}
}

// grow makes it n modules of ordinary size: an environment, some options.
func (f *fleet) grow(b *testing.B, n int) {
	b.Helper()
	if n <= f.modules {
		return
	}
	spec := device.WithOptions(f.CommandSpec("m@", "sleep"), func(top, host map[string]any) {
		top["Env"] = []string{"LOG_LEVEL=info", "BROKER=tcp://localhost:1883"}
		top["Labels"] = map[string]string{"line": "press", "site": "north"}
		host["LogConfig"] = map[string]any{"Type": "json-file", "Config": map[string]string{"max-size": "10m", "max-file": "3"}}
		host["RestartPolicy"] = map[string]any{"Name": "always"}
		host["Memory"] = 64 << 20
	})
	spec.Config.Env = []wire.EnvVar{{Key: "INTERVAL", Value: "5s"}, {Key: "UPSTREAM", Value: "edgeHub"}}
	loop{
		Calls: []device.Call{{Method: "POST", Path: "/modules?" + device.Version, Body: f.Body(spec)}},
		First: f.modules, Cycles: n - f.modules, Workers: 2,
	}.run(b, f.Agent())
	f.modules = n
}

// run makes the first n modules run, edgeAgent being the first.
func (f *fleet) run(b *testing.B, n int) {
	b.Helper()
	f.grow(b, n)
	if n > f.running {
		f.each(b, "start", f.running, n)
	}
	f.running = n
}

// halt stops all but edgeAgent.
func (f *fleet) halt(b *testing.B) {
	b.Helper()
	f.each(b, "stop", 1, f.running)
	f.running = 1
}

func (f *fleet) each(b *testing.B, action string, from, to int) {
	b.Helper()
	loop{
		Calls: []device.Call{{Method: "POST", Path: "/modules/m@/" + action + "?" + device.Version}},
		First: from, Cycles: to - from, Workers: 2,
	}.run(b, f.Agent())
}

// list is the answer of GET /modules, which has as many modules as it should.
func (f *fleet) list(b *testing.B) string {
	b.Helper()
	answer := f.Host("GET", listPath, "")
	var list wire.ModuleList
	require.NoError(b, json.Unmarshal([]byte(answer.Body), &list))
	require.Len(b, list.Modules, f.modules)
	running := 0
	for _, m := range list.Modules {
		if m.Status.RuntimeStatus.Status == "running" {
			running++
		}
	}
	require.Equal(b, f.running, running, fmt.Sprintf("of %d modules", f.modules))
	return answer.Body
}

const (
	listPath = "/modules?" + device.Version
	onePath  = "/modules/edgeAgent?" + device.Version
)
