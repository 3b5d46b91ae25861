package mgmt

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/edged/edged/pkg/audit"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/modulelog"
)

// AuditTable is what was changed and refused.
type AuditTable interface {
	Audit(ctx context.Context, q audit.Query) ([]audit.Entry, error)
}

// Rows of one answer, when nothing is said and at most.
const (
	auditRows    = 100
	maxAuditRows = 1000
)

// auditEvents answers a page of the audit table.
func (a *api) auditEvents(w http.ResponseWriter, r *httpapi.Request) error {
	q, err := auditQuery(r)
	if err != nil {
		return err
	}
	limit := q.Limit
	q.Limit++ // one more tells whether there are more
	entries, err := a.AuditTable.Audit(r.Context(), q)
	if err != nil {
		return err
	}
	page := wire.AuditPage{Events: make([]wire.AuditEvent, 0, len(entries))}
	for i := range entries {
		if i == limit {
			page.Before = entries[limit-1].ID
			break
		}
		page.Events = append(page.Events, encodeAudit(&entries[i]))
	}
	httpapi.WriteJSON(w, http.StatusOK, page)
	return nil
}

// auditQuery reads kind, module, caller, since, before, after and limit.
func auditQuery(r *httpapi.Request) (audit.Query, error) {
	get := r.Query.Get
	q := audit.Query{
		Kind: audit.Kind(get("kind")), Limit: auditRows,
		// The canonical names, as elsewhere: $edgeHub and edgeHub are one.
		Module: strings.TrimPrefix(get("module"), "$"), Caller: strings.TrimPrefix(get("caller"), "$"),
	}
	if q.Kind != "" && q.Kind != audit.Change && q.Kind != audit.Refusal {
		return q, httpapi.BadRequest("invalid parameter: kind is " + wire.AuditChange + " or " + wire.AuditRefusal)
	}
	var err error
	if s := get("since"); s != "" {
		if q.Since, err = modulelog.ParseTime(s, time.Now()); err != nil {
			return q, httpapi.BadRequest("invalid parameter: since")
		}
	}
	if s := get("limit"); s != "" {
		if q.Limit, err = strconv.Atoi(s); err != nil || q.Limit < 1 || q.Limit > maxAuditRows {
			return q, httpapi.BadRequest("invalid parameter: limit is a number from 1 to " + strconv.Itoa(maxAuditRows))
		}
	}
	for name, to := range map[string]*int64{"before": &q.Before, "after": &q.After} {
		if s := get(name); s != "" {
			if *to, err = strconv.ParseInt(s, 10, 64); err != nil || *to < 0 {
				return q, httpapi.BadRequest("invalid parameter: " + name)
			}
		}
	}
	return q, nil
}

func encodeAudit(e *audit.Entry) wire.AuditEvent {
	return wire.AuditEvent{
		ID: e.ID, Kind: string(e.Kind), Time: e.Time.UTC().Format(time.RFC3339Nano), Last: e.Last.UTC().Format(time.RFC3339Nano), Count: e.Count,
		Caller: e.Caller, CallerModule: e.CallerModule, CallerContainer: e.CallerContainer, CallerUID: e.CallerUID, CallerPID: e.CallerPID, Proof: e.Proof, Listener: e.Listener,
		Method: e.Method, Route: e.Route, Status: e.Status, Rule: e.Rule, Reason: e.Reason,
		Module: e.Module, Volume: e.Volume, Package: e.Package, Build: e.Build, Bundle: e.Bundle, Revision: e.Revision, Comment: e.Comment,
	}
}
