package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/peer"
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

// writeMetrics writes edged's metrics in Prometheus' text format.
func (d *daemon) writeMetrics(w io.Writer) {
	for _, proof := range []peer.Proof{peer.ProofPIDFD, peer.ProofPID} {
		on := uint64(0)
		if d.peers.Proof() == proof {
			on = 1
		}
		metrics.WriteGaugeUint64(w, fmt.Sprintf("edged_peer_proof{kind=%q}", proof), on)
	}
	stats := d.peers.Stats()
	for _, c := range stats.Connections {
		metrics.WriteCounterUint64(w, fmt.Sprintf("edged_peer_connections_total{listener=%q,proof=%q}", c.Listener, c.Proof), c.Accepted)
	}
	for _, c := range stats.Connections {
		metrics.WriteGaugeUint64(w, fmt.Sprintf("edged_peer_connections{listener=%q}", c.Listener), uint64(max(c.Open, 0)))
	}
	for _, r := range stats.Rejects {
		metrics.WriteCounterUint64(w, fmt.Sprintf("edged_peer_rejected_total{listener=%q,reason=%q}", r.Listener, r.Reason), r.Count)
	}
	metrics.WriteGaugeUint64(w, "edged_device_ca_not_after_seconds", uint64(max(d.ca.Info().Certificate.NotAfter.Unix(), 0)))
	metrics.WriteGaugeUint64(w, "edged_modules", uint64(len(d.supervisor.List(context.Background()))))
}
