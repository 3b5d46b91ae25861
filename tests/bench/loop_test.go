package bench

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// loop is what the probe repeats; see there.
type loop struct {
	Socket  string
	Calls   []device.Call
	Prefix  string
	First   int
	Cycles  int
	Workers int
	Fresh   bool
	For     int64
}

// loopResult has nanoseconds: of each call of each cycle, and of all together.
type loopResult struct {
	Cycles [][]int64
	Took   int64
	Errors []string
}

// run lets a probe module make the calls. A call that fails ends the benchmark.
func (l loop) run(b *testing.B, p *device.Probe) loopResult {
	b.Helper()
	if l.Socket == "" {
		l.Socket = device.ManagementInside
	}
	body, err := json.Marshal(l)
	require.NoError(b, err)
	status, text := p.Do(http.MethodPost, "/loop", string(body))
	require.Equal(b, http.StatusOK, status, text)
	var result loopResult
	require.NoError(b, json.Unmarshal([]byte(text), &result))
	require.Empty(b, result.Errors)
	return result
}

// cycles is how long each cycle took.
func (r loopResult) cycles() []time.Duration {
	all := make([]time.Duration, len(r.Cycles))
	for i, calls := range r.Cycles {
		for _, ns := range calls {
			all[i] += time.Duration(ns)
		}
	}
	return all
}

// call is how long the call of a number took in each cycle.
func (r loopResult) call(n int) []time.Duration {
	all := make([]time.Duration, len(r.Cycles))
	for i, calls := range r.Cycles {
		all[i] = time.Duration(calls[n])
	}
	return all
}
