package main

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/edged/edged/pkg/bundle"
	"github.com/edged/edged/pkg/metrics"
	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/peer"
)

// tell is told the samples of a metric.
type tell = func(value float64, labels ...string)

// databaseWrites is the metric of how long they take.
const databaseWrites = "edged_database_write_seconds"

// families is what edged tells of itself. A state that nothing is in is told as 0, so that an alert can tell none from nobody knows.
func (d *daemon) families() []metrics.Family {
	one := func(value func() float64) func(tell) {
		return func(t tell) { t(value()) }
	}
	return []metrics.Family{
		{Name: "edged_peer_proof", Help: "1 for what proves who calls on this kernel.", Type: metrics.Gauge, Labels: []string{"kind"}, Read: func(t tell) {
			for _, proof := range []peer.Proof{peer.ProofPIDFD, peer.ProofPID} {
				t(bit(d.peers.Proof() == proof), string(proof))
			}
		}},
		{Name: "edged_peer_connections_total", Help: "Connections that were accepted.", Type: metrics.Counter, Labels: []string{"listener", "proof"}, Read: func(t tell) {
			for _, c := range d.peers.Stats().Connections {
				t(float64(c.Accepted), c.Listener, string(c.Proof))
			}
		}},
		{Name: "edged_peer_connections", Help: "Connections that are open.", Type: metrics.Gauge, Labels: []string{"listener"}, Read: func(t tell) {
			for _, c := range d.peers.Stats().Connections {
				t(float64(max(c.Open, 0)), c.Listener)
			}
		}},
		{Name: "edged_peer_rejected_total", Help: "Connections over a limit, and those whose caller could not be proven.", Type: metrics.Counter, Labels: []string{"listener", "reason"}, Read: func(t tell) {
			for _, r := range d.peers.Stats().Rejects {
				t(float64(r.Count), r.Listener, r.Reason)
			}
		}},
		{Name: "edged_modules", Help: "Modules by what they do.", Type: metrics.Gauge, Labels: []string{"state"}, Read: func(t tell) { modulesByState(d.states(), t) }},
		{Name: "edged_restarts_total", Help: "Starts of modules by their restart policies.", Type: metrics.Counter, Read: one(func() float64 { return float64(d.supervisor.Load().Restarts) })},
		{Name: "edged_supervisor_queue_length", Help: "Operations that wait for their module's turn.", Type: metrics.Gauge, Read: one(func() float64 { return float64(d.supervisor.Load().Waiting) })},
		{Name: "edged_supervisor_queue_oldest_seconds", Help: "How long the oldest operation has been waiting.", Type: metrics.Gauge, Read: one(func() float64 { return d.supervisor.Load().Oldest.Seconds() })},
		{Name: "edged_image_pulls_total", Help: "Pulls from registries that were begun.", Type: metrics.Counter, Read: one(func() float64 { return float64(d.engine.PullStats().Begun) })},
		{Name: "edged_image_pull_failures_total", Help: "Pulls from registries that failed.", Type: metrics.Counter, Read: one(func() float64 { return float64(d.engine.PullStats().Failed) })},
		{Name: "edged_image_pulled_bytes_total", Help: "Bytes that registries sent.", Type: metrics.Counter, Read: one(func() float64 { return float64(d.engine.PullStats().Bytes) })},
		{Name: "edged_images_removed_total", Help: "Images that were removed.", Type: metrics.Counter, Read: one(func() float64 { return float64(d.images.Stats().Removed) })},
		{Name: "edged_images_freed_bytes_total", Help: "Bytes that the removal of images won.", Type: metrics.Counter, Read: one(func() float64 { return float64(d.images.Stats().Freed) })},
		{Name: "edged_log_bytes", Help: "Disk space of all modules' logs.", Type: metrics.Gauge, Read: one(func() float64 {
			sum := int64(0)
			for _, s := range d.states() {
				sum += d.logBytes(s)
			}
			return float64(sum)
		})},
		{Name: "edged_database_size_bytes", Help: "Sizes of the databases.", Type: metrics.Gauge, Labels: []string{"database"}, Read: func(t tell) {
			t(float64(d.store.Stats().File), "edged")
			if c := d.catalog.store; c != nil {
				t(float64(c.Stats().File), "catalog")
			}
		}},
		{Name: "edged_database_wal_bytes", Help: "Sizes of the databases' write-ahead logs.", Type: metrics.Gauge, Labels: []string{"database"}, Read: func(t tell) {
			t(float64(d.store.Stats().WAL), "edged")
			if c := d.catalog.store; c != nil {
				t(float64(c.Stats().WAL), "catalog")
			}
		}},
		{Name: "edged_database_ballast", Help: "1 while the room is there that a full disk gets back.", Type: metrics.Gauge, Read: one(func() float64 { return bit(d.store.Stats().Ballast) })},
		{Name: "edged_audit_lost_total", Help: "Rows of the audit table that could not be written; they are in the log.", Type: metrics.Counter, Read: one(func() float64 { return float64(d.audit.Lost()) })},
		{Name: "edged_packages", Help: "Packages that are kept.", Type: metrics.Gauge, Read: one(func() float64 { return float64(len(d.packages.List().Packages)) })},
		{Name: "edged_content_bytes", Help: "Bytes of packages and bundles.", Type: metrics.Gauge, Read: func(t tell) {
			ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
			defer cancel()
			if size, err := d.content.Size(ctx); err == nil {
				t(float64(size))
			}
		}},
		{Name: "edged_bundles", Help: "Bundles by what they do.", Type: metrics.Gauge, Labels: []string{"state"}, Read: func(t tell) {
			stats := d.osgi.bundles.Stats()
			for _, s := range []bundle.State{bundle.Uninstalled, bundle.Installed, bundle.Resolved, bundle.Starting, bundle.Stopping, bundle.Active} {
				t(float64(stats.States[s]), strings.ToLower(string(s)))
			}
		}},
		{Name: "edged_bundles_framework_running", Help: "1 while the OSGi framework is connected.", Type: metrics.Gauge, Read: one(func() float64 { return bit(d.osgi.bundles.Stats().Running) })},
		{Name: "edged_catalog_rows", Help: "Builds in the catalog; absent when it does not open.", Type: metrics.Gauge, Read: func(t tell) {
			if c := d.catalog.store; c != nil {
				t(float64(c.Stats().Rows))
			}
		}},
		{Name: "edged_device_ca_not_after_timestamp_seconds", Help: "When the certificate of the CA that modules' certificates are under ends.", Type: metrics.Gauge, Read: one(func() float64 {
			return float64(d.ca.Info().Certificate.NotAfter.Unix())
		})},
	}
}

// namedFamilies are those that name modules.
func (d *daemon) namedFamilies() []metrics.Family {
	return append(moduleFamilies(d.states),
		metrics.Family{Name: "edged_module_log_bytes", Help: "Disk space of the module's logs.", Type: metrics.Gauge, Labels: []string{"module"}, Read: func(t tell) {
			for _, s := range d.states() {
				t(float64(d.logBytes(s)), s.Spec.Name)
			}
		}},
	)
}

// moduleFamilies is what the states of modules say.
func moduleFamilies(states func() []*module.State) []metrics.Family {
	return []metrics.Family{
		{Name: "edged_module_running", Help: "1 while the module runs.", Type: metrics.Gauge, Labels: []string{"module"}, Read: func(t tell) {
			for _, s := range states() {
				t(bit(s.Status.Runtime == module.Running), s.Spec.Name)
			}
		}},
		{Name: "edged_module_restarts", Help: "Starts by the restart policy since somebody last started the module.", Type: metrics.Gauge, Labels: []string{"module"}, Read: func(t tell) {
			for _, s := range states() {
				t(float64(max(s.Status.Restarts, 0)), s.Spec.Name)
			}
		}},
		{Name: "edged_module_health", Help: "1 for what the module's health check found; absent without one.", Type: metrics.Gauge, Labels: []string{"module", "status"}, Read: func(t tell) {
			for _, s := range states() {
				if h := s.Status.Health; h != nil {
					for _, status := range []module.HealthStatus{module.Starting, module.Healthy, module.Unhealthy} {
						t(bit(h.Status == status), s.Spec.Name, string(status))
					}
				}
			}
		}},
	}
}

func modulesByState(states []*module.State, t tell) {
	count := map[module.Runtime]int{}
	for _, s := range states {
		count[s.Status.Runtime]++
	}
	for _, r := range []module.Runtime{module.Running, module.Stopped, module.Failed, module.Dead, module.Unknown} {
		t(float64(count[r]), string(r))
	}
}

// readTimeout bounds a look: whoever scrapes comes again.
const readTimeout = 2 * time.Second

// states are those of all modules, the OSGi host among them.
func (d *daemon) states() []*module.State {
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	return d.supervisor.All(ctx)
}

// logBytes is 0 for what cannot be read.
func (d *daemon) logBytes(s *module.State) int64 {
	size, err := d.logs.Size(s.Spec.Name)
	if err != nil {
		d.log.WithError(err).Debug("cannot measure a log")
	}
	return size
}

// writeMetrics writes all that there is.
func (d *daemon) writeMetrics(w io.Writer) { d.writeSome(w, true) }

func (d *daemon) writeSome(w io.Writer, names bool) {
	if err := d.metrics.Write(w, names); err != nil {
		d.log.WithError(err).Debug("metrics are not whole")
	}
}

func bit(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
