package support

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/modulelog"
)

// maxLog bounds what is taken of one module's log, from its end: rotation bounds it
// too, but an operator may have set that to a thousand files.
const maxLogLines = 500_000

// partTimeout bounds one part of the archive; a command that hangs must not keep the rest from coming.
const partTimeout = time.Minute

// Options of one archive.
type Options struct {
	Since, Until time.Time // zero: no limit
	// RuntimeOnly leaves the logs of all modules out but edgeAgent's and edgeHub's.
	RuntimeOnly bool
}

// Bundle makes archives. All fields are required.
type Bundle struct {
	Modules   func(ctx context.Context) []*module.State
	Logs      Logs
	Info      func(ctx context.Context) wire.SystemInfo
	Resources func() (wire.SystemResources, error)
	Metrics   func(w io.Writer)
	// Config writes the configuration that edged runs with, redacted by Text.
	Config func(w io.Writer) error
	// Commands are run for what the host says of itself.
	Commands []Command
}

// Logs reads a module's log.
type Logs interface {
	Copy(ctx context.Context, w io.Writer, module string, opt modulelog.Options, done <-chan struct{}) error
}

// Write makes an archive. A part that cannot be had is in it as a file that says
// why; the error is that of w or ctx alone.
func (b *Bundle) Write(ctx context.Context, w io.Writer, opt Options) error {
	z := zip.NewWriter(w)
	now := time.Now()
	part := func(name string, write func(ctx context.Context, w io.Writer) error) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		entry := func(name string) (io.Writer, error) {
			return z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: now})
		}
		f, err := entry(name)
		if err != nil {
			return err
		}
		scrub := newScrubber(f, nil)
		limited, cancel := context.WithTimeout(ctx, partTimeout)
		defer cancel()
		failed := write(limited, scrub)
		if err := scrub.Close(); err != nil || failed == nil {
			return err
		}
		if f, err = entry(strings.TrimSuffix(name, ".txt") + "_err.txt"); err != nil {
			return err
		}
		_, err = fmt.Fprintln(f, withoutUser(failed.Error()))
		return err
	}
	modules := b.Modules(ctx)
	hidden := secretsOf(modules)
	err := errors.Join(
		part("systeminfo.json", func(ctx context.Context, w io.Writer) error { return writeJSON(w, b.Info(ctx)) }),
		part("resources.json", func(_ context.Context, w io.Writer) error {
			used, err := b.Resources()
			return errors.Join(err, writeJSON(w, used))
		}),
		part("metrics.txt", func(_ context.Context, w io.Writer) error { b.Metrics(w); return nil }),
		part("config.toml", func(_ context.Context, w io.Writer) error { return b.Config(w) }),
		part("modules.json", func(_ context.Context, w io.Writer) error { return writeJSON(w, shown(modules, hidden)) }),
	)
	for _, state := range modules {
		if err != nil || opt.RuntimeOnly && !slices.Contains([]string{module.AgentName, module.HubName}, state.Spec.Name) {
			continue
		}
		err = part("logs/"+fileName(state.Spec.Name)+"_log.txt", func(ctx context.Context, w io.Writer) error {
			scrub := newScrubber(w, secrets(&state.Spec))
			o := modulelog.Options{Tail: maxLogLines, Since: opt.Since, Until: opt.Until, Timestamps: true}
			return errors.Join(b.Logs.Copy(ctx, scrub, state.Spec.Name, o, nil), scrub.Close())
		})
	}
	for _, c := range b.Commands {
		if err == nil {
			err = part(c.File, func(ctx context.Context, w io.Writer) error {
				scrub := newScrubber(w, hidden) // edged's own log names modules' errors
				return errors.Join(c.run(ctx, scrub, opt), scrub.Close())
			})
		}
	}
	return errors.Join(err, z.Close())
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// fileName makes a module's name one that every zip tool unpacks where it belongs.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(`\:*?"<>|`, r) || r < ' ' {
			return '_'
		}
		return r
	}, name)
}

// shownModule is what may be told of a module to anybody.
type shownModule struct {
	Name          string        `json:"name"`
	Image         string        `json:"image"`
	ImageDigest   string        `json:"imageDigest"`
	PullPolicy    string        `json:"imagePullPolicy"`
	Generation    int64         `json:"generation"`
	ContainerID   string        `json:"containerId"`
	Created       time.Time     `json:"created"`
	Wanted        bool          `json:"wanted"`
	Status        module.Status `json:"status"`
	Env           []string      `json:"env"`
	CreateOptions any           `json:"createOptions"`
	Secrets       []shownSecret `json:"secrets,omitempty"`
}

// shownSecret says that there is one, and where it comes from.
type shownSecret struct {
	Name   string `json:"name"`
	Sealed bool   `json:"sealed,omitempty"`
	File   string `json:"file,omitempty"`
	Path   string `json:"path"`
}

// withoutOutput leaves out what health checks printed, which may be anything.
func withoutOutput(status module.Status) module.Status {
	if status.Health == nil {
		return status
	}
	health := *status.Health
	health.Checks = slices.Clone(health.Checks)
	for i := range health.Checks {
		health.Checks[i].Output = ""
	}
	status.Health = &health
	return status
}

// shown redacts by where things stand, and then by the secrets themselves: a description
// may repeat what an error said. The text is gone through before it is JSON, which would
// write a secret in another way, and a number's digits would be no number any more.
func shown(states []*module.State, hidden []string) []shownModule {
	list := []shownModule{}
	for _, s := range states {
		m := shownModule{
			Name: s.Spec.Name, Image: withoutUser(s.Spec.Image), ImageDigest: s.ImageDigest, PullPolicy: string(s.Spec.PullPolicy),
			Generation: s.Generation, ContainerID: s.ContainerID, Created: s.Created, Wanted: s.Wanted, Status: withoutOutput(s.Status),
			Env: []string{}, CreateOptions: options(s.Spec.CreateOptions),
		}
		for _, v := range s.Spec.Env {
			m.Env = append(m.Env, variable(v.Key+"="+v.Value))
		}
		for _, one := range s.Spec.Secrets {
			m.Secrets = append(m.Secrets, shownSecret{one.Name, one.Sealed != "", one.File, one.Path})
		}
		m.Status.Description = without(m.Status.Description, hidden)
		m.CreateOptions = withoutAny(m.CreateOptions, hidden)
		list = append(list, m)
	}
	return list
}
