package main

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
)

// using answers with what one module uses: of two processors it had a whole one since the sample before.
func using(t *testing.T) *device {
	stats, err := json.Marshal([]container.StatsResponse{{
		Name:        "/temp",
		CPUStats:    container.CPUStats{CPUUsage: container.CPUUsage{TotalUsage: 3e9}, SystemUsage: 10e9, OnlineCPUs: 2},
		PreCPUStats: container.CPUStats{CPUUsage: container.CPUUsage{TotalUsage: 2e9}, SystemUsage: 8e9, OnlineCPUs: 2},
		MemoryStats: container.MemoryStats{Usage: 3 << 20, Limit: 64 << 20, Stats: map[string]uint64{"inactive_file": 1 << 20}},
		Networks:    map[string]container.NetworkStats{"eth0": {RxBytes: 1024}, "eth1": {RxBytes: 1024, TxBytes: 2048}},
		PidsStats:   container.PidsStats{Current: 5},
	}})
	require.NoError(t, err)
	others := modules(t, nil, module("temp", "running", nil), module("idle", "stopped", nil))
	return newDevice(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/systeminfo/resources" {
			others.ServeHTTP(w, r)
			return
		}
		b, err := json.Marshal(wire.SystemResources{
			HostUptime: 7200, UsedCPU: 12.5, UsedRAM: 1 << 30, TotalRAM: 4 << 30,
			Disks: []wire.Disk{{Name: "/", AvailableSpace: 1 << 30}}, DockerStats: string(stats),
		})
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(b)
	}))
}

func TestStatsOfHostAndModules(t *testing.T) {
	got := using(t).run("stats")
	require.Equal(t, result{0, "host: up 2 hours, CPU 12.5%, memory 1GiB of 4GiB, / 1GiB free\n\n" +
		"NAME   CPU      MEMORY   LIMIT   NET IN/OUT    DISK IN/OUT   PROCESSES\n" +
		"temp   100.0%   2MiB     64MiB   2KiB / 2KiB   0B / 0B       5\n", ""}, got)
	require.Equal(t, "temp 2097152\n", using(t).run("top", "temp", "--format", "{{.Name}} {{.Memory}}").out)
	var list []usageOf
	require.NoError(t, json.Unmarshal([]byte(using(t).run("stats", "--format", "json").out), &list))
	require.Len(t, list, 1)
	require.InDelta(t, 100, list[0].CPU, 0.001)
}

func TestStatsOfAModuleThatDoesNotRunAndOfNone(t *testing.T) {
	require.Equal(t, result{0, "[]\n", ""}, using(t).run("stats", "idle", "--format", "json"))
	require.Equal(t, exitNotFound, using(t).run("stats", "none").code)
	require.Equal(t, exitUsage, using(t).run("stats", "--format", "x").code)
}

func TestStatsThatAreNone(t *testing.T) {
	d := newDevice(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"docker_stats":"not json"}`)
	}))
	got := d.run("stats")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.err, "cannot read what modules use")
}
