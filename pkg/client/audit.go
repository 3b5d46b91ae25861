package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/edged/edged/pkg/client/wire"
)

// AuditOptions choose rows of the audit table; what is empty chooses all.
type AuditOptions struct {
	// Kind is wire.AuditChange or wire.AuditRefusal.
	Kind string
	// Since is as in LogOptions.
	Since string
	// Module is the one that was acted upon; Caller a module's name, or the uid of a user of
	// the host.
	Module, Caller string
	// Before and After are ids that events are below and above.
	Before, After int64
	// Limit is how many events at most, up to 1000; 0 is edged's own choice.
	Limit int
}

// Audit returns events of the audit table, the newest first, one page of them. Only
// operators may: edgeAgent, root and the group edged. Errors: errdefs.InvalidArgument,
// PermissionDenied.
func (c *Client) Audit(ctx context.Context, opt AuditOptions) (*wire.AuditPage, error) {
	query := url.Values{}
	for name, value := range map[string]string{"kind": opt.Kind, "since": opt.Since, "module": opt.Module, "caller": opt.Caller} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for name, value := range map[string]int64{"before": opt.Before, "after": opt.After, "limit": int64(opt.Limit)} {
		if value != 0 {
			query.Set(name, strconv.FormatInt(value, 10))
		}
	}
	var page wire.AuditPage
	if err := c.call(ctx, readTimeout, http.MethodGet, "/audit", query, nil, &page); err != nil {
		return nil, err
	}
	return &page, nil
}
