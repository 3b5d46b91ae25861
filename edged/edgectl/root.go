package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client"
)

const about = `edgectl shows and steers the modules that edged runs on this device.

It speaks to edged's management socket, for which the caller has to be root or a
member of the group edged. Modules are made and removed by the module edgeAgent alone:
edgectl starts and stops them, and gives edgeAgent the manifest of what there shall be.

Environment:
  EDGED_HOST  the management socket, unix:///path or a path; --host wins
              (default ` + client.DefaultHost + `)

Exit codes:
  0  done
  1  the operation failed; edged's reason is on stderr
  2  the command line is wrong
  3  there is no such module, volume, deployment or package
  4  forbidden: the socket may not be opened, or edged refused this caller
  5  edged cannot be reached
Of several modules the first that fails decides; the others are tried all the same.
apply, deployment rollback and wait have codes of their own: see their help.
Data goes to stdout, everything said about it to stderr.`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "edgectl", Short: "Show and steer the modules of this device", Long: about,
		SilenceErrors: true, SilenceUsage: true,
		// With a function of its own, so that an unknown command is a usage error like any other.
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringVarP(&a.host, "host", "H", "", "management socket, `unix:///path` or a path (default: EDGED_HOST, else "+client.DefaultHost+")")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(a.apply(), a.deployment(), a.backup(), a.restore(), a.factoryReset(), a.recover(), a.initialise(), a.wait(), a.events(), a.audit(), a.system(), a.check(), a.list(), a.inspect(), a.logs(), a.stats(), a.images(), a.pull(), a.volume(), a.catalog(), a.network(), a.ca(), a.secret(), a.supportBundle(), a.version())
	root.AddCommand(a.packages(), a.bundles(), a.verify())
	root.AddCommand(a.actions()...)
	root.AddCommand(a.docs()...)
	return root
}

// client returns a client of the host that flags and environment name.
func (a *app) client() (*client.Client, error) {
	c, err := client.New(a.host)
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

// unknownCommand says which one may have been meant.
func unknownCommand(cmd *cobra.Command, name string) error {
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		return usageError{fmt.Errorf("unknown command %q, did you mean %q?", name, near[0])}
	}
	return usageError{fmt.Errorf("unknown command %q", name)}
}

// usage makes what a check of arguments finds a usage error, in words that help.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case check(cmd, args) == nil:
			return nil
		case cmd.HasSubCommands() && len(args) > 0:
			return unknownCommand(cmd, args[0])
		}
		return usageError{fmt.Errorf("wrong number of arguments: use it as %s", cmd.UseLine())}
	}
}

// positive refuses a time that is over before it begins.
func positive(flag string, d time.Duration) error {
	if d <= 0 {
		return usageError{fmt.Errorf("%s is %s: it has to be longer than nothing", flag, d)}
	}
	return nil
}

// someModules wants at least one name, oneModule exactly one.
func someModules(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError{fmt.Errorf("which module? name at least one (edgectl list shows them)")}
	}
	return noneEmpty(args)
}

func oneModule(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError{fmt.Errorf("name one module, not %d (edgectl list shows them)", len(args))}
	}
	return noneEmpty(args)
}

// noneEmpty catches the unset variable of a script, which would ask for another path.
func noneEmpty(names []string) error {
	if slices.Contains(names, "") {
		return usageError{fmt.Errorf("the name of a module is empty")}
	}
	return nil
}
