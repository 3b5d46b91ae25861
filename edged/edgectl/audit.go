package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/client/wire"
)

// auditEvery is between two looks at what is new, and auditPage is how many events one
// answer has.
const (
	auditEvery = time.Second
	auditPage  = 1000
)

func (a *app) audit() *cobra.Command {
	var opt client.AuditOptions
	var format string
	var follow bool
	var number int
	cmd := &cobra.Command{
		Use: "audit", Short: "Show who changed what, and who was refused", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Show who changed what, and who was refused, the newest last. edged keeps the last 10000
changes and 2000 refusals, over restarts; refusals that are alike are one line an hour.
--caller is a module's name, or the uid of a user of the host.

A time is RFC 3339 (2026-01-02T15:04:05Z), seconds since 1970, or a duration before
now (30m, "1h 20m", "2 days").

A template is once an event, with the fields .ID .Kind .Time .Last .Count .Caller
.CallerModule .CallerContainer .CallerUID .CallerPID .Proof .Listener .Method .Route
.Status .Rule .Reason .Module .Volume .Package .Build .Bundle .Revision and .Comment.
With --follow json is a line an event.`,
		Example: `  edgectl audit
  edgectl audit --kind refusal --since "2 days"
  edgectl audit --module pump --number 0
  edgectl audit --follow --format json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := a.printer(format, "table", "json")
			if err != nil {
				return err
			}
			if opt.Kind != "" && opt.Kind != wire.AuditChange && opt.Kind != wire.AuditRefusal {
				return usageError{fmt.Errorf("invalid --kind %q: it is %s or %s", opt.Kind, wire.AuditChange, wire.AuditRefusal)}
			}
			if number < 0 {
				return usageError{errors.New("--number is less than nothing")}
			}
			if err := checkPeriod(opt.Since, "", a.now()); err != nil {
				return usageError{err}
			}
			return a.withClient(func(c *client.Client) error {
				events, err := auditEvents(cmd.Context(), c, opt, number)
				if err != nil {
					return err
				}
				if !follow {
					return show(p, format, events, a.auditTable)
				}
				return a.followAudit(cmd.Context(), c, opt, events, func(all []wire.AuditEvent) error {
					if format == "json" {
						return a.jsonLines(all)
					}
					return show(p, format, all, a.auditLines)
				})
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opt.Kind, "kind", "", "only `change` or refusal")
	flags.StringVar(&opt.Since, "since", "", "what happened from this `time` on")
	flags.StringVar(&opt.Module, "module", "", "what was done to the module `name`")
	flags.StringVar(&opt.Caller, "caller", "", "what the module `name`, or the uid, did")
	flags.IntVarP(&number, "number", "n", 50, "only the last `N`; 0 for all")
	flags.BoolVarP(&follow, "follow", "f", false, "go on with what happens, until Ctrl-C")
	flags.StringVar(&format, "format", "table", "table, json or a `template`")
	complete(cmd, "format", "table", "json")
	complete(cmd, "kind", wire.AuditChange, wire.AuditRefusal)
	complete(cmd, "since")
	complete(cmd, "number")
	for _, name := range []string{"module", "caller"} {
		if err := cmd.RegisterFlagCompletionFunc(name, a.completeModules); err != nil {
			panic(err) // it is misspelt here
		}
	}
	return cmd
}

// auditEvents reads the last events, page by page; the oldest comes first.
func auditEvents(ctx context.Context, c *client.Client, opt client.AuditOptions, number int) ([]wire.AuditEvent, error) {
	var all []wire.AuditEvent
	for {
		opt.Limit = auditPage
		if number > 0 {
			opt.Limit = min(auditPage, number-len(all))
		}
		page, err := c.Audit(ctx, opt)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Events...)
		if opt.Before = page.Before; opt.Before == 0 || number > 0 && len(all) >= number {
			slices.Reverse(all)
			return all, nil
		}
	}
}

// followAudit shows events and those that come.
func (a *app) followAudit(ctx context.Context, c *client.Client, opt client.AuditOptions, events []wire.AuditEvent, show func([]wire.AuditEvent) error) error {
	if len(events) == 0 && (opt.Kind != "" || opt.Module != "" || opt.Caller != "" || opt.Since != "") {
		// Not what is older and was not shown.
		newest, err := c.Audit(ctx, client.AuditOptions{Limit: 1})
		if err != nil {
			return err
		}
		for _, e := range newest.Events {
			opt.After = e.ID
		}
	}
	for {
		if err := show(events); err != nil {
			return err
		}
		if len(events) > 0 {
			opt.After = events[len(events)-1].ID
		}
		select {
		case <-time.After(auditEvery):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		var err error
		if events, err = auditEvents(ctx, c, opt, 0); err != nil {
			return err
		}
	}
}

func (a *app) jsonLines(all []wire.AuditEvent) error {
	for i := range all {
		line, err := jsonText(&all[i])
		if err == nil {
			_, err = fmt.Fprintln(a.out, line)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *app) auditTable(all []wire.AuditEvent) error {
	w := tabwriter.NewWriter(a.out, 8, 0, 3, ' ', 0)
	fmt.Fprintln(w, "LAST\tCOUNT\tKIND\tCALLER\tREQUEST\tTARGET\tSTATUS\tREASON")
	for i := range all {
		fmt.Fprintln(w, strings.Join(auditColumns(&all[i]), "\t"))
	}
	return w.Flush()
}

// auditLines is the table without its head, for events that come one by one.
func (a *app) auditLines(all []wire.AuditEvent) error {
	for i := range all {
		c := auditColumns(&all[i])
		if _, err := fmt.Fprintf(a.out, "%s  %-8s %s  %s  %s  %s %s  x%s\n", c[0], c[2], c[3], c[4], c[5], c[6], c[7], c[1]); err != nil {
			return err
		}
	}
	return nil
}

// auditColumns are harmless to a terminal and have no tab.
func auditColumns(e *wire.AuditEvent) []string {
	at := e.Last
	if t, err := time.Parse(time.RFC3339Nano, e.Last); err == nil {
		at = t.Local().Format("2006-01-02 15:04:05")
	}
	caller := e.Caller
	switch e.Caller {
	case "module":
		caller = e.CallerModule
	case "host":
		caller = "uid " + strconv.FormatUint(uint64(e.CallerUID), 10)
	}
	status := "-"
	if e.Status != 0 {
		status = strconv.Itoa(e.Status)
	}
	columns := []string{
		at, strconv.Itoa(e.Count), e.Kind, dash(caller), dash(strings.TrimSpace(e.Method + " " + e.Route)),
		dash(auditTarget(e)), status, dash(e.Reason),
	}
	for i, c := range columns {
		columns[i] = shorten(printable(c), 60)
	}
	return columns
}

// auditTarget is what the request named, in a few words.
func auditTarget(e *wire.AuditEvent) string {
	var words []string
	for _, t := range []struct{ kind, name string }{
		{"", e.Module}, {"volume ", e.Volume}, {"package ", e.Package}, {"build ", e.Build}, {"bundle ", e.Bundle}, {"revision ", short(e.Revision)}, {"", e.Comment},
	} {
		if t.name != "" {
			words = append(words, t.kind+t.name)
		}
	}
	return strings.Join(words, ", ")
}
