package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client"
)

const about = `edgectl shows and steers the modules that edged runs on this device.

It speaks to edged's management socket, for which the caller has to be root or a
member of the group edged. What the device shall run is decided by its module
edgeAgent alone: edgectl starts and stops modules, it neither makes nor removes them.

Environment:
  EDGED_HOST  the management socket, unix:///path or a path; --host wins
              (default ` + client.DefaultHost + `)

Exit codes:
  0  done
  1  the operation failed; edged's reason is on stderr
  2  the command line is wrong
  3  there is no such module or volume
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
			err := fmt.Errorf("unknown command %q", args[0])
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				err = fmt.Errorf("unknown command %q, did you mean %q?", args[0], near[0])
			}
			return usageError{err}
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SuggestionsMinimumDistance = 2
	root.PersistentFlags().StringVarP(&a.host, "host", "H", "", "management socket, `unix:///path` or a path (default: EDGED_HOST, else "+client.DefaultHost+")")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(a.apply(), a.deployment(), a.backup(), a.restore(), a.factoryReset(), a.recover(), a.initialise(), a.wait(), a.events(), a.system(), a.check(), a.list(), a.inspect(), a.logs(), a.stats(), a.images(), a.pull(), a.volume(), a.catalog(), a.network(), a.ca(), a.secret(), a.supportBundle(), a.version())
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

// usage makes what a check of arguments finds a usage error.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
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
