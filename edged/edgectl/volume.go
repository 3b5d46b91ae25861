package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/client/wire"
)

func (a *app) volume() *cobra.Command {
	cmd := &cobra.Command{
		Use: "volume", Aliases: []string{"volumes"}, Short: "Show and remove the modules' volumes",
		Long: `Show and remove volumes, the data that outlives a module's containers. A named volume
stays until it is removed here; an anonymous one belongs to a module and goes with it.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.volumeList(), a.volumeRemove(), a.volumePrune())
	return cmd
}

func (a *app) volumeList() *cobra.Command {
	var format string
	var unused bool
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the volumes", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `List all volumes, by name, with the modules that use them. Sizes are not shown: finding
them out reads every file (du -sh on .Path does).

A template is once a volume, with the fields .Name .Anonymous .Labels .Created .Path and .Modules.`,
		Example: `  edgectl volume ls
  edgectl volume ls --unused --format '{{.Name}}'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := a.printer(format, "table", "json")
			if err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				all, err := c.Volumes(cmd.Context())
				if err != nil {
					return err
				}
				if unused {
					all = unusedVolumes(all)
				}
				return show(p, format, all, a.volumeTable)
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table, json or a `template`")
	cmd.Flags().BoolVar(&unused, "unused", false, "only those that no module uses")
	complete(cmd, "format", "table", "json")
	return cmd
}

func (a *app) volumeTable(all []wire.Volume) error {
	w := tabwriter.NewWriter(a.out, 8, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tKIND\tMODULES\tCREATED")
	for i := range all {
		v := &all[i]
		kind, users, created := "named", "-", "-"
		if v.Anonymous {
			kind = "anonymous"
		}
		if len(v.Modules) > 0 {
			users = strings.Join(v.Modules, ", ")
		}
		if d, ok := age(v.Created, a.now()); ok {
			created = d + " ago"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", printable(v.Name), kind, printable(users), created)
	}
	return w.Flush()
}

func (a *app) volumeRemove() *cobra.Command {
	return &cobra.Command{
		Use: "rm NAME...", Aliases: []string{"remove"}, Short: "Remove volumes and their data",
		Long: `Remove volumes and their data, for good. One that a module uses, running or not, is
refused. The names of those for which it worked go to stdout.`,
		Args: func(_ *cobra.Command, names []string) error {
			if len(names) == 0 || slices.Contains(names, "") {
				return usageError{errors.New("which volume? name at least one (edgectl volume ls shows them)")}
			}
			return nil
		},
		ValidArgsFunction: a.completeVolumes,
		RunE: func(cmd *cobra.Command, names []string) error {
			return a.withClient(func(c *client.Client) error {
				return a.each(names, func(name string) error {
					if err := c.RemoveVolume(cmd.Context(), name); err != nil {
						return err
					}
					_, err := fmt.Fprintln(a.out, printable(name))
					return err
				})
			})
		},
	}
}

func (a *app) volumePrune() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "prune", Short: "Remove all volumes that no module uses", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Remove all volumes that no module uses, the named ones too, with their data, for good.
Without --force nothing is removed: those that would be are listed, and the exit code
is 2. The names of those that were removed go to stdout.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(func(c *client.Client) error {
				if force {
					return a.pruneUnused(cmd.Context(), c)
				}
				all, err := c.Volumes(cmd.Context())
				if err != nil {
					return err
				}
				if all = unusedVolumes(all); len(all) == 0 {
					fmt.Fprintln(a.err, "edgectl: no volume is unused")
					return nil
				}
				for _, v := range all {
					fmt.Fprintln(a.err, "would remove", printable(v.Name))
				}
				return usageError{errors.New("their data cannot be had back: say --force to remove them")}
			})
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "remove them")
	return cmd
}

func (a *app) pruneUnused(ctx context.Context, c *client.Client) error {
	removed, err := c.PruneVolumes(ctx)
	for _, name := range removed {
		fmt.Fprintln(a.out, printable(name))
	}
	return err
}

func unusedVolumes(all []wire.Volume) []wire.Volume {
	return slices.DeleteFunc(all, func(v wire.Volume) bool { return len(v.Modules) > 0 })
}

// withClient does something with a client and closes it.
func (a *app) withClient(do func(*client.Client) error) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	defer c.Close()
	return do(c)
}

// completeVolumes completes names of volumes that may be removed.
func (a *app) completeVolumes(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return fromEdged(a, args, (*client.Client).Volumes, func(v *wire.Volume) (name, about string) {
		if len(v.Modules) > 0 {
			return "", ""
		}
		return v.Name, ""
	})
}
