package bench

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
)

// BenchmarkList is GET /modules by a host user on a kept connection.
func BenchmarkList(b *testing.B) {
	f := newFleet(b, "")
	b.Run("1-module", func(b *testing.B) {
		bare := newBare(b, f.list(b))
		edged, floor := newTarget(b, f.Management(), listPath), newTarget(b, bare.socket, readyList)
		var took [2][]time.Duration
		rounds(b, 5, func() {
			for i, t := range byTurns(b, 500, edged, floor) {
				took[i] = append(took[i], t...)
			}
		})
		figure(b, "p50-ms", ms(median(took[0])))
		figure(b, "bare-p50-ms", ms(median(took[1])))
		atMost(b, "ratio-vs-bare", ratio(took[0], took[1]), 1.3)
	})
	b.Run("20-created-or-running", func(b *testing.B) { createdOrRunning(b, f) })
	b.Run("100-modules", func(b *testing.B) { againstEncoding(b, f, 100) })
	b.Run("200-modules", func(b *testing.B) { againstEncoding(b, f, 200) })
}

// againstEncoding compares the list with bare servers that answer the same: one encodes
// it for each request, one has the bytes ready. The figure with the limit is processor time
// of the servers: what edged's answer takes over ready bytes, to what encoding takes over
// them. Passing the bytes through a socket costs all three the same, more than all the rest,
// and is in neither; the ratios of whole requests stand beside it.
func againstEncoding(b *testing.B, f *fleet, modules int) {
	f.grow(b, modules)
	text := f.list(b)
	bare := newBare(b, text)
	edged := newTarget(b, f.Management(), listPath)
	encoded, ready := newTarget(b, bare.socket, encodedList), newTarget(b, bare.socket, readyList)
	var took [3][]time.Duration
	var used [3][]time.Duration
	var marshal []time.Duration
	var list wire.ModuleList
	require.NoError(b, json.Unmarshal([]byte(text), &list))
	const n = 300
	rounds(b, 5, func() {
		for i, t := range byTurns(b, n, edged, encoded, ready) {
			took[i] = append(took[i], t...)
		}
		for i, t := range []*target{edged, encoded, ready} {
			pid := bare.pid
			if i == 0 {
				pid = f.Edged.PID()
			}
			before := cpuOf(b, pid)
			byTurns(b, n, t)
			used[i] = append(used[i], (cpuOf(b, pid)-before)/n)
		}
		began := time.Now()
		for range n {
			_, err := json.Marshal(list)
			require.NoError(b, err)
		}
		marshal = append(marshal, time.Since(began)/n)
	})
	figure(b, "answer-KB", float64(len(text))/1000)
	figure(b, "p50-ms", ms(median(took[0])))
	figure(b, "encoded-p50-ms", ms(median(took[1])))
	figure(b, "ready-p50-ms", ms(median(took[2])))
	figure(b, "marshal-ms", ms(median(marshal)))
	figure(b, "cpu-us", us(median(used[0])))
	figure(b, "encoded-cpu-us", us(median(used[1])))
	figure(b, "ready-cpu-us", us(median(used[2])))
	figure(b, "time-ratio-vs-encoded", ratio(took[0], took[1]))
	figure(b, "added-time-vs-marshal", float64(median(took[0])-median(took[2]))/float64(median(marshal)))
	figure(b, "cpu-ratio-vs-encoded", ratio(used[0], used[1]))
	transport := median(used[2])
	atMost(b, "ratio-vs-encoding", float64(median(used[0])-transport)/float64(median(used[1])-transport), 0.3)
}

// createdOrRunning lists 20 modules by turns created and running. Each time is taken in
// proportion to a bare server's at that moment, so that what else the machine does is in neither.
func createdOrRunning(b *testing.B, f *fleet) {
	f.grow(b, 20)
	bare := newBare(b, f.list(b))
	edged, floor := newTarget(b, f.Management(), listPath), newTarget(b, bare.socket, readyList)
	measure := func() float64 {
		f.list(b)
		time.Sleep(2 * time.Second) // what starts and stops leave to do is not the list's
		took := byTurns(b, 3000, edged, floor)
		return ratio(took[0], took[1])
	}
	var created, running []float64
	rounds(b, 3, func() {
		created = append(created, measure())
		f.run(b, 20)
		running = append(running, measure())
		f.halt(b)
	})
	figure(b, "created-vs-bare", median(created))
	figure(b, "running-vs-bare", median(running))
	atMost(b, "running-vs-created", median(running)/median(created), 1.05)
}
