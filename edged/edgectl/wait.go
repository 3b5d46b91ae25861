package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/client/wire"
)

// settled is how long a module without a health check has to run to count as healthy,
// as for the agent.
const settled = 10 * time.Second

// errDone ends a stream whose end was reached.
var errDone = errors.New("done")

func (a *app) wait() *cobra.Command {
	var condition string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: "wait NAME...", Short: "Wait until modules run, are healthy or have stopped", Args: someModules, ValidArgsFunction: a.completeModules,
		Long: `Wait until all the modules are so: running; healthy, by their health check or, without
one, because they have run for 10 s; stopped, however they ended; or removed. One that
is not there yet is waited for.

The exit code is 0 when they are, and 1 when they are not in time; what each does then
is on stderr.`,
		Example: `  edgectl wait pump valve --for healthy --timeout 2m`,
		RunE: func(cmd *cobra.Command, names []string) error {
			if !slices.Contains(conditions, condition) {
				return usageError{fmt.Errorf("--for is %s, not %q", strings.Join(conditions, ", "), condition)}
			}
			if err := positive("--timeout", timeout); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return a.withClient(func(c *client.Client) error { return a.waitFor(ctx, c, names, condition, timeout) })
		},
	}
	cmd.Flags().StringVar(&condition, "for", "running", strings.Join(conditions, ", "))
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "how `long` to wait")
	complete(cmd, "for", conditions...)
	return cmd
}

var conditions = []string{"running", "healthy", "stopped", "removed"}

// waitFor follows the events, over restarts of edged too: only an edged that is not
// there at the beginning is an error.
func (a *app) waitFor(ctx context.Context, c *client.Client, names []string, condition string, timeout time.Duration) error {
	is := map[string]wire.Event{}
	for first := true; ; first = false {
		err := a.follow(ctx, c, names, condition, is)
		var gone *client.UnreachableError
		switch {
		case errors.Is(err, errDone):
			return nil
		case ctx.Err() != nil:
			for _, name := range names {
				if !met(condition, is[name], a.now()) {
					fmt.Fprintf(a.err, "edgectl: %s: %s\n", printable(name), printable(state(is[name])))
				}
			}
			fmt.Fprintf(a.err, "edgectl: not %s within %s\n", condition, timeout)
			return reported{exitFailed}
		case first && len(is) == 0 || !errors.As(err, &gone):
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// follow reads one stream until the condition is met: errDone. The clock is looked at
// besides, since a module without a health check is healthy when nothing happens.
func (a *app) follow(ctx context.Context, c *client.Client, names []string, condition string, is map[string]wire.Event) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	events, ended := make(chan wire.Event), make(chan error, 1)
	go func() {
		err := c.Events(ctx, true, func(e wire.Event) error {
			select {
			case events <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		ended <- err
	}()
	clear(is)
	ready := false // all that there is was told
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case e := <-events:
			switch e.Kind {
			case wire.EventReady:
				ready = true
			case wire.EventDeleted:
				delete(is, e.Module)
			default:
				is[e.Module] = e
			}
		case <-tick.C:
		}
		if ready && !slices.ContainsFunc(names, func(name string) bool { return !met(condition, is[name], a.now()) }) {
			cancel(errDone)
			return errors.Join(errDone, <-ended) // which ended because it was told to
		}
	}
}

// met says whether a module is as it is waited for; a zero Event is one that is absent.
func met(condition string, e wire.Event, now time.Time) bool {
	switch condition {
	case "running":
		return e.Status == "running"
	case "healthy":
		if e.Status != "running" || e.Health != "" {
			return e.Status == "running" && e.Health == "healthy"
		}
		began, err := time.Parse(time.RFC3339Nano, e.StartTime)
		return err == nil && now.Sub(began) >= settled
	case "stopped":
		return e.Status == "stopped" || e.Status == "failed" || e.Status == "dead"
	}
	return e.Module == ""
}

func state(e wire.Event) string {
	if e.Module == "" {
		return "not there"
	}
	text := e.Description
	if text == "" {
		text = e.Status
	}
	return text
}
