package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/edged/edged/edged/agent/manifest"
	"github.com/edged/edged/edged/edgectl/deploy"
	"github.com/edged/edged/edged/edgectl/file"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/config"
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
  3  it was not done in time; the agent goes on with it`

// rollout is one way to hand a manifest to the agent.
type rollout struct {
	config  string
	yes     bool
	noWait  bool
	dryRun  bool
	timeout time.Duration
}

func (r *rollout) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&r.config, "config", "c", config.DefaultFile, "edged's configuration `file`, which says where its home is")
	f.BoolVarP(&r.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&r.noWait, "no-wait", false, "do not wait for what comes of it")
	f.BoolVar(&r.dryRun, "dry-run", false, "show what would change, and change nothing")
	f.DurationVar(&r.timeout, "timeout", 5*time.Minute, "how `long` to wait")
}

func (a *app) apply() *cobra.Command {
	var r rollout
	var name, envFile string
	cmd := &cobra.Command{
		Use: "apply -f FILE", Short: "Make the device match a deployment manifest", Args: usage(cobra.NoArgs),
		Long: `Give a deployment manifest to the agent, and wait until the device matches it. The
manifest is one of Azure IoT Edge (schema 1.0 or 1.1), as JSON or YAML: the whole
document or edgeAgent's desired properties alone. It is all there shall be: modules
that it does not name are removed.

It is checked as a whole before anything is touched, what it changes is shown, and
on a terminal you are asked. ${NAME} in credentials stands for a value of --env-file,
else of edgectl's environment, else of an earlier apply.

It writes in edged's home, so it has to be run by root. Who may apply a manifest is
root on this device, since a module may be given anything.
` + applyCodes,
		Example: `  edgectl apply -f deployment.json
  edgectl apply -f deployment.yaml --env-file secrets.env --yes
  generate | edgectl apply -f - --yes`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if name == "" {
				return usageError{errors.New("which manifest? name it with -f, or - for standard input")}
			}
			text, err := a.readManifest(name)
			if err != nil {
				return err
			}
			var given map[string]string
			if envFile != "" {
				b, err := file.Read(envFile, deployment.MaxFile)
				if err != nil {
					return usageError{err}
				}
				if given, err = deploy.ParseEnvFile(b); err != nil {
					return usageError{fmt.Errorf("cannot use --env-file %s: %w", envFile, err)}
				}
			}
			return a.roll(cmd.Context(), &r, text, given)
		},
	}
	cmd.Flags().StringVarP(&name, "file", "f", "", "the manifest's `file`, or - for standard input")
	cmd.Flags().StringVar(&envFile, "env-file", "", "`file` of NAME=value lines for ${NAME} in the manifest")
	r.flags(cmd)
	return cmd
}

func (a *app) readManifest(name string) ([]byte, error) {
	if name != "-" {
		text, err := file.Read(name, deployment.MaxFile)
		if err != nil {
			return nil, usageError{err}
		}
		return text, nil
	}
	text, err := io.ReadAll(io.LimitReader(a.in, deployment.MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read standard input: %w", err)
	}
	if len(text) > deployment.MaxFile {
		return nil, usageError{fmt.Errorf("the manifest is larger than %d bytes", deployment.MaxFile)}
	}
	return text, nil
}

// roll hands a manifest to the agent and waits.
func (a *app) roll(ctx context.Context, r *rollout, text []byte, given map[string]string) error {
	cfg, err := config.Load(r.config)
	if err != nil {
		return err
	}
	folders := deploy.FoldersOf(cfg.Home)
	before, err := folders.Secrets()
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	vars := &deploy.Variables{File: given, Environment: os.LookupEnv, Before: before, Agent: cfg.Agent.Env}
	next, err := manifest.Parse(text, vars.Lookup)
	if err != nil {
		return a.invalid(err)
	}
	for _, notice := range next.Notices {
		fmt.Fprintln(a.err, "note:", printable(notice))
	}
	have := a.have(ctx)
	if err := a.showChanges(folders, next, vars, have); err != nil || r.dryRun {
		return err
	}
	release, err := folders.Lock()
	if err != nil {
		return explainFolder(err)
	}
	defer release()
	was := status(folders)
	if now, err := folders.Manifest(); err == nil && bytes.Equal(now, text) && was != nil && was.Revision == next.Revision && was.Phase == deployment.Applied && sameSecrets(vars.Used(), before) {
		fmt.Fprintf(a.out, "%s is applied already\n", short(next.Revision))
		return nil
	}
	if err := a.ask("apply "+short(next.Revision), r.yes); err != nil {
		return err
	}
	if err := folders.Write(text, vars.Used()); err != nil {
		return explainFolder(err)
	}
	if r.noWait {
		fmt.Fprintln(a.out, short(next.Revision))
		return nil
	}
	return a.await(ctx, folders, r.timeout, next.Revision, was)
}

func sameSecrets(used, before map[string]string) bool {
	for name, value := range used {
		if old, ok := before[name]; !ok || old != value {
			return false
		}
	}
	return true
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

// have is what there is; without edged the diff does without, and the wait will show it.
func (a *app) have(ctx context.Context) []wire.Module {
	c, err := a.client()
	if err != nil {
		a.complain(err)
		return nil
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	have, err := c.List(ctx)
	if err != nil {
		a.complain(err)
		return nil
	}
	for _, m := range have {
		if m.Name == domain.AgentName && m.Status.RuntimeStatus.Status == "running" {
			return have
		}
	}
	fmt.Fprintln(a.err, "edgectl: the module edgeAgent, which applies manifests, does not run: edgectl check agent")
	return have
}

func (a *app) showChanges(folders deploy.Folders, next *manifest.Deployment, vars *deploy.Variables, have []wire.Module) error {
	var before *manifest.Deployment
	if text, err := folders.Manifest(); err == nil {
		known := deploy.Variables{Before: vars.Before, Environment: os.LookupEnv, Agent: vars.Agent}
		if d, err := manifest.Parse(text, known.Lookup); err == nil {
			before = d
		}
	}
	changes := deploy.Diff(before, next, have)
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
	_, err := fmt.Fprint(a.out, b.String())
	return err
}

// await shows progress until the agent has ended with a revision.
func (a *app) await(ctx context.Context, folders deploy.Folders, timeout time.Duration, revision string, was *deployment.Status) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s, err := folders.Wait(ctx, revision, was, func(line string) { fmt.Fprintln(a.err, printable(line)) })
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		why := "the agent has not taken it up: edgectl check agent"
		if s != nil {
			why = "the agent is still " + printable(string(s.Phase)) + "; edgectl deployment show tells how far it is"
		}
		fmt.Fprintf(a.err, "edgectl: %s was not applied within %s: %s\n", short(revision), timeout, why)
		return reported{applyTimeout}
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

// status is what the agent says, nil when it cannot be read.
func status(folders deploy.Folders) *deployment.Status {
	s, err := folders.ReadStatus()
	if err != nil {
		return nil
	}
	return s
}

// explainFolder says what to do where the folders cannot be used.
func explainFolder(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: it has to be done by root", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: edged makes the folder at its first start; --config says where its home is", err)
	}
	return err
}

// short is a revision as people name it.
func short(revision string) string { return revision[:min(len(revision), 12)] }
