package main

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client/wire"
)

func (a *app) network() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "network", Aliases: []string{"networks"}, Short: "Show networks with modules, addresses and ports", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Show the networks of this device and who is on them: a line a module, with its
addresses there, the host ports that lead to it and the names by which other modules
of the network reach it. Addresses stay the same over restarts, updates and reboots.

Networks beside the default one are CNI configuration lists in the folder
[network] cni_conf_dir of edged's configuration.

A template is once a network, with the fields .Name .Driver .Subnets and .Modules.`,
		Example: `  edgectl network
  edgectl network --format json | jq '.[] | select(.name == "edged").modules'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := a.printer(format, "table", "json")
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			defer c.Close()
			networks, err := c.Networks(cmd.Context())
			if err != nil {
				return err
			}
			return show(p, format, networks, a.networkTable)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table, json or a `template`")
	complete(cmd, "format", "table", "json")
	return cmd
}

func (a *app) networkTable(networks []wire.Network) error {
	w := tabwriter.NewWriter(a.out, 8, 0, 3, ' ', 0)
	row := func(cells ...string) {
		for i, c := range cells {
			if cells[i] = printable(c); c == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	row("NETWORK", "DRIVER", "MODULE", "ADDRESSES", "PORTS", "NAMES")
	for _, n := range networks {
		if len(n.Modules) == 0 {
			row(n.Name, n.Driver, "", strings.Join(n.Subnets, ", "), "", "")
		}
		for _, m := range n.Modules {
			row(n.Name, n.Driver, m.Name, strings.Join(m.Addresses, ", "), strings.Join(portsText(m.Ports), ", "), strings.Join(m.Names, " "))
		}
	}
	return w.Flush()
}

// portsText writes ports as "8080->80/tcp", with the host's address where there is one.
func portsText(ports []wire.NetworkPort) (all []string) {
	for _, p := range ports {
		host := strconv.Itoa(p.HostPort)
		if p.HostIP != "" {
			host = net.JoinHostPort(p.HostIP, host)
		}
		all = append(all, fmt.Sprintf("%s->%d/%s", host, p.Port, p.Protocol))
	}
	return all
}
