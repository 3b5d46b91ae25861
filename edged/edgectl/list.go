package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client/wire"
)

// row is a module as a template sees it.
type row struct {
	Name, Status, Description, Image string
	// ExitCode is that of the last run, empty without one.
	ExitCode string
	// Module is everything edged says, in the shape of its API.
	Module *wire.Module
}

// maxDescription keeps a row on a line: inspect has the whole.
const maxDescription = 72

func (a *app) list() *cobra.Command {
	var format string
	var quiet bool
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the modules", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `List all modules of this device, by name; edged's own (osgiHost) are among them.

A template is Go's (https://pkg.go.dev/text/template), once a module, with the fields
.Name .Status .Description .Image .ExitCode, and .Module with everything in the shape
of the API; the function json prints a value as JSON.`,
		Example: `  edgectl list
  edgectl list -q
  edgectl list --format '{{.Name}}: {{.Status}}'
  edgectl list --format json | jq -r '.[] | select(.status.runtimeStatus.status == "failed") | .name'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if quiet && cmd.Flags().Changed("format") {
				return usageError{fmt.Errorf("--quiet and --format exclude each other")}
			}
			p, err := a.printer(format, "table", "json")
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			defer c.Close()
			modules, err := c.ListAll(cmd.Context())
			if err != nil {
				return err
			}
			slices.SortFunc(modules, func(x, y wire.Module) int { return cmp.Compare(x.Name, y.Name) })
			switch {
			case quiet:
				return a.names(modules)
			case p.template == nil && format == "table":
				return a.table(modules)
			case p.template == nil:
				return a.json(orEmpty(modules))
			}
			for i := range modules {
				if err := p.execute(a.row(&modules[i])); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table, json or a `template`")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "names only, one a line")
	complete(cmd, "format", "table", "json")
	return cmd
}

func (a *app) row(m *wire.Module) row {
	return row{
		Name: m.Name, Status: m.Status.RuntimeStatus.Status, Description: describe(m.Status, a.now()),
		Image: m.Config.Settings.Image, ExitCode: exitOf(m), Module: m,
	}
}

func (a *app) table(modules []wire.Module) error {
	w := tabwriter.NewWriter(a.out, 8, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tSTATUS\tDESCRIPTION\tIMAGE")
	for i := range modules {
		r := a.row(&modules[i])
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", printable(r.Name), printable(r.Status), shorten(printable(r.Description), maxDescription), printable(r.Image))
	}
	return w.Flush()
}

func (a *app) names(modules []wire.Module) error {
	var b strings.Builder
	for _, m := range modules {
		// A script gets the name as it is.
		name := m.Name
		if a.terminal {
			name = printable(name)
		}
		b.WriteString(name + "\n")
	}
	_, err := fmt.Fprint(a.out, b.String())
	return err
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
