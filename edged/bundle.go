package main

import (
	"io"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/support"
	"github.com/edged/edged/pkg/system"
)

// bundle says what goes into a support bundle of this device.
func (d *daemon) bundle(resources *system.Collector) *support.Bundle {
	return &support.Bundle{
		Modules: d.supervisor.All, Logs: d.logs, Info: d.systemInfo, Metrics: d.writeMetrics,
		Resources: func() (wire.SystemResources, error) { return resources.Resources(d.running()) },
		Config:    func(w io.Writer) error { return support.Text(w, d.cfg) },
		Commands: []support.Command{
			support.Journal("logs/edged.txt", "edged.service", "edged.mgmt.socket", "edged.workload.socket"),
			support.Journal("logs/containerd.txt", "containerd.service"),
			{File: "network/addresses.txt", Args: []string{"ip", "address"}},
			{File: "network/routes.txt", Args: []string{"ip", "route", "show", "table", "all"}},
			{File: "disks.txt", Args: []string{"df", "-h"}},
			support.Kernel("logs/kernel.txt"),
		},
	}
}
