package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/deployment"
)

func (a *app) deployment() *cobra.Command {
	cmd := &cobra.Command{
		Use: "deployment", Short: "Show deployments and go back to an earlier one", Args: usage(cobra.NoArgs),
		Long: `Show what the device shall be and how far it is, what was deployed before, and go back
to it. A deployment is named by its revision, the SHA-256 of its manifest's text; the
first characters do. Deployments are kept by the agent, the latest ten, and hold no
values of variables.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.deploymentShow(), a.deploymentHistory(), a.deploymentRollback())
	return cmd
}

func (a *app) deploymentShow() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "show [REVISION]", Short: "Show the deployment, or the manifest of one", Args: usage(cobra.MaximumNArgs(1)), ValidArgsFunction: a.completeRevisions,
		Long: `Show how far the deployment is, as the agent says. With a revision, or --format manifest,
it is the text of a manifest.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.printer(format, "text", "json", "manifest")
			if err != nil {
				return err
			}
			if len(args) > 0 && format != "manifest" && cmd.Flags().Changed("format") {
				return usageError{errors.New("of a revision only the manifest is kept: leave --format out (edgectl deployment history tells how it ended)")}
			}
			return a.withClient(func(c *client.Client) error {
				if len(args) > 0 || format == "manifest" {
					return a.showManifest(cmd.Context(), c, args)
				}
				d, err := c.Deployment(cmd.Context())
				switch {
				case err != nil:
					return err
				case d.Status == nil && d.Problem != "":
					return errors.New(d.Problem)
				case d.Status == nil && d.Revision != "":
					return fmt.Errorf("%s was given to the agent, and it has not taken it up (edgectl check agent)", short(d.Revision))
				case d.Status == nil:
					return fmt.Errorf("nothing was deployed yet (edgectl apply -f FILE does it): %w", errdefs.ErrNotFound)
				}
				if d.Revision != "" && d.Revision != d.Status.Revision {
					fmt.Fprintf(a.err, "edgectl: %s was given to the agent since, and it has not taken it up (edgectl check agent)\n", short(d.Revision))
				}
				switch {
				case p.template != nil:
					return p.execute(d.Status)
				case format == "json":
					return a.json(d.Status)
				}
				return a.deploymentText(d.Status)
			})
		},
	}
	formatFlag(cmd, &format, "text", "json", "manifest")
	return cmd
}

func formatFlag(cmd *cobra.Command, format *string, formats ...string) {
	cmd.Flags().StringVar(format, "format", formats[0], strings.Join(formats, ", ")+" or a `template`")
	complete(cmd, "format", formats...)
}

func (a *app) showManifest(ctx context.Context, c *client.Client, args []string) error {
	revision := ""
	if len(args) > 0 {
		d, err := c.Deployment(ctx)
		if err != nil {
			return err
		}
		e, err := find(d.History, args[0])
		if err != nil {
			return err
		}
		revision = e.Revision
	}
	text, err := c.Manifest(ctx, revision)
	if err != nil {
		return err
	}
	shown := string(text)
	if a.terminal {
		shown = printableText(shown)
	}
	_, err = fmt.Fprint(a.out, shown)
	return err
}

func (a *app) deploymentText(s *deployment.Status) error {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(a.out, "%-11s%s\n", name, printable(value))
		}
	}
	line("revision", s.Revision)
	fmt.Fprintf(a.out, "%-11s%s\n", "phase", a.colour(phaseColour(s.Phase), printable(string(s.Phase))))
	line("error", s.Error)
	line("last good", s.LastGood)
	line("since", seconds(s.Time))
	for i, notice := range s.Notices {
		line([]string{"notes", ""}[min(i, 1)], notice)
	}
	if len(s.Modules) == 0 {
		return nil
	}
	fmt.Fprintln(a.out)
	w := tabwriter.NewWriter(a.out, 8, 0, 3, ' ', 0)
	fmt.Fprintln(w, "MODULE\tSTATE\tHEALTH\tDOING\tERROR")
	for _, name := range slices.Sorted(maps.Keys(s.Modules)) {
		m := s.Modules[name]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", printable(name), printable(m.State), printable(dash(m.Health)), printable(dash(m.Progress)), shorten(printable(m.Error), maxDescription))
	}
	return w.Flush()
}

// seconds is a time as exact as people want it.
func seconds(s string) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return s
	}
	return t.Format(time.RFC3339)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func phaseColour(p deployment.Phase) string {
	switch p {
	case deployment.Applied:
		return green
	case deployment.Applying, deployment.RollingBack:
		return yellow
	}
	return red
}

func (a *app) deploymentHistory() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "history", Short: "List the latest deployments", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `List the latest deployments, newest first.

A template is once a deployment, with the fields .Revision .Phase .Error .Modules and .Time.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := a.printer(format, "table", "json")
			if err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				d, err := c.Deployment(cmd.Context())
				switch {
				case err != nil:
					return err
				case len(d.History) == 0 && d.Problem != "":
					return errors.New(d.Problem)
				}
				return show(p, format, d.History, a.historyTable)
			})
		},
	}
	formatFlag(cmd, &format, "table", "json")
	return cmd
}

func (a *app) historyTable(all []deployment.Entry) error {
	w := tabwriter.NewWriter(a.out, 8, 0, 3, ' ', 0)
	fmt.Fprintln(w, "REVISION\tPHASE\tMODULES\tWHEN\tERROR")
	for i := range all {
		e := &all[i]
		when := "-"
		if d, ok := age(e.Time, a.now()); ok {
			when = d + " ago"
		}
		phase := printable(string(e.Phase))
		if i > 0 && (e.Phase == deployment.Applying || e.Phase == deployment.RollingBack) {
			phase = "superseded" // the agent works on the latest alone
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", printable(short(e.Revision)), phase, e.Modules, when, shorten(printable(e.Error), maxDescription))
	}
	return w.Flush()
}

func (a *app) deploymentRollback() *cobra.Command {
	var r rollout
	cmd := &cobra.Command{
		Use: "rollback [REVISION]", Short: "Go back to an earlier deployment", Args: usage(cobra.MaximumNArgs(1)), ValidArgsFunction: a.completeRevisions,
		Long: `Apply an earlier deployment again: the one that is named, or the last that was applied
before the present one. Values of variables are those that were given last.
` + applyCodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *client.Client) error {
				d, err := c.Deployment(cmd.Context())
				if err != nil {
					return err
				}
				e, err := earlier(d, args)
				if err != nil {
					return err
				}
				text, err := c.Manifest(cmd.Context(), e.Revision)
				if err != nil {
					return err
				}
				fmt.Fprintf(a.err, "back to %s of %s\n", short(e.Revision), printable(seconds(e.Time)))
				return a.roll(cmd.Context(), c, &r, text, nil)
			})
		},
	}
	r.flags(cmd)
	return cmd
}

// earlier chooses the deployment to go back to.
func earlier(d *wire.Deployment, args []string) (*deployment.Entry, error) {
	if len(args) > 0 {
		e, err := find(d.History, args[0])
		if err != nil {
			return nil, usageError{err} // 3, not found elsewhere, says here that it was not done in time
		}
		return e, nil
	}
	for i := range d.History {
		if e := &d.History[i]; e.Phase == deployment.Applied && e.Revision != d.Revision {
			return e, nil
		}
	}
	return nil, fmt.Errorf("there is no earlier deployment to go back to: %w", errdefs.ErrFailedPrecondition)
}

// find returns the deployment whose revision begins so; errdefs.NotFound, or
// errdefs.InvalidArgument when several do.
func find(history []deployment.Entry, revision string) (*deployment.Entry, error) {
	var found *deployment.Entry
	for i := range history {
		if !strings.HasPrefix(history[i].Revision, revision) || revision == "" {
			continue
		}
		if found != nil {
			return nil, usageError{fmt.Errorf("several deployments begin with %q: give more of it: %w", revision, errdefs.ErrInvalidArgument)}
		}
		found = &history[i]
	}
	if found == nil {
		return nil, fmt.Errorf("there is no deployment %q (edgectl deployment history lists them): %w", revision, errdefs.ErrNotFound)
	}
	return found, nil
}

func (a *app) completeRevisions(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	history := func(c *client.Client, ctx context.Context) ([]deployment.Entry, error) {
		d, err := c.Deployment(ctx)
		if err != nil {
			return nil, err
		}
		return d.History, nil
	}
	found, directive := fromEdged(a, args, history, func(e *deployment.Entry) (name, about string) {
		return short(e.Revision), string(e.Phase) + ", " + seconds(e.Time)
	})
	return found, directive | cobra.ShellCompDirectiveKeepOrder
}
