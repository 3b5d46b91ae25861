package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client"
)

// actions are the commands that do one thing to each module that they are given.
func (a *app) actions() []*cobra.Command {
	var cmds []*cobra.Command
	for _, act := range []struct {
		name, short, long string
		do                func(*client.Client, context.Context, string) error
	}{
		{
			"start", "Start modules", "Start modules. One that runs is left alone.",
			(*client.Client).Start,
		},
		{
			"stop", "Stop modules", `Stop modules: by their stop signal, and after their stop timeout by force. A stopped
module stays so over restarts of the device, whatever its restart policy, until it is
started here or edgeAgent changes it.`,
			(*client.Client).Stop,
		},
		{
			"restart", "Restart modules", "Stop modules, those that run, and start them.",
			(*client.Client).Restart,
		},
	} {
		cmds = append(cmds, &cobra.Command{
			Use: act.name + " NAME...", Short: act.short, Args: someModules, ValidArgsFunction: a.completeModules,
			Long: act.long + "\n\nThe names of those for which it worked go to stdout.",
			RunE: func(cmd *cobra.Command, names []string) error {
				c, err := a.client()
				if err != nil {
					return err
				}
				defer c.Close()
				return a.each(names, func(name string) error {
					if err := act.do(c, cmd.Context(), name); err != nil {
						return err
					}
					_, err := fmt.Fprintln(a.out, printable(name))
					return err
				})
			},
		})
	}
	return cmds
}
