package bench

import (
	"testing"
	"time"

	"github.com/edged/edged/tests/device"
)

// moduleLife is the four calls of a module's life, of the plainest module there is. It
// is stopped by SIGKILL: a first process that has no handler yet, in the moments after its
// start, ignores SIGTERM, and the stop would take its whole time.
func moduleLife(d *device.Device) []device.Call {
	spec := device.WithOptions(d.CommandSpec("@", "sleep"), func(top, host map[string]any) {
		top["StopSignal"] = "SIGKILL"
		host["NetworkMode"] = "none"
	})
	create := device.Call{Method: "POST", Path: "/modules?" + device.Version, Body: d.Body(spec)}
	at := func(method, tail string) device.Call {
		return device.Call{Method: method, Path: "/modules/@" + tail + "?" + device.Version}
	}
	return []device.Call{create, at("POST", "/start"), at("POST", "/stop"), at("DELETE", "")}
}

// BenchmarkCycle is create, start, stop and delete of a module without a network, by
// edgeAgent over the management socket, against the same straight with containerd.
func BenchmarkCycle(b *testing.B) {
	d := newDevice(b, "")
	agent := d.Agent()
	f := newFloor(b, d)
	life := loop{Calls: moduleLife(d), Prefix: "m"}

	b.Run("one-at-a-time", func(b *testing.B) {
		var edged, floor loopResult
		rounds(b, 40, func() {
			life.Cycles, life.Workers = 1, 1
			edged.Cycles = append(edged.Cycles, life.run(b, agent).Cycles...)
			life.First += life.Cycles
			f.awaitClean()
			floor.Cycles = append(floor.Cycles, f.cycles(1, 1).Cycles...)
		})
		for i, name := range []string{"create-ms", "start-ms", "stop-ms", "delete-ms"} {
			figure(b, name, ms(median(edged.call(i))))
			figure(b, "client-"+name, ms(median(floor.call(i))))
		}
		figure(b, "p50-ms", ms(median(edged.cycles())))
		figure(b, "client-p50-ms", ms(median(floor.cycles())))
		atMost(b, "ratio-vs-client", ratio(edged.cycles(), floor.cycles()), 1.10)
	})

	b.Run("eight-at-once", func(b *testing.B) {
		var edged, floor []float64
		rounds(b, 5, func() {
			life.Cycles, life.Workers = 32, 8
			began := time.Now()
			life.run(b, agent)
			life.First += life.Cycles
			f.awaitClean()
			edged = append(edged, float64(life.Cycles)/time.Since(began).Seconds())
			took := time.Duration(f.cycles(life.Cycles, life.Workers).Took)
			floor = append(floor, float64(life.Cycles)/took.Seconds())
		})
		figure(b, "cycles/s", median(edged))
		figure(b, "client-cycles/s", median(floor))
		atLeast(b, "ratio-vs-client", median(edged)/median(floor), 0.9)
	})
}
