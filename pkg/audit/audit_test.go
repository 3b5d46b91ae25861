package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/pkg/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// written collects what a log writes, read back from its JSON.
type written struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *written) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(b)
}

func (w *written) lines(t *testing.T) []map[string]any {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []map[string]any
	for line := range strings.Lines(w.text.String()) {
		var m map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &m))
		all = append(all, m)
	}
	w.text.Reset()
	return all
}

// logged runs a test with a log on JSON lines, in a bubble of its own time.
func logged(t *testing.T, f func(t *testing.T, l *Log, w *written)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &written{}
		l := start(toJSON(w))
		closed := false
		defer func() {
			if !closed {
				l.Close()
			}
		}()
		f(t, l, w)
		closed = true
		l.Close()
	})
}

func inside(name string, uid uint32) peer.Caller {
	return peer.Caller{
		Kind: peer.Module, PID: 42, UID: uid, Proof: peer.ProofPIDFD, Listener: "management",
		Instance: &peer.Instance{Module: name, Generation: 1, ContainerID: name + "-g1"},
	}
}

func refusal(c peer.Caller) Event {
	return Event{Caller: c, Method: "POST", Route: "/modules", Status: 403, Rule: "agent", Reason: "not_agent"}
}

func TestEveryChangeIsALine(t *testing.T) {
	logged(t, func(t *testing.T, l *Log, w *written) {
		e := Event{Caller: inside("edgeAgent", 0), Method: "DELETE", Route: "/modules/{name}", Module: "te\"mp\u2028", Status: 204}
		l.Change(e)
		l.Change(e)
		lines := w.lines(t)
		require.Len(t, lines, 2)
		require.Equal(t, map[string]any{
			"audit": true, "event": "change", "time": time.Now().UTC().Format(time.RFC3339Nano), "method": "DELETE", "route": "/modules/{name}", "module": "te\"mp\u2028", "status": "204",
			"caller": "module", "caller_module": "edgeAgent", "caller_container": "edgeAgent-g1", "caller_uid": "0", "caller_pid": "42", "proof": "pidfd", "listener": "management",
		}, lines[0])
	})
}

func TestRefusalsThatAreAlikeAreGathered(t *testing.T) {
	logged(t, func(t *testing.T, l *Log, w *written) {
		for range 1000 {
			l.Refusal(refusal(inside("other", 0)))
		}
		lines := w.lines(t)
		require.Len(t, lines, 1, "the first at once")
		require.Equal(t, "not_agent", lines[0]["reason"])
		require.Equal(t, "agent", lines[0]["rule"])
		require.NotContains(t, lines[0], "repeated")
		time.Sleep(Window)
		synctest.Wait()
		lines = w.lines(t)
		require.Len(t, lines, 1)
		require.Equal(t, "999", lines[0]["repeated"])
		time.Sleep(Window)
		synctest.Wait()
		require.Empty(t, w.lines(t), "nothing happened")
		l.Refusal(refusal(inside("other", 0)))
		require.Len(t, w.lines(t), 1, "the next window begins anew")
	})
}

func TestWhatDiffersIsWritten(t *testing.T) {
	logged(t, func(t *testing.T, l *Log, w *written) {
		one := refusal(inside("other", 0))
		events := []Event{one, refusal(inside("third", 0)), refusal(peer.Caller{Kind: peer.Host}), refusal(peer.Caller{Kind: peer.Host, UID: 1}), refusal(peer.Caller{})}
		for _, change := range []func(*Event){func(e *Event) { e.Method = "PUT" }, func(e *Event) { e.Route = "/x" }, func(e *Event) { e.Reason = "gone" }} {
			e := one
			change(&e)
			events = append(events, e)
		}
		for range 2 {
			for _, e := range events {
				l.Refusal(e)
			}
		}
		require.Len(t, w.lines(t), len(events))
	})
}

// TestAModuleCannotUseUpTheQuotaByItsUsers holds the bug that each uid that a module gave
// itself counted as another caller.
func TestAModuleCannotUseUpTheQuotaByItsUsers(t *testing.T) {
	logged(t, func(t *testing.T, l *Log, w *written) {
		for uid := range uint32(1000) {
			l.Refusal(refusal(inside("other", uid)))
		}
		require.Len(t, w.lines(t), 1)
		l.Refusal(refusal(inside("third", 0)))
		require.Len(t, w.lines(t), 1)
	})
}

func TestALoopOfRefusalsPushesNoChangeOut(t *testing.T) {
	logged(t, func(t *testing.T, l *Log, w *written) {
		for uid := range uint32(1000) {
			l.Refusal(refusal(peer.Caller{Kind: peer.Host, UID: uid}))
		}
		require.Len(t, w.lines(t), quota)
		l.Change(Event{Method: "PUT", Status: 200})
		require.Len(t, w.lines(t), 1)
		time.Sleep(Window)
		synctest.Wait()
		lines := w.lines(t)
		require.Len(t, lines, 1)
		require.Equal(t, fmt.Sprint(1000-quota), lines[0]["repeated"])
		l.Refusal(refusal(peer.Caller{Kind: peer.Host, UID: 999}))
		require.Len(t, w.lines(t), 1)
	})
}

func TestCloseWritesWhatWasGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &written{}
		l := start(toJSON(w))
		l.Refusal(refusal(inside("other", 0)))
		l.Refusal(refusal(inside("other", 0)))
		l.Close()
		lines := w.lines(t)
		require.Len(t, lines, 2)
		require.Equal(t, "1", lines[1]["repeated"])
	})
}

func TestTheSameChangeOfAModuleIsCounted(t *testing.T) {
	w := &written{}
	l := start(toJSON(w))
	e := Event{Caller: inside("busy", 0), Method: "POST", Route: "/modules/{name}/start", Module: "a", Status: 204}
	for range 1000 {
		l.Change(e)
	}
	e.Module = "b"
	l.Change(e)
	l.Close()
	lines := w.lines(t)
	require.Len(t, lines, sameChanges+2, "the first ones, the other module's, and the count")
	last := lines[len(lines)-1]
	require.Equal(t, "984", last["repeated"])
	require.Equal(t, "a", last["module"])
}

func TestManyWriteAtOnce(t *testing.T) {
	w := &written{}
	l := start(toJSON(w))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				l.Change(Event{Caller: inside("edgeAgent", 0), Method: "POST", Route: "/x", Status: 204})
				l.Refusal(refusal(inside("a", 0)))
			}
		})
	}
	wg.Wait()
	l.Close()
	require.Len(t, w.lines(t), 802, "each line is whole")
}

func TestALineForPeopleSaysWhoAndWhat(t *testing.T) {
	event := refusal(inside("other", 7))
	entry := entryOf(&event, Refusal)
	require.Equal(t, "refusal: module other (uid 7) POST /modules: 403 not_agent", summary(fields(&entry)))
}
