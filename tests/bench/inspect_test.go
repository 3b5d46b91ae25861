package bench

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkInspect is GET /modules/edgeAgent by eight host users at once.
func BenchmarkInspect(b *testing.B) {
	f := newFleet(b, "")
	for _, modules := range []int{1, 20, 200} {
		b.Run(fmt.Sprintf("%d-modules", modules), func(b *testing.B) {
			f.grow(b, modules)
			bare := newBare(b, `{"modules":[`+f.Host("GET", onePath, "").Body+`]}`)
			edged, floor := newCrowd(b, 8, f.Management(), onePath), newCrowd(b, 8, bare.socket, "/modules/edgeAgent")
			var rates [2][]float64
			rounds(b, 21, func() {
				rates[0] = append(rates[0], edged.rate(b, 100*time.Millisecond))
				rates[1] = append(rates[1], floor.rate(b, 100*time.Millisecond))
			})
			figure(b, "requests/s", median(rates[0]))
			figure(b, "bare-requests/s", median(rates[1]))
			atLeast(b, "ratio-vs-bare", median(rates[0])/median(rates[1]), 0.75)
		})
	}
}
