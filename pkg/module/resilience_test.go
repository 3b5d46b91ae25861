package module

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestAComparisonThatFailsAtBootIsMadeAgain(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", always)
		d.engine.set("observe", fmt.Errorf("slow: %w", errdefs.ErrUnavailable))
		d.reboot()
		after(time.Minute)
		d.engine.set("observe", nil)
		after(24 * time.Hour)
		require.True(t, d.engine.runs(id), "one failed comparison must not leave the device down")
	})
}

func TestACrashInARestartDoesNotLeaveTheModuleDown(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", no)
		d.engine.set("task "+id, fmt.Errorf("edged dies here: %w", errdefs.ErrUnavailable))
		_ = d.s.Restart(t.Context(), "temp")
		d.engine.set("task "+id, nil)
		d.reboot()
		after(time.Minute)
		require.True(t, d.engine.runs(id), "nobody wished it stopped")
	})
}

func TestAModuleThatCouldNotBeMadeAgainIsTriedAgain(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", always)
		d.engine.mu.Lock()
		delete(d.engine.containers, id)
		d.engine.mu.Unlock()
		d.engine.set("create", fmt.Errorf("full: %w", errdefs.ErrUnavailable))
		d.reboot()
		after(time.Minute)
		d.engine.set("create", nil)
		err := d.s.Start(t.Context(), "temp")
		synctest.Wait()
		after(24 * time.Hour)
		require.True(t, d.engine.runs(id), "and Start does what it can: %v", err)
	})
}

func TestAPowerCutIsOverOnceAllWasCompared(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		d.reboot()
		id := d.running("job", no)
		after(30 * 24 * time.Hour)
		d.engine.set("events", fmt.Errorf("away: %w", errdefs.ErrUnavailable))
		d.engine.cutStream()
		synctest.Wait()
		d.engine.mu.Lock()
		delete(d.engine.tasks, id)
		d.engine.mu.Unlock()
		d.engine.set("events", nil)
		after(5 * time.Second)
		require.False(t, d.engine.runs(id), "its policy is no, and nobody cut the power")
	})
}
