package mgmt

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/audit"
	"github.com/edged/edged/pkg/client/wire"
)

// fakeAudit answers rows from its own, and remembers what it was asked.
type fakeAudit struct {
	rows  []audit.Entry
	asked audit.Query
}

func (f *fakeAudit) Audit(_ context.Context, q audit.Query) ([]audit.Entry, error) {
	f.asked = q
	return f.rows[:min(len(f.rows), q.Limit)], nil
}

func TestTheAuditTableIsAnsweredInPages(t *testing.T) {
	f := newFixture(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	table := &fakeAudit{}
	for id := int64(5); id > 0; id-- {
		table.rows = append(table.rows, audit.Entry{ID: id, Time: at, Last: at.Add(time.Second), Count: 2, Kind: audit.Refusal, Caller: "module", CallerModule: "other", Method: "GET", Route: "/x", Status: 403, Rule: "operator", Reason: "not_operator"})
	}
	f.cfg.AuditTable = table
	page := func(query string) wire.AuditPage {
		w := f.ask("root", "GET", "/audit"+v+query, "")
		require.Equal(t, 200, w.Code, w.Body.String())
		var page wire.AuditPage
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &page))
		return page
	}
	all := page("")
	require.Len(t, all.Events, 5)
	require.Zero(t, all.Before)
	require.Equal(t, wire.AuditEvent{
		ID: 5, Kind: "refusal", Time: "2026-01-02T03:04:05.000006Z", Last: "2026-01-02T03:04:06.000006Z", Count: 2, Caller: "module", CallerModule: "other",
		Method: "GET", Route: "/x", Status: 403, Rule: "operator", Reason: "not_operator",
	}, all.Events[0])
	require.Zero(t, page("&limit=5").Before, "there is no more")
	some := page("&limit=2")
	require.Len(t, some.Events, 2)
	require.EqualValues(t, 4, some.Before)
	table.rows = nil
	require.Equal(t, "{\"events\":[]}", f.ask("edged", "GET", "/audit"+v, "").Body.String())
}

func TestWhatIsAskedOfTheAuditTable(t *testing.T) {
	f := newFixture(t)
	table := &fakeAudit{}
	f.cfg.AuditTable = table
	w := f.ask("edgeAgent", "GET", "/audit"+v+"&kind=change&since=2026-01-02T03:04:05Z&module=$edgeHub&caller=$edgeAgent&before=9&after=3&limit=1000", "")
	require.Equal(t, 200, w.Code)
	require.Equal(t, audit.Query{
		Kind: audit.Change, Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Module: "edgeHub", Caller: "edgeAgent", Before: 9, After: 3, Limit: 1001,
	}, audit.Query{Kind: table.asked.Kind, Since: table.asked.Since.UTC(), Module: table.asked.Module, Caller: table.asked.Caller, Before: table.asked.Before, After: table.asked.After, Limit: table.asked.Limit})
	for query, want := range map[string]string{
		"&kind=changes": "invalid parameter: kind is change or refusal",
		"&since=soon":   "invalid parameter: since",
		"&limit=0":      "invalid parameter: limit is a number from 1 to 1000",
		"&limit=1001":   "invalid parameter: limit is a number from 1 to 1000",
		"&limit=x":      "invalid parameter: limit is a number from 1 to 1000",
		"&before=-1":    "invalid parameter: before",
		"&after=1e3":    "invalid parameter: after",
	} {
		w := f.ask("root", "GET", "/audit"+v+query, "")
		require.Equal(t, 400, w.Code, query)
		require.Equal(t, want, message(t, w))
	}
}
