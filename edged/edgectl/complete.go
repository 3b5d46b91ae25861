package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/client/wire"
)

// completeTimeout is how long a person waits for a tab.
const completeTimeout = 2 * time.Second

// fromEdged completes a word with names that edged knows and that are not on the line yet,
// with what is to be said beside them. Without edged there is nothing to complete.
func fromEdged[T any](a *app, args []string, list func(*client.Client, context.Context) ([]T, error), describe func(*T) (name, about string)) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(context.Background(), completeTimeout)
	defer cancel()
	var all []T
	if err := a.withClient(func(c *client.Client) (err error) {
		all, err = list(c, ctx)
		return err
	}); err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var found []cobra.Completion
	for i := range all {
		name, about := describe(&all[i])
		// A name that a terminal cannot show cannot be typed by completing it either.
		if name != "" && !slices.Contains(args, name) && printable(name) == name {
			found = append(found, cobra.CompletionWithDesc(name, printable(about)))
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// completeModules completes names of modules, with what they do.
func (a *app) completeModules(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 && cmd.Name() == "logs" {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	found, directive := fromEdged(a, args, (*client.Client).ListAll, func(m *wire.Module) (name, about string) {
		return m.Name, describe(m.Status, a.now())
	})
	slices.Sort(found)
	return found, directive
}

// complete lets a flag be completed with words, or with nothing.
func complete(cmd *cobra.Command, flag string, words ...cobra.Completion) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the flag is misspelt here: every run shows it
	}
}
