package main

import (
	"context"
	"time"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/system"
)

// systemInfo says what edged runs on, in the words of the contract.
func (d *daemon) systemInfo(ctx context.Context) wire.SystemInfo {
	info := system.Root("/").Info()
	info.Version = version
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if v, err := d.engine.Version(ctx); err == nil {
		info.ServerVersion = "containerd " + v
	}
	return info
}

// running lists the modules' containers that run, as the kernel knows them.
func (d *daemon) running() []system.Module {
	var all []system.Module
	for _, in := range d.table.Instances() {
		if !in.System {
			all = append(all, system.Module{
				Name: in.Module, ContainerID: in.ContainerID, Cgroups: in.Paths, PID: in.PID, StartTime: in.StartTime, OwnNetwork: in.NetNS != 0,
			})
		}
	}
	return all
}
