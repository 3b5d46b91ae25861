package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/client/wire"
)

// ca shows and renews the CA under which modules get certificates.
func (a *app) ca() *cobra.Command {
	cmd := &cobra.Command{
		Use: "ca", Short: "Show and renew the device CA", Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		a.caCommand("show", "Show the device CA", `Show the CA under which modules get their certificates, and what they trust.

--format pem prints its certificate, for others that shall trust the modules of this
device.`, (*client.Client).CA),
		a.caCommand("renew", "Renew the device CA", `Make the certificate of the device's own CA anew, with the same key; edged does so by
itself after two thirds of its life. What was issued before stays valid, what was
trusted stays trusted until it expires, and no module has to be restarted.

A CA that the operator gave in [device] ca_cert is read again instead.`, (*client.Client).RenewCA),
	)
	return cmd
}

func (a *app) caCommand(name, short, long string, ask func(*client.Client, context.Context) (*wire.DeviceCA, error)) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: name, Short: short, Long: long, Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := a.printer(format, "text", "json", "pem")
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			defer c.Close()
			ca, err := ask(c, cmd.Context())
			if err != nil {
				return err
			}
			switch {
			case p.template != nil:
				return p.execute(ca)
			case format == "json":
				return a.json(ca)
			case format == "pem":
				_, err := fmt.Fprint(a.out, printableText(ca.Certificate))
				return err
			}
			_, err = fmt.Fprint(a.out, a.caText(ca))
			return err
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text, json, pem or a `template`")
	complete(cmd, "format", "text", "json", "pem")
	return cmd
}

func (a *app) caText(ca *wire.DeviceCA) string {
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "%-13s%s\n", name, printable(value)) }
	source := "made by the device"
	renewal := ca.RenewAt + ", by itself"
	if ca.Source == wire.SourceOperator {
		source, renewal = "given by the operator", ca.RenewAt+", by the operator"
	}
	line("subject", ca.Subject)
	line("source", source)
	if ca.Issuer != ca.Subject {
		line("issuer", ca.Issuer)
	}
	line("serial", ca.Serial)
	line("sha256", ca.SHA256)
	line("valid from", ca.NotBefore)
	line("valid until", ca.NotAfter)
	line("renewal at", renewal)
	for i, c := range ca.Trust {
		name := ""
		if i == 0 {
			name = "trusted"
		}
		line(name, fmt.Sprintf("%s, until %s, sha256 %s", c.Subject, c.NotAfter, shorten(c.SHA256, 17)))
	}
	return b.String()
}
