package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// completeTimeout is how long a person waits for a tab.
const completeTimeout = 2 * time.Second

// completeModules completes names of modules that are not on the line yet, with
// what they do beside them. Without edged there is nothing to complete.
func (a *app) completeModules(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 && cmd.Name() == "logs" {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c, err := a.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), completeTimeout)
	defer cancel()
	modules, err := c.List(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var found []cobra.Completion
	for _, m := range modules {
		// A name that a terminal cannot show cannot be typed by completing it either.
		if slices.Contains(args, m.Name) || printable(m.Name) != m.Name {
			continue
		}
		found = append(found, cobra.CompletionWithDesc(m.Name, printable(describe(m.Status, a.now()))))
	}
	slices.Sort(found)
	return found, cobra.ShellCompDirectiveNoFileComp
}

// complete lets a flag be completed with words, or with nothing.
func complete(cmd *cobra.Command, flag string, words ...cobra.Completion) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the flag is misspelt here: every run shows it
	}
}
