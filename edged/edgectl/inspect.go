package main

import (
	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client/wire"
)

func (a *app) inspect() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "inspect NAME...", Short: "Show everything about modules", Args: someModules, ValidArgsFunction: a.completeModules,
		Long: `Show everything edged says about modules: a JSON array, in the order of the names.
Those that cannot be shown are left out, and said on stderr.

A template is once a module, with the fields of list --format.`,
		Example: `  edgectl inspect thermometer
  edgectl inspect thermometer --format '{{json .Module.Config.Env}}'`,
		RunE: func(cmd *cobra.Command, names []string) error {
			p, err := a.printer(format, "json")
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			defer c.Close()
			modules := []wire.Module{}
			failed := a.each(names, func(name string) error {
				m, err := c.Get(cmd.Context(), name)
				if err != nil {
					return err
				}
				if p.template != nil {
					return p.execute(a.row(m))
				}
				modules = append(modules, *m)
				return nil
			})
			if p.template == nil && (len(modules) > 0 || failed == nil) {
				if err := a.json(modules); err != nil {
					return err
				}
			}
			return failed
		},
	}
	cmd.Flags().StringVar(&format, "format", "json", "json or a `template`")
	complete(cmd, "format", "json")
	return cmd
}
