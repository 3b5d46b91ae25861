package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// maxSecret is edged's own bound: more is not read.
const maxSecret = 256 << 10

func (a *app) secret() *cobra.Command {
	cmd := &cobra.Command{
		Use: "secret", Short: "Seal secrets for modules", Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.sealSecret())
	return cmd
}

func (a *app) sealSecret() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "seal [FILE]", Short: "Make text that only this device can open", Args: usage(cobra.MaximumNArgs(1)),
		Long: `Read a secret from FILE, or from standard input, and print text that only this device
can open: for settings.secrets of a deployment, which then need not be secret itself.
The module that names it finds the secret as a file when it runs, by default
/run/secrets/<name>, readable by its own user alone.

Every byte belongs to the secret, a newline at its end too.`,
		Example: `  printf %s "$PASSWORD" | edgectl secret seal
  edgectl secret seal --module broker server.key

  "settings": {"image": "...", "secrets": {"password": {"sealed": "edged-secret1d-..."}}}`,
		RunE: func(cmd *cobra.Command, args []string) error {
			value, err := a.readSecret(args)
			if err != nil {
				return err
			}
			defer clear(value)
			c, err := a.client()
			if err != nil {
				return err
			}
			defer c.Close()
			text, err := c.SealSecret(cmd.Context(), value, name)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.out, printable(text))
			return err
		},
	}
	cmd.Flags().StringVar(&name, "module", "", "the one `module` that may have it (default: every module of this device)")
	_ = cmd.RegisterFlagCompletionFunc("module", a.completeModules)
	return cmd
}

func (a *app) readSecret(args []string) ([]byte, error) {
	name := "-"
	if len(args) == 1 {
		name = args[0]
	}
	value, err := a.input(name, maxSecret)
	if err == nil && len(value) == 0 {
		err = usageError{errors.New("the secret is empty")}
	}
	return value, err
}
