package bench

import (
	"cmp"
	"os"
	"slices"
	"testing"
	"time"
)

// rounds does f often enough to take a median of, and again while the benchmark's time
// lasts. The time of a whole round means nothing, so it is not reported.
func rounds(b *testing.B, least int, f func()) {
	b.Helper()
	for b.Loop() {
		for range least {
			f()
		}
	}
	b.ReportMetric(0, "ns/op")
}

func sorted[T cmp.Ordered](all []T) []T { return slices.Sorted(slices.Values(all)) }

func median[T cmp.Ordered](all []T) T { return sorted(all)[len(all)/2] }

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// ratio is the one median over the other.
func ratio(a, b []time.Duration) float64 { return float64(median(a)) / float64(median(b)) }

// figure reports a figure that has no limit.
func figure(b *testing.B, unit string, value float64) {
	b.Helper()
	b.ReportMetric(value, unit)
}

// atMost reports a figure that must not be above its limit.
func atMost(b *testing.B, unit string, value, limit float64) {
	b.Helper()
	figure(b, unit, value)
	if value > limit {
		missed(b, unit, value, limit)
	}
}

// atLeast reports a figure that must not be below its limit.
func atLeast(b *testing.B, unit string, value, limit float64) {
	b.Helper()
	figure(b, unit, value)
	if value < limit {
		missed(b, unit, value, limit)
	}
}

func missed(b *testing.B, unit string, value, limit float64) {
	b.Helper()
	b.Logf("missed: %s is %.4g, the limit is %.4g", unit, value, limit)
	if os.Getenv("BENCH_ENFORCE") != "" {
		b.Fail()
	}
}
