package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/client/wire"
)

func (a *app) bundles() *cobra.Command {
	cmd := &cobra.Command{
		Use: "bundle", Aliases: []string{"bundles"}, Short: "Install, start and stop OSGi bundles",
		Long: `Install, start and stop OSGi bundles. They run together in one framework, in the module
osgiHost, which is edged's own: "edgectl logs osgiHost" shows what they print.

A bundle is named by its key, GROUP/NAME/VERSION or NAME/VERSION, or by NAME alone when only
one is called so.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		a.bundleList(), a.bundleInstall(), a.bundleInfo(), a.bundleStates(), a.bundleRestore(),
		a.bundleOp("start", "Start bundles", `Start bundles, each in place of other versions of it; one that runs is started again. They
are started whenever the framework is from then on, also those that cannot be now: what
they miss may come.`),
		a.bundleOp("stop", "Stop bundles", `Stop bundles, for good. Others that use their packages go on.`),
		a.bundleOp("uninstall", "Remove bundles", `Remove bundles. Others that use them are made anew without them, and those that cannot be
are installed and not resolved then.`, "rm", "remove"),
		a.bundleOp("refresh", "Make bundles anew of what there is", `Make bundles, and those that use them, anew of what there is now: they are stopped, get
the packages that are best, and are started again.`),
		a.bundleOp("update", "Give the framework the bytes of bundles again", `Give the framework the bytes of bundles again, as they were uploaded last. Those that use
them are made anew.`),
	)
	return cmd
}

func (a *app) bundleList() *cobra.Command {
	l := listing[wire.Bundle]{name: func(b *wire.Bundle) string { return b.Key }, table: a.bundleTable}
	l.get = func(ctx context.Context, c *client.Client) ([]wire.Bundle, error) {
		list, err := c.Bundles(ctx)
		if err == nil && list.Trouble != "" && !l.quiet {
			fmt.Fprintf(a.err, "no state is known: %s\n", printable(list.Trouble))
		}
		return list.Bundles, err
	}
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the bundles", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `List all bundles, in the order in which they came. STATE is the framework's own word; a
bundle that is wanted and not ACTIVE has a reason, which "edgectl bundle start" tells. One
that is "held" ended the framework again and again when it was started, and is left out
until somebody starts it.

A template is once a bundle, with the fields .Key .Type .State .Wanted .Digest .Size
.Installed .Updated .Name .Vendor.`,
		Example: `  edgectl bundle list
  edgectl bundle list --format '{{.Key}} {{.State}}'`,
		RunE: func(cmd *cobra.Command, _ []string) error { return l.run(a, cmd) },
	}
	l.flags(cmd, "keys alone")
	return cmd
}

func (a *app) bundleTable(all []wire.Bundle) error {
	w := tabwriter.NewWriter(a.out, 8, 0, 3, ' ', 0)
	fmt.Fprintln(w, "KEY\tTYPE\tSTATE\tWANTED\tSIZE\tUPDATED")
	for i := range all {
		b := &all[i]
		state, wanted, updated := b.State, "stopped", "-"
		if state == "" {
			state = "?"
		}
		switch {
		case b.Held:
			wanted = "held"
		case b.Wanted:
			wanted = "started"
		}
		if d, ok := age(b.Updated, a.now()); ok {
			updated = d + " ago"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", printable(b.Key), printable(b.Type), printable(state), wanted, units.BytesSize(float64(b.Size)), updated)
	}
	return w.Flush()
}

func someBundles(_ *cobra.Command, keys []string) error {
	if len(keys) == 0 || slices.Contains(keys, "") {
		return usageError{errors.New("which bundle? name at least one (edgectl bundle list shows them)")}
	}
	return nil
}

// bundleOp is what is done with bundles one by one.
func (a *app) bundleOp(op, short, long string, aliases ...string) *cobra.Command {
	return &cobra.Command{
		Use: op + " KEY...", Aliases: aliases, Short: short, Args: someBundles, ValidArgsFunction: a.completeBundles,
		Long: long + ` The keys of those
for which it worked go to stdout.`,
		RunE: func(cmd *cobra.Command, keys []string) error {
			return a.withClient(func(c *client.Client) error {
				return a.each(keys, func(key string) error {
					done, err := c.BundleOp(cmd.Context(), op, key)
					if err != nil {
						return err
					}
					return a.bundleKeys(done)
				})
			})
		},
	}
}

func (a *app) bundleKeys(done *wire.BundleOperation) error {
	for _, b := range done.BundleInfos {
		if _, err := fmt.Fprintln(a.out, printable(b.Key)); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) bundleInfo() *cobra.Command {
	return &cobra.Command{
		Use: "info KEY|SELECTOR", Short: "Show what the framework says of bundles", Args: usage(cobra.ExactArgs(1)), ValidArgsFunction: a.completeBundles,
		Long: `Show what the framework says of bundles, as JSON in the shape of the API. A selector is
"*", NAME/*, GROUP/NAME/*, GROUP/*/*, or a list of keys: "[a/1.0.0,b/2.1.0]".`,
		Example: `  edgectl bundle info org.example/article/2.0.3
  edgectl bundle info 'article/*'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *client.Client) error {
				info, err := c.BundleInfo(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return a.json(info) // in the order that it has
			})
		},
	}
}

// completeBundles completes keys, with states.
func (a *app) completeBundles(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return fromEdged(a, args, func(c *client.Client, ctx context.Context) ([]wire.Bundle, error) {
		list, err := c.Bundles(ctx)
		return list.Bundles, err
	}, func(b *wire.Bundle) (name, about string) { return b.Key, b.State })
}
