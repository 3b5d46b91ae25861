package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"
	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/client/wire"
)

// usageOf is what a module or the host uses, as the table and a template see it.
type usageOf struct {
	Name string
	// CPU is a percentage of one processor.
	CPU                  float64
	Memory, MemoryLimit  uint64
	NetReceived, NetSent uint64
	BlockRead, BlockSent uint64
	Processes            uint64
}

// statsEvery is the pace of the live table; edged's samples are a second apart.
const statsEvery = 2 * time.Second

// clearScreen puts the cursor to the top and wipes what is below.
const clearScreen = "\x1b[H\x1b[J"

func (a *app) stats() *cobra.Command {
	var format string
	var once bool
	cmd := &cobra.Command{
		Use: "stats [MODULE...]", Aliases: []string{"top"}, Short: "Show what the modules use", ValidArgsFunction: a.completeModules,
		Long: `Show processor, memory, network and disk use of the modules that run, and of the
host, every two seconds until Ctrl-C; once, where the output is no terminal.

There is no exec: what runs inside a module is its maker's to decide, and a shell in
it would have its identity, its keys and its certificates. Look from outside with
stats, logs and inspect.`,
		Example: `  edgectl stats
  edgectl stats --no-stream --format json
  edgectl stats --no-stream --format '{{.Name}} {{.Memory}}'`,
		RunE: func(cmd *cobra.Command, names []string) error {
			p, err := a.printer(format, "table", "json")
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			defer c.Close()
			live := a.terminal && !once && p.template == nil && format == "table"
			for {
				used, modules, err := readUsage(cmd.Context(), c, names)
				if err != nil {
					return err
				}
				if live {
					fmt.Fprint(a.out, clearScreen)
				}
				if err := a.printUsage(p, format, used, modules); err != nil || !live {
					return err
				}
				select {
				case <-cmd.Context().Done():
					return nil
				case <-time.After(statsEvery):
				}
			}
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table, json or a `template`")
	cmd.Flags().BoolVar(&once, "no-stream", false, "show once and end")
	complete(cmd, "format", "table", "json")
	return cmd
}

func (a *app) printUsage(p *printer, format string, used *wire.SystemResources, modules []usageOf) error {
	switch {
	case p.template != nil:
		for i := range modules {
			if err := p.execute(modules[i]); err != nil {
				return err
			}
		}
		return nil
	case format == "json":
		return a.json(orEmpty(modules))
	}
	fmt.Fprintf(a.out, "host: up %s, CPU %.1f%%, memory %s of %s%s\n\n", units.HumanDuration(time.Duration(used.HostUptime)*time.Second), //nolint:gosec // seconds of uptime
		used.UsedCPU, size(used.UsedRAM), size(used.TotalRAM), disks(used.Disks))
	w := tabwriter.NewWriter(a.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tCPU\tMEMORY\tLIMIT\tNET IN/OUT\tDISK IN/OUT\tPROCESSES")
	for _, m := range modules {
		fmt.Fprintf(w, "%s\t%.1f%%\t%s\t%s\t%s / %s\t%s / %s\t%d\n", printable(m.Name), m.CPU, size(m.Memory), size(m.MemoryLimit),
			size(m.NetReceived), size(m.NetSent), size(m.BlockRead), size(m.BlockSent), m.Processes)
	}
	return w.Flush()
}

func disks(list []wire.Disk) string {
	var b strings.Builder
	for _, d := range list {
		fmt.Fprintf(&b, ", %s %s free", printable(d.Name), size(d.AvailableSpace))
	}
	return b.String()
}

func size(n uint64) string { return units.BytesSize(float64(n)) }

// readUsage asks edged; a name that does not run is no error, but one that is no module is.
func readUsage(ctx context.Context, c *client.Client, names []string) (*wire.SystemResources, []usageOf, error) {
	used, err := c.Resources(ctx)
	if err != nil {
		return nil, nil, err
	}
	var stats []container.StatsResponse
	if err := json.Unmarshal([]byte(used.DockerStats), &stats); err != nil {
		return nil, nil, fmt.Errorf("cannot read what modules use: %w", err)
	}
	wanted := map[string]bool{}
	for _, name := range names {
		m, err := c.Get(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		wanted[m.Name] = true
	}
	var modules []usageOf
	for i := range stats {
		if u := usageFrom(&stats[i]); len(wanted) == 0 || wanted[u.Name] {
			modules = append(modules, u)
		}
	}
	return used, modules, nil
}

func usageFrom(s *container.StatsResponse) usageOf {
	u := usageOf{Name: strings.TrimPrefix(s.Name, "/"), MemoryLimit: s.MemoryStats.Limit, Processes: s.PidsStats.Current}
	cpu, before := s.CPUStats, s.PreCPUStats
	if cpu.SystemUsage > before.SystemUsage && cpu.CPUUsage.TotalUsage > before.CPUUsage.TotalUsage {
		part := float64(cpu.CPUUsage.TotalUsage-before.CPUUsage.TotalUsage) / float64(cpu.SystemUsage-before.SystemUsage)
		u.CPU = 100 * part * float64(cpu.OnlineCPUs)
	}
	// What the kernel would give back at once is not what the module holds.
	idle := s.MemoryStats.Stats["total_inactive_file"] // v1
	if idle == 0 {
		idle = s.MemoryStats.Stats["inactive_file"]
	}
	u.Memory = s.MemoryStats.Usage - min(idle, s.MemoryStats.Usage)
	for _, n := range s.Networks {
		u.NetReceived += n.RxBytes
		u.NetSent += n.TxBytes
	}
	for _, e := range s.BlkioStats.IoServiceBytesRecursive {
		switch e.Op {
		case "read":
			u.BlockRead += e.Value
		case "write":
			u.BlockSent += e.Value
		}
	}
	return u
}
