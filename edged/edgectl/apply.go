package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	"github.com/edged/edged/edged/agent/manifest"
	"github.com/edged/edged/edged/edgectl/deploy"
	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/deployment"
	domain "github.com/edged/edged/pkg/module"
)

// Exit codes of apply and deployment rollback, as promised in their help.
const (
	applyFailed  = 1
	applyInvalid = 2
	applyTimeout = 3
)

const applyCodes = `
Exit codes:
  0  every module is as the manifest has it, and healthy
  1  it failed; the last good deployment was put back, if there was one
  2  the manifest, or the command line, is wrong: nothing was changed
  3  it was not done in time, or Ctrl-C ended the waiting; the agent goes on with it
  4  forbidden, 5  edged cannot be reached: nothing was changed`

// rollout is one way to hand a manifest to the agent.
type rollout struct {
	yes     bool
	noWait  bool
	dryRun  bool
	timeout time.Duration
}

func (r *rollout) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVarP(&r.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&r.noWait, "no-wait", false, "do not wait for what comes of it")
	f.BoolVar(&r.dryRun, "dry-run", false, "show what would change, and change nothing")
	f.DurationVar(&r.timeout, "timeout", 5*time.Minute, "how `long` to wait")
}

func (a *app) apply() *cobra.Command {
	var r rollout
	var name, envFile string
	cmd := &cobra.Command{
		Use: "apply -f FILE", Short: "Make the device match a deployment manifest", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Give a deployment manifest to the agent, and wait until the device matches it. The
manifest is one of Azure IoT Edge (schema 1.0 or 1.1), as JSON or YAML: the whole
document or edgeAgent's desired properties alone. It is all there shall be: modules
that it does not name are removed.

It is checked as a whole before anything is touched, by edged as well, what it changes is shown, and
on a terminal you are asked. ${NAME} in credentials stands for a value of --env-file,
else of edgectl's environment, else of an earlier apply.

Root and members of the group edged may do it, and edged's audit log says who did.
Who may apply a manifest is root on this device, since a module may be given anything.
` + applyCodes,
		Example: `  edgectl apply -f deployment.json
  edgectl apply -f deployment.yaml --env-file secrets.env --yes
  generate | edgectl apply -f - --yes`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if name == "" {
				return usageError{errors.New("which manifest? name it with -f, or - for standard input")}
			}
			text, err := a.input(name, deployment.MaxFile)
			if err != nil {
				return err
			}
			var given map[string]string
			if envFile == name {
				return usageError{errors.New("-f and --env-file are the same")}
			}
			if envFile != "" {
				b, err := a.input(envFile, deployment.MaxFile)
				if err != nil {
					return err
				}
				if given, err = deploy.ParseEnvFile(b); err != nil {
					return usageError{fmt.Errorf("cannot use --env-file %s: %w", envFile, err)}
				}
			}
			return a.withClient(func(c *client.Client) error { return a.roll(cmd.Context(), c, &r, text, given) })
		},
	}
	cmd.Flags().StringVarP(&name, "file", "f", "", "the manifest's `file`, or - for standard input")
	cmd.Flags().StringVar(&envFile, "env-file", "", "`file` of NAME=value lines for ${NAME} in the manifest")
	r.flags(cmd)
	return cmd
}

// roll hands a manifest to the agent and waits.
func (a *app) roll(ctx context.Context, c *client.Client, r *rollout, text []byte, given map[string]string) error {
	if err := positive("--timeout", r.timeout); err != nil {
		return err
	}
	vars := &deploy.Variables{File: given, Environment: os.LookupEnv}
	have, err := c.Deployment(ctx)
	if err == nil {
		vars.Known = have.Variables
	} else {
		vars.Any = true // what is wrong with the text itself is told without edged, too
	}
	next, invalid := manifest.Parse(text, vars.Lookup)
	switch {
	case invalid != nil:
		return a.invalid(invalid)
	case errdefs.IsNotFound(err):
		return errors.New("this edged knows nothing of deployments: it is older than edgectl, so restart it (systemctl restart edged)")
	case err != nil:
		return err
	}
	if err := textual(vars.Used()); err != nil {
		return err
	}
	for _, notice := range next.Notices {
		fmt.Fprintln(a.err, "note:", printable(notice))
	}
	changes, err := a.changes(ctx, c, have, next, vars)
	if err != nil {
		return err
	}
	if err := a.checkSpecs(ctx, c, next, changes); err != nil {
		return err
	}
	if err := a.showChanges(changes, vars); err != nil || r.dryRun {
		return err
	}
	if err := a.ask("apply "+short(next.Revision), r.yes); err != nil {
		return err
	}
	put, err := c.Deploy(ctx, wire.DeploymentSpec{Manifest: text, Variables: vars.Used(), Before: &have.Revision})
	switch {
	case err != nil:
		return err
	case !put.Changed:
		fmt.Fprintf(a.out, "%s is applied already\n", short(put.Revision))
		return nil
	case r.noWait:
		fmt.Fprintln(a.out, short(put.Revision))
		return nil
	}
	return a.await(ctx, c, r.timeout, put.Revision, have.Status)
}

// textual refuses values that JSON, in which they are handed over, would change.
func textual(values map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !utf8.ValidString(values[name]) {
			return usageError{fmt.Errorf("the value of %s is not UTF-8", name)}
		}
	}
	return nil
}

// invalid lists the problems of a manifest, one a line.
func (a *app) invalid(err error) error {
	var problems *manifest.Invalid
	if !errors.As(err, &problems) {
		return err
	}
	fmt.Fprintln(a.err, "edgectl: invalid manifest, nothing was changed:")
	for _, p := range problems.Problems {
		fmt.Fprintln(a.err, "  "+printable(p))
	}
	return reported{applyInvalid}
}

// running is what there is, and a word about the agent when it does not run.
func (a *app) running(ctx context.Context, c *client.Client) ([]wire.Module, error) {
	all, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		if m.Name == domain.AgentName && m.Status.RuntimeStatus.Status == "running" {
			return all, nil
		}
	}
	fmt.Fprintln(a.err, "edgectl: the module edgeAgent, which applies manifests, does not run: edgectl check agent")
	return all, nil
}

// lastGoodOf is the deployment that the device has, nil when that is not known. One that
// was refused is not: what it says was never done.
func (a *app) lastGoodOf(ctx context.Context, c *client.Client, have *wire.Deployment, vars *deploy.Variables) (*manifest.Deployment, error) {
	if have.Status == nil || have.Status.LastGood == "" {
		return nil, nil
	}
	text, err := c.Manifest(ctx, have.Status.LastGood)
	var no *client.Error
	switch {
	case errors.As(err, &no):
		return nil, nil // it is forgotten, or the agent is another's
	case err != nil:
		return nil, err
	}
	// With the same values, of which edged tells nothing: what differs is the manifest's doing.
	known := deploy.Variables{File: vars.File, Environment: vars.Environment, Any: true}
	d, err := manifest.Parse(text, known.Lookup)
	if err != nil {
		return nil, nil //nolint:nilerr // the modules that there are say enough
	}
	return d, nil
}

func (a *app) changes(ctx context.Context, c *client.Client, have *wire.Deployment, next *manifest.Deployment, vars *deploy.Variables) ([]deploy.Change, error) {
	there, err := a.running(ctx, c)
	if err != nil {
		return nil, err
	}
	before, err := a.lastGoodOf(ctx, c, have, vars)
	if err != nil {
		return nil, err
	}
	return deploy.Diff(before, next, there), nil
}

// checkSpecs asks edged what it would refuse of the modules that are to be made: createOptions
// have their meaning on this device alone.
func (a *app) checkSpecs(ctx context.Context, c *client.Client, next *manifest.Deployment, changes []deploy.Change) error {
	made := map[string]bool{}
	for _, change := range changes {
		made[change.Module] = change.Made
	}
	var problems []string
	for i := range next.Modules {
		spec := next.Modules[i].Spec
		if !made[spec.Name] {
			continue
		}
		spec.Config.Settings.Auth = nil // the registry's to judge
		var gone *client.UnreachableError
		switch err := c.Check(ctx, spec); {
		case errdefs.IsInvalidArgument(err):
			problems = append(problems, "module "+spec.Name+": "+explain(err))
		case errdefs.IsPermissionDenied(err), errors.As(err, &gone):
			return err
		case errdefs.IsNotFound(err):
			return nil // an edged of before this question: the agent will tell
		}
		// What else keeps edged from saying it may be over when the agent asks.
	}
	if len(problems) > 0 {
		return a.invalid(&manifest.Invalid{Problems: problems})
	}
	return nil
}

func (a *app) showChanges(changes []deploy.Change, vars *deploy.Variables) error {
	var b strings.Builder
	for _, c := range changes {
		name := printable(c.Module)
		switch c.Kind {
		case deploy.Added:
			fmt.Fprintln(&b, a.colour(green, "+ "+name+"  "+printable(c.Image)))
		case deploy.Removed:
			fmt.Fprintln(&b, a.colour(red, "- "+name+"  "+printable(c.Image)))
		case deploy.Changed:
			fmt.Fprintln(&b, a.colour(yellow, "~ "+name))
			for _, f := range c.Fields {
				fmt.Fprintln(&b, "    "+printable(f))
			}
		}
	}
	if len(changes) == 0 {
		b.WriteString("no module is other than before\n")
	}
	if used := vars.Used(); len(used) > 0 {
		fmt.Fprintln(&b, "values are given for", strings.Join(slices.Sorted(maps.Keys(used)), ", "))
	}
	_, err := fmt.Fprint(a.out, b.String())
	return err
}

// await shows progress until the agent has ended with a revision.
func (a *app) await(ctx context.Context, c *client.Client, timeout time.Duration, revision string, was *deployment.Status) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s, err := deploy.Wait(ctx, c.Deployment, revision, was, func(line string) { fmt.Fprintln(a.err, printable(line)) })
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		why := "the agent has not taken it up: edgectl check agent"
		if s != nil {
			why = "the agent is still " + printable(string(s.Phase)) + "; edgectl deployment show tells how far it is"
		}
		fmt.Fprintf(a.err, "edgectl: %s was not applied within %s: %s\n", short(revision), timeout, why)
		return reported{applyTimeout}
	case ctx.Err() != nil:
		fmt.Fprintf(a.err, "edgectl: not waited for any more; the agent goes on with %s: edgectl deployment show tells how far it is\n", short(revision))
		return reported{applyTimeout}
	case errors.Is(err, deploy.ErrReplaced):
		return fmt.Errorf("%s was not waited for to its end: %w (edgectl deployment show)", short(revision), err)
	case err != nil:
		return err
	}
	switch s.Phase {
	case deployment.Applied:
		fmt.Fprintf(a.out, "%s is applied\n", short(revision))
		return nil
	case deployment.Invalid:
		fmt.Fprintf(a.err, "edgectl: the agent refused %s: %s\n", short(revision), printable(s.Error))
		return reported{applyInvalid}
	}
	fmt.Fprintf(a.err, "edgectl: %s was not applied: %s\n", short(revision), printable(s.Error))
	if s.Phase == deployment.RolledBack {
		fmt.Fprintf(a.err, "edgectl: the device is as before, at %s\n", printable(short(s.LastGood)))
	}
	return reported{applyFailed}
}

// short is a revision as people name it.
func short(revision string) string { return revision[:min(len(revision), 12)] }
