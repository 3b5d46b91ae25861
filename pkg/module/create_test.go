package module

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestCreateMakesAStoppedModule(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		st, err := d.s.Create(t.Context(), spec("temp"))
		require.NoError(t, err)
		require.Equal(t, Stopped, st.Status.Runtime)
		require.Equal(t, "created", st.Status.Description)
		require.False(t, st.Wanted)
		require.True(t, st.Status.StartTime.IsZero())
		require.Nil(t, st.Status.Exit)
		require.True(t, d.engine.has(st.ContainerID))
		c := d.engine.containers[st.ContainerID]
		require.Equal(t, "/run/x/temp", c.Sockets)
		require.Contains(t, c.Identity, "IOTEDGE_MODULEGENERATIONID=genid-temp")
		require.Contains(t, c.Identity, "EDGED_DEVICEID=dev")
		rec, _ := d.store.record("temp")
		require.Equal(t, PhaseReady, rec.Phase)
	})
}

func TestCreateWritesItsIntentBeforeTheContainer(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		d.create(spec("temp"))
		require.True(t, d.j.before("save temp creating wanted=false", "create "+ContainerID("temp", 1)))
		require.True(t, d.j.before("create "+ContainerID("temp", 1), "save temp ready wanted=false"))
	})
}

func TestCreateOfWhatExistsIsRefusedBeforeAPull(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		d.create(spec("temp"))
		d.engine.mu.Lock()
		d.engine.pull = func(context.Context, string) error { return errors.New("the registry was asked") }
		d.engine.mu.Unlock()
		_, err := d.s.Create(t.Context(), spec("$temp"))
		require.True(t, errdefs.IsAlreadyExists(err), "%v", err)
	})
}

func TestTwoCreatesAtOnceMakeOneModule(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		errs := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := d.s.Create(t.Context(), spec("temp"))
				errs <- err
			}()
		}
		one, two := <-errs, <-errs
		if one != nil {
			one, two = two, one
		}
		require.NoError(t, one)
		require.True(t, errdefs.IsAlreadyExists(two), "%v", two)
	})
}

func TestACreateThatFailsLeavesNothing(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		d.engine.set("create", fmt.Errorf("no room: %w", errdefs.ErrUnavailable))
		_, err := d.s.Create(t.Context(), spec("temp"))
		require.True(t, errdefs.IsUnavailable(err), "%v", err)
		d.absent("temp")
		_, kept := d.store.record("temp")
		require.False(t, kept)
		require.Equal(t, 1, d.j.count("forget temp"))
		d.engine.set("create", nil)
		d.create(spec("temp"))
	})
}

func TestAnInvalidSpecIsRefused(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		bad := spec("temp")
		bad.Image = "invalid"
		_, err := d.s.Create(t.Context(), bad)
		require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
		require.True(t, errdefs.IsInvalidArgument(d.s.Prepare(t.Context(), bad)))
		_, err = d.s.Update(t.Context(), bad, false, nil)
		require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
	})
}

func TestPrepareFetchesTheImageAndMakesNothing(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		asked := ""
		d.engine.pull = func(_ context.Context, ref string) error { asked = ref; return nil }
		require.NoError(t, d.s.Prepare(t.Context(), spec("temp")))
		require.Equal(t, "image", asked)
		require.Empty(t, d.s.List(t.Context()))
		require.Empty(t, d.engine.containers)
	})
}

func TestDeleteRemovesAllButTheIdentity(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", always)
		st := d.state("temp")
		require.NoError(t, d.s.Delete(t.Context(), "temp"))
		d.absent("temp")
		require.False(t, d.engine.has(id))
		require.Zero(t, d.table.Len())
		require.Empty(t, d.sockets.there)
		require.Empty(t, d.store.records)
		require.Empty(t, d.store.instances)
		require.Equal(t, 1, d.j.count("remove logs temp"))
		require.True(t, d.j.before("delete "+id, "forget temp"), "what its containers stand on goes after them")
		require.True(t, d.j.before("save temp deleting wanted=false", "signal "+id+" kill=false"))
		<-st.Run
		after(time.Second)
		require.Empty(t, d.s.workers, "a worker without a module ends")
	})
}

func TestADeleteThatFailedHalfWayCanBeRepeated(t *testing.T) {
	for _, half := range []string{"signal", "deletetask", "delete", "forget"} {
		t.Run(half, func(t *testing.T) {
			onDevice(t, func(t *testing.T, d *device) {
				id := d.running("temp", always)
				d.engine.set(half, fmt.Errorf("away: %w", errdefs.ErrUnavailable))
				err := d.s.Delete(t.Context(), "temp")
				if half == "deletetask" {
					require.NoError(t, err, "the container's deletion takes the task along")
					return
				}
				require.True(t, errdefs.IsUnavailable(err), "%v", err)
				require.True(t, errdefs.IsNotFound(d.s.Start(t.Context(), "temp")), "a module that is being deleted is not started")
				d.engine.set(half, nil)
				require.NoError(t, d.s.Delete(t.Context(), "temp"))
				require.False(t, d.engine.has(id))
				require.Empty(t, d.store.records)
			})
		})
	}
}

func TestACreateFinishesADeleteThatWasBegun(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		d.create(spec("temp"))
		d.engine.set("delete", fmt.Errorf("away: %w", errdefs.ErrUnavailable))
		require.Error(t, d.s.Delete(t.Context(), "temp"))
		d.absent("temp")
		d.engine.set("delete", nil)
		d.create(spec("temp"))
		require.Equal(t, Stopped, d.state("temp").Status.Runtime)
	})
}
