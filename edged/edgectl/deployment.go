package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	"github.com/edged/edged/edged/agent/manifest"
	"github.com/edged/edged/edged/edgectl/deploy"
	"github.com/edged/edged/pkg/config"
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

// folders are those of the edged that a configuration describes.
func folders(configFile string) (deploy.Folders, error) {
	cfg, err := config.Load(configFile)
	if err != nil {
		return deploy.Folders{}, err
	}
	return deploy.FoldersOf(cfg.Home), nil
}

func (a *app) deploymentShow() *cobra.Command {
	var format, file string
	cmd := &cobra.Command{
		Use: "show [REVISION]", Short: "Show the deployment, or the manifest of one", Args: usage(cobra.MaximumNArgs(1)), ValidArgsFunction: a.completeRevisions,
		Long: `Show how far the deployment is, as the agent says. With a revision, or --format manifest,
it is the text of a manifest.`,
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := a.printer(format, "text", "json", "manifest")
			if err != nil {
				return err
			}
			f, err := folders(file)
			if err != nil {
				return err
			}
			if format == "manifest" || len(args) > 0 {
				return a.showManifest(f, args)
			}
			s, err := f.ReadStatus()
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return fmt.Errorf("nothing was deployed yet (edgectl apply -f FILE does it): %w", errdefs.ErrNotFound)
			case err != nil:
				return explainFolder(err)
			case p.template != nil:
				return p.execute(s)
			case format == "json":
				return a.json(s)
			}
			return a.deploymentText(s)
		},
	}
	deploymentFlags(cmd, &format, &file, "text", "json", "manifest")
	return cmd
}

func deploymentFlags(cmd *cobra.Command, format, file *string, formats ...string) {
	cmd.Flags().StringVar(format, "format", formats[0], strings.Join(formats, ", ")+" or a `template`")
	cmd.Flags().StringVarP(file, "config", "c", config.DefaultFile, "edged's configuration `file`, which says where its home is")
	complete(cmd, "format", formats...)
}

func (a *app) showManifest(f deploy.Folders, args []string) error {
	var text []byte
	var err error
	if len(args) == 0 {
		text, err = f.Manifest()
	} else {
		var e *deployment.Entry
		if e, err = find(f, args[0]); err == nil {
			text, err = f.Text(e.Revision)
		}
	}
	if err != nil {
		return explainFolder(err)
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
	line("since", s.Time)
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
	var format, file string
	cmd := &cobra.Command{
		Use: "history", Short: "List the latest deployments", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `List the latest deployments, newest first.

A template is once a deployment, with the fields .Revision .Phase .Error .Modules and .Time.`,
		RunE: func(*cobra.Command, []string) error {
			p, err := a.printer(format, "table", "json")
			if err != nil {
				return err
			}
			f, err := folders(file)
			if err != nil {
				return err
			}
			h, err := f.History()
			switch {
			case err != nil:
				return explainFolder(err)
			case p.template == nil && format == "json":
				return a.json(orEmpty(h.Deployments))
			case p.template == nil:
				return a.historyTable(h.Deployments)
			}
			for i := range h.Deployments {
				if err := p.execute(&h.Deployments[i]); err != nil {
					return err
				}
			}
			return nil
		},
	}
	deploymentFlags(cmd, &format, &file, "table", "json")
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
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", printable(short(e.Revision)), printable(string(e.Phase)), e.Modules, when, shorten(printable(e.Error), maxDescription))
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
			f, err := folders(r.config)
			if err != nil {
				return err
			}
			e, err := earlier(f, args)
			if err != nil {
				return explainFolder(err)
			}
			text, err := f.Text(e.Revision)
			if err != nil {
				return explainFolder(err)
			}
			fmt.Fprintf(a.err, "back to %s of %s\n", short(e.Revision), printable(e.Time))
			return a.roll(cmd.Context(), &r, text, nil)
		},
	}
	r.flags(cmd)
	return cmd
}

// earlier chooses the deployment to go back to.
func earlier(f deploy.Folders, args []string) (*deployment.Entry, error) {
	if len(args) > 0 {
		return find(f, args[0])
	}
	now, err := f.Manifest()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	h, err := f.History()
	if err != nil {
		return nil, err
	}
	for i := range h.Deployments {
		if e := &h.Deployments[i]; e.Phase == deployment.Applied && e.Revision != manifest.Revision(now) {
			return e, nil
		}
	}
	return nil, fmt.Errorf("there is no earlier deployment to go back to: %w", errdefs.ErrFailedPrecondition)
}

// find returns the deployment whose revision begins so; errdefs.NotFound, or
// errdefs.InvalidArgument when several do.
func find(f deploy.Folders, revision string) (*deployment.Entry, error) {
	h, err := f.History()
	if err != nil {
		return nil, err
	}
	var found *deployment.Entry
	for i := range h.Deployments {
		if !strings.HasPrefix(h.Deployments[i].Revision, revision) || revision == "" {
			continue
		}
		if found != nil {
			return nil, usageError{fmt.Errorf("several deployments begin with %q: give more of it: %w", revision, errdefs.ErrInvalidArgument)}
		}
		found = &h.Deployments[i]
	}
	if found == nil {
		return nil, fmt.Errorf("there is no deployment %q (edgectl deployment history lists them): %w", revision, errdefs.ErrNotFound)
	}
	return found, nil
}

func (a *app) completeRevisions(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	file, err := cmd.Flags().GetString("config")
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	f, err := folders(file)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	h, err := f.History()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var all []cobra.Completion
	for _, e := range h.Deployments {
		all = append(all, cobra.CompletionWithDesc(printable(short(e.Revision)), printable(string(e.Phase)+", "+e.Time)))
	}
	return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}
