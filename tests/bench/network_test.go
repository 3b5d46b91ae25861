package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// BenchmarkNetwork is the life of a module on the default network against the same with
// containerd's client and go-cni, whose conflist has the plugins that the distribution
// brings for it: bridge, portmap and firewall. Both are in the device's network namespace.
func BenchmarkNetwork(b *testing.B) {
	d := device.New(b, device.Options{Binary: program("edged"), Network: true})
	agent := d.Agent()
	f := newNetFloor(b, d)
	spec := device.WithOptions(d.CommandSpec("@", "sleep"), func(top, _ map[string]any) { top["StopSignal"] = "SIGKILL" })
	at := func(method, tail string) device.Call {
		return device.Call{Method: method, Path: "/modules/@" + tail + "?" + device.Version}
	}
	life := loop{Prefix: "n", Calls: []device.Call{
		{Method: "POST", Path: "/modules?" + device.Version, Body: d.Body(spec)}, at("POST", "/start"), at("POST", "/stop"), at("DELETE", ""),
	}}

	b.Run("cycle", func(b *testing.B) {
		var edged, floor loopResult
		var rest []time.Duration
		rounds(b, 30, func() {
			life.Cycles, life.Workers = 1, 1
			began := time.Now()
			edged.Cycles = append(edged.Cycles, life.run(b, agent).Cycles...)
			life.First += life.Cycles
			awaitNoNetwork(d) // what is done after the answer must not be in the other's time
			rest = append(rest, time.Since(began))
			floor.Cycles = append(floor.Cycles, f.ask(b, "cycle"))
		})
		for i, name := range []string{"create-ms", "start-ms", "stop-ms", "delete-ms"} {
			figure(b, name, ms(median(edged.call(i))))
			figure(b, "client-"+name, ms(median(floor.call(i))))
		}
		figure(b, "p50-ms", ms(median(edged.cycles())))
		figure(b, "client-p50-ms", ms(median(floor.cycles())))
		figure(b, "until-all-is-gone-ms", ms(median(rest)))
		atMost(b, "ratio-vs-client", ratio(edged.cycles(), floor.cycles()), 0.9)
		atMost(b, "create-start-ratio-vs-client", ratio(firstTwo(edged), firstTwo(floor)), 1.0)
	})

	b.Run("restart", func(b *testing.B) {
		named := d.CommandSpec("again", "sleep")
		named.Config.Settings.CreateOptions = spec.Config.Settings.CreateOptions
		d.CreateAndStart(named)
		again := loop{Cycles: 1, Workers: 1, Calls: []device.Call{{Method: "POST", Path: "/modules/again/restart?" + device.Version}}}
		var edged, floor []time.Duration
		rounds(b, 30, func() {
			edged = append(edged, again.run(b, agent).cycles()...)
			floor = append(floor, time.Duration(f.ask(b, "restart")[0]))
		})
		figure(b, "p50-ms", ms(median(edged)))
		figure(b, "client-p50-ms", ms(median(floor)))
		atMost(b, "ratio-vs-client", ratio(edged, floor), 1.15)
	})
}

func firstTwo(r loopResult) []time.Duration {
	all := make([]time.Duration, len(r.Cycles))
	for i, calls := range r.Cycles {
		all[i] = time.Duration(calls[0] + calls[1])
	}
	return all
}

// awaitNoNetwork waits until no namespace is left but those of the model and of what
// is restarted.
func awaitNoNetwork(d *device.Device) {
	d.Eventually("edged has removed the namespace", func() bool {
		namespaces, _ := filepath.Glob(filepath.Join(d.Run, "netns", "n*"))
		left, _ := filepath.Glob(filepath.Join(d.Run, "netns", "model*"))
		return len(namespaces) == 0 && len(left) == 1
	})
}

// netFloor is a process in the device's network that does a life's steps on request.
type netFloor struct {
	stdin  io.WriteCloser
	answer *bufio.Scanner
}

func newNetFloor(b *testing.B, d *device.Device) *netFloor {
	b.Helper()
	d.CreateAndStart(d.CommandSpec("model", "sleep"))
	cmd := exec.Command("nsenter", "--net="+d.NetNS(), os.Args[0])
	config, err := json.Marshal(netFloorConfig{Address: d.Address(), Namespace: d.Namespace, Root: d.Root})
	require.NoError(b, err)
	cmd.Env = append(os.Environ(), netFloorEnv+"="+string(config))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(b, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = stdin.Close() // it removes what it has and ends
		_ = cmd.Wait()
	})
	return &netFloor{stdin, bufio.NewScanner(stdout)}
}

// ask lets it do something once; the answer is how many nanoseconds each step took.
func (f *netFloor) ask(b *testing.B, what string) (took []int64) {
	b.Helper()
	_, err := fmt.Fprintln(f.stdin, what)
	require.NoError(b, err)
	require.True(b, f.answer.Scan(), "the floor ended")
	require.NoError(b, json.Unmarshal(f.answer.Bytes(), &took))
	return took
}
