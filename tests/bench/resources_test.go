package bench

import (
	"testing"
	"time"

	"github.com/edged/edged/tests/device"
)

// BenchmarkResources is GET /systeminfo/resources by a host user, with 20 modules that run.
func BenchmarkResources(b *testing.B) {
	f := newFleet(b, "[containerd]\nshared_shim = true\n")
	f.run(b, 20)
	target := newTarget(b, f.Management(), "/systeminfo/resources?"+device.Version)
	var took []time.Duration
	rounds(b, 5, func() { took = append(took, byTurns(b, 50, target)[0]...) })
	atMost(b, "p50-ms", ms(median(took)), 10)
}
