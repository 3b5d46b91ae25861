package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/module"
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
	pulls, images := d.engine.PullStats(), d.images.Stats()
	metrics.WriteCounterUint64(w, "edged_image_pulls_total", pulls.Begun)
	metrics.WriteCounterUint64(w, "edged_image_pull_failures_total", pulls.Failed)
	metrics.WriteCounterUint64(w, "edged_image_pulled_bytes_total", pulls.Bytes)
	metrics.WriteCounterUint64(w, "edged_images_removed_total", images.Removed)
	metrics.WriteCounterUint64(w, "edged_images_freed_bytes_total", images.Freed)
	metrics.WriteGaugeUint64(w, "edged_packages", uint64(len(d.packages.List().Packages)))
	states := d.supervisor.All(context.Background())
	metrics.WriteGaugeUint64(w, "edged_modules", uint64(len(states)))
	writeModuleMetrics(w, states)
}

// writeModuleMetrics writes one sample a module of each metric, those of one metric
// together, as the format has it.
func writeModuleMetrics(w io.Writer, states []*module.State) {
	for _, s := range states {
		metrics.WriteGaugeUint64(w, "edged_module_running{module="+label(s.Spec.Name)+"}", bit(s.Status.Runtime == module.Running))
	}
	for _, s := range states {
		// Those since somebody last started it: a number that can fall.
		metrics.WriteGaugeUint64(w, "edged_module_restarts{module="+label(s.Spec.Name)+"}", uint64(max(s.Status.Restarts, 0)))
	}
	for _, s := range states {
		h := s.Status.Health
		if h == nil {
			continue
		}
		for _, status := range []module.HealthStatus{module.Starting, module.Healthy, module.Unhealthy} {
			metrics.WriteGaugeUint64(w, fmt.Sprintf("edged_module_health{module=%s,status=%q}", label(s.Spec.Name), status), bit(h.Status == status))
		}
	}
}

func bit(on bool) uint64 {
	if on {
		return 1
	}
	return 0
}

// label quotes a value as the format wants it, which is not as Go does.
func label(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(value) + `"`
}
