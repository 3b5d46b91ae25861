package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client/wire"
)

// imageRow is an image as a template sees it.
type imageRow struct {
	Name, Digest, Kept string
	Size               int64
	// LastUsed is RFC 3339 in UTC.
	LastUsed string
	UsedBy   []string
}

func (a *app) images() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "images", Short: "List the images", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `List the images on this device, by name: what each has on the disk (what images share
counts for each of them), when a module was last made of it or stopped being so, and
which modules have it now.

An image goes when nothing has used it for long, see [images] in the configuration; not
while a module has it, and not when KEPT says why: configuration (edged's own names it),
package (of an uploaded
package), local (made on this device, no registry has it), preload (an archive here would bring it
back), foreign (edged did not fetch it), operation (something is about to use it).

A template is once an image, with the fields .Name .Digest .Size .LastUsed .UsedBy .Kept.`,
		Example: `  edgectl images
  edgectl images --format '{{.Name}} {{.Size}}'
  edgectl images prune --all`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := a.printer(format, "table", "json")
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			defer c.Close()
			list, err := c.Images(cmd.Context())
			if err != nil {
				return err
			}
			switch {
			case p.template == nil && format == "json":
				return a.json(orEmpty(list))
			case p.template == nil:
				return a.imageTable(list)
			}
			for _, i := range list {
				if err := p.execute(imageRow{i.Name, i.Digest, i.Kept, i.Size, i.LastUsed, i.UsedBy}); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table, json or a `template`")
	complete(cmd, "format", "table", "json")
	cmd.AddCommand(a.prune())
	return cmd
}

func (a *app) imageTable(list []wire.Image) error {
	w := tabwriter.NewWriter(a.out, 8, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tDIGEST\tSIZE\tLAST USE\tUSED BY\tKEPT")
	for _, i := range list {
		_, digest, _ := strings.Cut(i.Digest, ":")
		used := i.LastUsed
		if t, err := time.Parse(time.RFC3339, used); err == nil {
			used = units.HumanDuration(a.now().Sub(t)) + " ago"
		}
		kept := i.Kept
		if kept == "module" {
			kept = "" // the column before says more
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", printable(i.Name), printable(digest[:min(12, len(digest))]), units.BytesSize(float64(i.Size)),
			printable(used), shorten(printable(strings.Join(i.UsedBy, ",")), maxDescription), printable(kept))
	}
	return w.Flush()
}

func (a *app) prune() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "prune", Short: "Remove images that nothing uses", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Remove images that nothing uses and that nothing has used for as long as [images] keep
says; edged does so itself once a day. With --all, whatever their age: what edgeAgent
prepared for an update then goes too.

What a module has, and what "edgectl images" shows as kept, stays in any case. The names
of those that went go to stdout.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			defer c.Close()
			pruned, err := c.PruneImages(cmd.Context(), all)
			if err != nil {
				return err
			}
			for _, i := range pruned.Removed {
				if _, err := fmt.Fprintln(a.out, printable(i.Name)); err != nil {
					return err
				}
			}
			fmt.Fprintf(a.err, "removed %d images, %s won\n", len(pruned.Removed), units.BytesSize(float64(pruned.Bytes)))
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "whatever their age")
	return cmd
}

func (a *app) pull() *cobra.Command {
	var user string
	var password, quiet bool
	cmd := &cobra.Command{
		Use: "pull IMAGE", Short: "Fetch an image", ValidArgsFunction: cobra.NoFileCompletions,
		Args: usage(cobra.ExactArgs(1)),
		Long: `Fetch an image, so that a module can be made of it at once, or without the registry.
Nothing is changed but the disk: which modules there are is decided by edgeAgent. An
image that no module takes up goes after [images] keep.

Ctrl-C ends the watching, not the pull. The image's name and digest go to stdout,
progress to stderr.`,
		Example: `  edgectl pull registry.example.com/app:1.2
  edgectl pull --username reader --password-stdin registry.example.com/app:1.2 < password`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" {
				return usageError{errors.New("the name of the image is empty")}
			}
			body := wire.ImagePull{Image: args[0]}
			switch {
			case password != (user != ""):
				return usageError{errors.New("--username and --password-stdin need each other")}
			case password:
				secret, err := readPassword(cmd.InOrStdin())
				if err != nil {
					return usageError{err}
				}
				body.Auth = &wire.Auth{Username: user, Password: secret}
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			defer c.Close()
			show := &pullView{app: a}
			report := show.line
			if quiet {
				report = nil
			}
			done, err := c.PullImage(cmd.Context(), body, report)
			show.end()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "%s %s\n", printable(done.Image), printable(done.Digest))
			return err
		},
	}
	cmd.Flags().StringVar(&user, "username", "", "`name` at the registry")
	cmd.Flags().BoolVar(&password, "password-stdin", false, "read the password from stdin")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "no progress")
	complete(cmd, "username")
	return cmd
}

// readPassword reads one line. There is no flag for it: others see a command line.
func readPassword(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 64<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("cannot read the password: %w", err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", errors.New("there is no password on stdin")
	}
	return line, nil
}

// pullEvery is the pace of progress: of a line that is rewritten, and of lines in a file.
const (
	pullEvery     = 200 * time.Millisecond
	pullEveryLine = 10 * time.Second
)

// pullView shows how a pull goes on: a line that is rewritten, or a line now and then
// where the output is no terminal.
type pullView struct {
	app    *app
	phase  string
	layers []wire.PullStatus
	said   time.Time
	open   bool // the cursor stands behind a line
	begun  time.Time
}

func (v *pullView) line(s wire.PullStatus) {
	now := v.app.now()
	if v.begun.IsZero() {
		v.begun = now
	}
	fresh := s.Layer == ""
	if fresh {
		v.phase = s.Status
	} else if i := slices.IndexFunc(v.layers, func(l wire.PullStatus) bool { return l.Layer == s.Layer }); i >= 0 {
		v.layers[i] = s
	} else {
		v.layers = append(v.layers, s)
	}
	every := pullEveryLine
	if v.app.errTerminal {
		every = pullEvery
	}
	if !fresh && now.Sub(v.said) < every {
		return
	}
	v.said = now
	if v.app.errTerminal {
		fmt.Fprintf(v.app.err, "\r\x1b[K%s", v.text(now))
		v.open = true
		return
	}
	fmt.Fprintln(v.app.err, v.text(now))
}

func (v *pullView) text(now time.Time) string {
	var got, total int64
	for _, l := range v.layers {
		got += l.Offset
		total += l.Total
	}
	text := printable(v.phase)
	if total > 0 {
		text += fmt.Sprintf(" %s of %s (%d%%)", units.BytesSize(float64(got)), units.BytesSize(float64(total)), got*100/total)
		if in := now.Sub(v.begun).Seconds(); in > 1 {
			text += fmt.Sprintf(", %s/s", units.BytesSize(float64(got)/in))
		}
	}
	return text
}

func (v *pullView) end() {
	if v.open {
		fmt.Fprint(v.app.err, "\r\x1b[K")
	}
}
