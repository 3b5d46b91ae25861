package module

import (
	"fmt"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestAModuleWhoseLoggerDiedIsRestarted(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", no)
		d.create(spec("stopped"))
		d.engine.mu.Lock()
		d.engine.started = func(string) { d.mute.Store(false) } // a new run has a new logger
		d.engine.mu.Unlock()
		after(loggerGrace)
		first := d.store.instances[id].PID
		d.mute.Store(true)
		after(loggerCheck + time.Second)
		require.True(t, d.engine.runs(id))
		require.NotEqual(t, first, d.store.instances[id].PID)
		require.Equal(t, 2, d.j.count("start "+id))
		require.True(t, d.state("temp").Wanted)
		require.False(t, d.engine.runs(ContainerID("stopped", 1)))
		after(time.Minute)
		require.Equal(t, 2, d.j.count("start "+id), "once")
	})
}

func TestASystemModuleWhoseLoggerDiedIsRestarted(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		require.NoError(t, d.s.KeepSystem(t.Context(), spec(OSGiHost), ""))
		id := ContainerID(OSGiHost, 1)
		d.engine.mu.Lock()
		d.engine.started = func(string) { d.mute.Store(false) }
		d.engine.mu.Unlock()
		after(loggerGrace)
		d.mute.Store(true)
		after(loggerCheck + time.Second)
		require.True(t, d.engine.runs(id))
		require.Equal(t, 2, d.j.count("start "+id))
	})
}

func TestALoggerHasTimeToBegin(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		after(loggerCheck - time.Second)
		d.mute.Store(true)
		id := d.running("temp", no)
		after(2 * time.Second)
		d.mute.Store(false)
		after(time.Minute)
		require.Equal(t, 1, d.j.count("start "+id))
	})
}

func TestAStopDuringTheWaitForANewLoggerHolds(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", no)
		after(loggerGrace)
		d.engine.set("task "+id, fmt.Errorf("busy: %w", errdefs.ErrUnavailable))
		d.mute.Store(true)
		after(loggerCheck + time.Second)
		require.NoError(t, d.s.Stop(t.Context(), "temp", false))
		d.engine.set("task "+id, nil)
		after(5 * time.Minute)
		require.False(t, d.engine.runs(id))
	})
}
