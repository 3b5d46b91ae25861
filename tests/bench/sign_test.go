package bench

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// signBody is what a client asks a signature for: a token's resource and expiry.
const signBody = `{"keyId":"primary","algo":"HMACSHA256","data":"aHViLmV4YW1wbGUlMkZkZXZpY2VzJTJGZGV2LTElMkZtb2R1bGVzJTJGc2Vuc29yCjE3ODAwMDAwMDA="}`

// workloadCall is one of a module's own calls, with the generation id from its environment.
func workloadCall(b *testing.B, d *device.Device, module, action, body string) device.Call {
	b.Helper()
	_, text := d.Probe(module).Do(http.MethodGet, "/environ", "")
	var env []string
	require.NoError(b, json.Unmarshal([]byte(text), &env))
	generation := ""
	for _, kv := range env {
		if value, ok := strings.CutPrefix(kv, "EDGED_MODULEGENERATIONID="); ok {
			generation = value
		}
	}
	require.NotEmpty(b, generation)
	return device.Call{Socket: device.WorkloadInside, Method: http.MethodPost, Path: "/modules/" + module + "/genid/" + generation + "/" + action + "?" + device.Version, Body: body}
}

// calls lets a module make one call n times, workers at once on connections that are kept.
func calls(c device.Call, n, workers int) loop {
	return loop{Socket: c.Socket, Calls: []device.Call{c}, Cycles: n, Workers: workers}
}

// rate is cycles a second.
func (r loopResult) rate() float64 {
	return float64(len(r.Cycles)) / time.Duration(r.Took).Seconds()
}

// BenchmarkSign: a module signs over a connection that it keeps, with the keys in a file. The client is the same for edged and for the baselines, inside a module.
func BenchmarkSign(b *testing.B) {
	d := newDevice(b, "")
	d.CreateAndStart(d.Spec("sensor"))
	sensor := d.Probe("sensor")
	bare := newBareSigner(b, d, "sensor")
	sign := workloadCall(b, d, "sensor", "sign", signBody)
	ready := device.Call{Socket: bare, Method: http.MethodPost, Path: bareReady, Body: signBody}
	plain := device.Call{Socket: bare, Method: http.MethodPost, Path: bareHMAC, Body: signBody}
	for _, c := range []device.Call{sign, ready, plain} {
		calls(c, 500, 1).run(b, sensor) // warm
	}
	var signs, readies, plains []time.Duration
	var signRates, plainRates []float64
	rounds(b, 5, func() {
		signs = append(signs, calls(sign, 500, 1).run(b, sensor).call(0)...)
		readies = append(readies, calls(ready, 500, 1).run(b, sensor).call(0)...)
		plains = append(plains, calls(plain, 500, 1).run(b, sensor).call(0)...)
		signRates = append(signRates, calls(sign, 4000, 8).run(b, sensor).rate())
		plainRates = append(plainRates, calls(plain, 4000, 8).run(b, sensor).rate())
	})
	figure(b, "sign-p50-us", us(median(signs)))
	figure(b, "bare-p50-us", us(median(readies)))
	figure(b, "barehmac-p50-us", us(median(plains)))
	figure(b, "sign-8-req/s", median(signRates))
	figure(b, "barehmac-8-req/s", median(plainRates))
	atMost(b, "sign/bare", ratio(signs, readies), 1.5)
	atLeast(b, "sign/barehmac-at-8", median(signRates)/median(plainRates), 0.5)
}

// BenchmarkCertificate: a key and a certificate of P-256, from the request to the chain.
func BenchmarkCertificate(b *testing.B) {
	d := newDevice(b, "")
	d.CreateAndStart(d.Spec("sensor"))
	sensor := d.Probe("sensor")
	certificate := workloadCall(b, d, "sensor", "certificate/server", `{"commonName":"sensor"}`)
	calls(certificate, 50, 1).run(b, sensor)
	var took []time.Duration
	rounds(b, 5, func() { took = append(took, calls(certificate, 100, 1).run(b, sensor).call(0)...) })
	atMost(b, "certificate-p50-ms", ms(median(took)), 2)
}

// BenchmarkNoisyNeighbour: one module signs without end on 64 connections while another signs on one. What the noise costs by merely keeping the processors busy,
// on both sides, shows beside it: the same noise on a server that is not edged.
func BenchmarkNoisyNeighbour(b *testing.B) {
	d := newDevice(b, "")
	for _, name := range []string{"sensor", "noisy"} {
		d.CreateAndStart(d.Spec(name))
	}
	sensor, noisy := d.Probe("sensor"), d.Probe("noisy")
	bare := newBareSigner(b, d, "noisy")
	sign, noise := workloadCall(b, d, "sensor", "sign", signBody), workloadCall(b, d, "noisy", "sign", signBody)
	elsewhere := device.Call{Socket: bare, Method: http.MethodPost, Path: bareHMAC, Body: signBody}
	const span = time.Second
	quiet := func() []time.Duration {
		calls(sign, 100, 1).run(b, sensor) // until the noise is there
		l := calls(sign, 0, 1)
		l.For = int64(span)
		return l.run(b, sensor).call(0)
	}
	// The 99th of a hundred is the machine's own worst moment as often as edged's, so it is taken of each round, and of those the median.
	var alone, beside, busy []time.Duration
	var rates []float64
	rounds(b, 9, func() {
		alone = append(alone, p99(quiet()))
		for _, n := range []struct {
			call device.Call
			took *[]time.Duration
		}{{noise, &beside}, {elsewhere, &busy}} {
			var wg sync.WaitGroup
			var made loopResult
			wg.Go(func() {
				l := calls(n.call, 0, 64)
				l.For = int64(3 * span / 2)
				made = l.run(b, noisy)
			})
			*n.took = append(*n.took, p99(quiet()))
			wg.Wait()
			if n.took == &beside {
				rates = append(rates, made.rate())
			}
		}
	})
	figure(b, "noise-req/s", median(rates))
	figure(b, "alone-p99-us", us(median(alone)))
	figure(b, "beside-p99-us", us(median(beside)))
	figure(b, "busy-p99-us", us(median(busy)))
	atMost(b, "beside/alone-p99", ratio(beside, alone), 2)
	figure(b, "beside/busy-p99", ratio(beside, busy))
}

func p99(all []time.Duration) time.Duration { return sorted(all)[len(all)*99/100] }
