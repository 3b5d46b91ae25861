package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
)

// audited serves a table of n events in pages; each look with after= brings one more.
func audited(t *testing.T, n int, asked *[]string) http.Handler {
	all := []wire.AuditEvent{}
	for id := n; id > 0; id-- {
		all = append(all, wire.AuditEvent{
			ID: int64(id), Kind: wire.AuditChange, Time: before(time.Hour), Last: before(time.Hour), Count: 1, Caller: "module", CallerModule: "edgeAgent",
			Method: "POST", Route: "/modules/{name}/start", Status: 204, Module: "m" + strconv.Itoa(id),
		})
	}
	if n > 1 {
		all[0] = wire.AuditEvent{
			ID: int64(n), Kind: wire.AuditRefusal, Last: before(0), Count: 7, Caller: "host", CallerUID: 1000, Method: "GET", Route: "/audit", Status: 403,
			Reason: "not_operator", Module: "evil\x1b[2J\u202e\t", Comment: strings.Repeat("x", 200),
		}
	}
	var more atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /audit", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		q.Del("api-version")
		if asked != nil {
			*asked = append(*asked, q.Encode())
		}
		number := func(name string, missing int64) int64 {
			n, err := strconv.ParseInt(q.Get(name), 10, 64)
			if err != nil {
				return missing
			}
			return n
		}
		var page wire.AuditPage
		if after := number("after", 0); after > 0 {
			page.Events = []wire.AuditEvent{{ID: after + more.Add(1), Kind: wire.AuditChange, Caller: "host", Method: "PUT", Route: "/deployment", Status: 200}}
		} else {
			for _, e := range all {
				if e.ID < number("before", 1<<62) && int64(len(page.Events)) < number("limit", 100) {
					page.Events = append(page.Events, e)
				}
			}
			if last := len(page.Events) - 1; last >= 0 && page.Events[last].ID > 1 {
				page.Before = page.Events[last].ID
			}
		}
		if err := json.NewEncoder(w).Encode(page); err != nil {
			t.Error(err)
		}
	})
	return mux
}

func TestTheAuditTableIsShown(t *testing.T) {
	d := newDevice(t, audited(t, 3, nil))
	got := d.run("audit")
	require.Zero(t, got.code, got.err)
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	require.Len(t, lines, 4)
	require.Equal(t, strings.Fields("LAST COUNT KIND CALLER REQUEST TARGET STATUS REASON"), strings.Fields(lines[0]))
	require.Contains(t, lines[1], "edgeAgent")
	require.Contains(t, lines[1], "POST /modules/{name}/start")
	require.Contains(t, lines[1], "m1")
	require.Contains(t, lines[3], "uid 1000")
	require.Contains(t, lines[3], "not_operator")
	require.NotContains(t, got.out, "\x1b")
	require.NotContains(t, got.out, "\u202e")
	require.Less(t, len(lines[3]), 300, "what is long is cut")
	require.Equal(t, "1 m1\n2 m2\n", d.run("audit", "--format", "{{.ID}} {{.Module}}").out[:10])
	var events []wire.AuditEvent
	require.NoError(t, json.Unmarshal([]byte(d.run("audit", "--format", "json").out), &events))
	require.Len(t, events, 3)
	require.Equal(t, "[]\n", newDevice(t, audited(t, 0, nil)).run("audit", "--format", "json").out)
}

func TestTheAuditTableIsReadInPages(t *testing.T) {
	var asked []string
	d := newDevice(t, audited(t, 2500, &asked))
	require.Equal(t, 2500, strings.Count(d.run("audit", "-n", "0", "--format", "{{.ID}}").out, "\n"))
	require.Equal(t, []string{"limit=1000", "before=1501&limit=1000", "before=501&limit=1000"}, asked)
	asked = nil
	out := d.run("audit", "-n", "1200", "--format", "{{.ID}}").out
	require.True(t, strings.HasPrefix(out, "1301\n"), "the last ones, the oldest first")
	require.True(t, strings.HasSuffix(out, "\n2500\n"))
	asked = nil
	require.Zero(t, d.run("audit", "--kind", "refusal", "--since", "2 days", "--module", "m", "--caller", "1000").code)
	require.Equal(t, []string{"caller=1000&kind=refusal&limit=50&module=m&since=2+days"}, asked)
}

// endsAfter serves n requests; the next one finds edged gone, which ends what follows.
func endsAfter(n int64, h http.Handler) http.Handler {
	var served atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1) > n {
			http.Error(w, `{"message":"enough"}`, http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func TestTheAuditIsFollowed(t *testing.T) {
	t.Parallel()
	t.Run("as lines, each once", func(t *testing.T) {
		t.Parallel()
		var asked []string
		got := newDevice(t, endsAfter(3, audited(t, 1, &asked))).run("audit", "--follow", "--number", "1")
		require.Contains(t, got.err, "enough")
		require.NotZero(t, got.code)
		lines := strings.Split(strings.TrimSpace(got.out), "\n")
		require.Len(t, lines, 3, got.out)
		require.Contains(t, lines[0], "POST /modules/{name}/start")
		require.Contains(t, lines[1], "PUT /deployment")
		require.Equal(t, []string{"limit=1", "after=1&limit=1000", "after=2&limit=1000"}, asked)
	})
	t.Run("as JSON, a line an event", func(t *testing.T) {
		t.Parallel()
		got := newDevice(t, endsAfter(2, audited(t, 3, nil))).run("audit", "--follow", "--format", "json")
		var ids []int64
		for line := range strings.Lines(got.out) {
			var e wire.AuditEvent
			require.NoError(t, json.Unmarshal([]byte(line), &e))
			ids = append(ids, e.ID)
		}
		require.Equal(t, []int64{1, 2, 3, 4}, ids)
	})
	t.Run("from now on when nothing fits yet, and with the filter", func(t *testing.T) {
		t.Parallel()
		var asked []string
		table := audited(t, 3, &asked)
		empty := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("kind") != "" && r.URL.Query().Get("after") == "" {
				fmt.Fprint(w, `{"events":[]}`)
				return
			}
			table.ServeHTTP(w, r)
		})
		got := newDevice(t, endsAfter(3, empty)).run("audit", "--follow", "--kind", "change", "--format", "{{.ID}}")
		require.Equal(t, "4\n", got.out, got.err)
		require.Equal(t, []string{"limit=1", "after=3&kind=change&limit=1000"}, asked)
	})
}

func TestWhatTheAuditCannotBeAsked(t *testing.T) {
	d := newDevice(t, audited(t, 1, nil))
	for _, args := range [][]string{{"--kind", "both"}, {"--since", "soon"}, {"-n", "-1"}, {"--format", "xml"}, {"extra"}} {
		require.Equal(t, exitUsage, d.run(append([]string{"audit"}, args...)...).code, args)
	}
}
