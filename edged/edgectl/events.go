package main

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/client/wire"
)

func (a *app) events() *cobra.Command {
	var format string
	var initial bool
	cmd := &cobra.Command{
		Use: "events [NAME...]", Short: "Follow what becomes of modules", ValidArgsFunction: a.completeModules,
		Long: `Follow what becomes of all modules, or of those that are named, until Ctrl-C: created,
updated (a new generation), changed and deleted. Changes that come faster than they are
read become one. A restart of edged ends it with an error.

A template is once an event, with the fields .Time .Kind .Module .Image .Status
.Description .Health .ExitCode .Restarts .Generation and .StartTime. json is a line an
event.`,
		Example: `  edgectl events
  edgectl events pump --format json | jq -r 'select(.status == "failed") | .description'`,
		Args: func(_ *cobra.Command, names []string) error { return noneEmpty(names) },
		RunE: func(cmd *cobra.Command, names []string) error {
			p, err := a.printer(format, "table", "json")
			if err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				return c.Events(cmd.Context(), initial, func(e wire.Event) error {
					if e.Kind == wire.EventReady || len(names) > 0 && !slices.Contains(names, e.Module) {
						return nil
					}
					switch {
					case p.template != nil:
						return p.execute(&e)
					case format == "json":
						line, err := jsonText(e)
						if err == nil {
							_, err = fmt.Fprintln(a.out, line)
						}
						return err
					}
					return a.eventLine(&e)
				})
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table, json or a `template`")
	cmd.Flags().BoolVar(&initial, "initial", false, "begin with the modules that there are")
	complete(cmd, "format", "table", "json")
	return cmd
}

func (a *app) eventLine(e *wire.Event) error {
	at := e.Time
	if t, err := time.Parse(time.RFC3339Nano, e.Time); err == nil {
		at = t.Local().Format("2006-01-02 15:04:05.000")
	}
	what := e.Description
	if e.ExitCode != nil && e.Status == "failed" {
		what += " (" + strconv.Itoa(*e.ExitCode) + ")"
	}
	code := grey
	switch e.Status {
	case "running":
		code = green
	case "failed", "dead":
		code = red
	}
	_, err := fmt.Fprintf(a.out, "%s  %-8s %s %s  %s\n", printable(at), printable(e.Kind), a.colour(code, fmt.Sprintf("%-8s", printable(e.Status))), printable(e.Module), printable(what))
	return err
}
