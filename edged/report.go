package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/peer"
)

// systemInfo says what edged runs on, in the words of the contract.
func (d *daemon) systemInfo(ctx context.Context) wire.SystemInfo {
	info := wire.SystemInfo{
		OSType: "Linux", Architecture: runtime.GOARCH, CPUs: runtime.NumCPU(), Version: version,
		Provisioning: wire.Provisioning{Type: "manual"},
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		info.Architecture = unix.ByteSliceToString(u.Machine[:])
		info.KernelRelease = unix.ByteSliceToString(u.Release[:])
		info.KernelVersion = unix.ByteSliceToString(u.Version[:])
	}
	var si unix.Sysinfo_t
	if unix.Sysinfo(&si) == nil {
		info.TotalMemory = int64(uint64(si.Totalram) * uint64(si.Unit)) //nolint:unconvert // 32 bits wide on arm
	}
	info.OS, info.OSVersion = osRelease("/etc/os-release")
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if v, err := d.engine.Version(ctx); err == nil {
		info.ServerVersion = "containerd " + v
	}
	return info
}

// osRelease reads ID and VERSION_ID, os-release(5).
func osRelease(path string) (id, versionID string) {
	f, err := os.Open(path)
	if err != nil {
		return "", ""
	}
	defer f.Close()
	for s := bufio.NewScanner(io.LimitReader(f, 64<<10)); s.Scan(); {
		key, value, _ := strings.Cut(s.Text(), "=")
		switch value = strings.Trim(value, `"'`); key {
		case "ID":
			id = value
		case "VERSION_ID":
			versionID = value
		}
	}
	return id, versionID
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
