package module

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestASlowPullDelaysNobodyElse(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		d.engine.mu.Lock()
		d.engine.pull = func(ctx context.Context, ref string) error {
			if ref != "slow" {
				return nil
			}
			select {
			case <-time.After(time.Hour):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		d.engine.mu.Unlock()
		id := d.running("temp", always)
		slow := changed("temp")
		slow.Image = "slow"
		done := make(chan error, 1)
		go func() {
			_, err := d.s.Update(t.Context(), slow, true, nil)
			done <- err
		}()
		synctest.Wait()
		begun := time.Now()
		d.running("other", no)
		require.NoError(t, d.s.Stop(t.Context(), "temp", false), "the module itself is not held up either")
		require.NoError(t, d.s.Start(t.Context(), "temp"))
		require.Zero(t, time.Since(begun))
		d.engine.die(id, 1)
		after(time.Second)
		require.True(t, d.engine.runs(id), "its restart policy works meanwhile")
		require.NoError(t, <-done)
		require.True(t, d.engine.runs(ContainerID("temp", 2)))
	})
}

func TestASlowStopDelaysNobodyElse(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		d.engine.deaf[d.running("slow", no)] = true
		done := make(chan error, 1)
		go func() { done <- d.s.Stop(t.Context(), "slow", false) }()
		synctest.Wait()
		begun := time.Now()
		d.running("other", no)
		require.Len(t, d.s.List(t.Context()), 2)
		require.Zero(t, time.Since(begun))
		require.NoError(t, <-done)
	})
}

func TestWorkGoesOnWhenItsClientLeaves(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", no)
		d.engine.deaf[id] = true
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		require.ErrorIs(t, d.s.Stop(ctx, "temp", false), context.DeadlineExceeded)
		require.True(t, d.engine.runs(id))
		after(10 * time.Second)
		require.False(t, d.engine.runs(id))
	})
}

func TestAPullGoesOnWhenItsClientLeaves(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		pulled := false
		d.engine.mu.Lock()
		d.engine.pull = func(ctx context.Context, _ string) error {
			time.Sleep(time.Minute)
			pulled = ctx.Err() == nil
			return nil
		}
		d.engine.mu.Unlock()
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		require.ErrorIs(t, d.s.Prepare(ctx, spec("temp")), context.DeadlineExceeded)
		after(time.Minute)
		require.True(t, pulled)
	})
}

func TestTooManyOperationsForOneModuleAreSentAway(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", always)
		d.create(spec("other"))
		release := d.occupy("temp")
		var wg sync.WaitGroup
		for range maxQueue {
			wg.Go(func() { _ = d.s.Start(t.Context(), "temp") })
		}
		synctest.Wait()
		err := d.s.Start(t.Context(), "temp")
		require.True(t, errdefs.IsUnavailable(err), "%v", err)
		require.NoError(t, d.s.Start(t.Context(), "other"), "it is that module's queue alone")
		// What edged itself must know of is not kept out.
		d.engine.die(id, 3)
		synctest.Wait()
		close(release)
		wg.Wait()
		after(time.Second)
		require.Equal(t, 3, d.state("temp").Status.Exit.Code)
		require.True(t, d.engine.runs(id))
	})
}

func TestAnOperationThatWaitedTooLongIsNotBegun(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		d.create(spec("temp"))
		release := d.occupy("temp")
		done := make(chan error, 1)
		go func() { done <- d.s.Start(t.Context(), "temp") }()
		after(operationTimeout + time.Second)
		close(release)
		require.True(t, errdefs.IsUnavailable(<-done))
		require.False(t, d.engine.runs(ContainerID("temp", 1)))
	})
}

func TestNamesComeAndGoWhileEverybodyAsks(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 50 {
					_, err := d.s.Create(t.Context(), spec("temp"))
					require.True(t, err == nil || errdefs.IsAlreadyExists(err) || errdefs.IsNotFound(err), "%v", err)
					err = d.s.Delete(t.Context(), "temp")
					require.True(t, err == nil || errdefs.IsNotFound(err), "%v", err)
					d.s.List(t.Context())
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		require.Empty(t, d.s.workers)
		require.Empty(t, d.engine.containers)
		require.Empty(t, d.store.records)
	})
}

func TestListIsSortedAndTheSameUntilSomethingChanges(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		for _, name := range []string{"b", "a", "c", "B"} {
			d.create(spec(name))
		}
		first := d.s.List(t.Context())
		var names []string
		for _, st := range first {
			names = append(names, st.Spec.Name)
		}
		require.Equal(t, []string{"B", "a", "b", "c"}, names)
		second := d.s.List(t.Context())
		require.Same(t, &first[0], &second[0], "nothing is made anew")
		require.NoError(t, d.s.Start(t.Context(), "b"))
		third := d.s.List(t.Context())
		require.NotSame(t, first[2], third[2])
		for _, i := range []int{0, 1, 3} {
			require.Same(t, first[i], third[i])
		}
		require.Equal(t, Stopped, first[2].Status.Runtime, "a picture does not change")
		require.Same(t, third[2], d.state("b"))
	})
}

func TestCloseWaitsForWhatIsUnderWay(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", no)
		d.engine.deaf[id] = true
		done := make(chan error, 1)
		go func() { done <- d.s.Stop(context.Background(), "temp", false) }()
		synctest.Wait()
		d.shutDown()
		require.NoError(t, <-done)
		require.False(t, d.engine.runs(id))
		for _, err := range []error{d.s.Start(t.Context(), "temp"), d.s.Prepare(t.Context(), spec("temp"))} {
			require.True(t, errdefs.IsUnavailable(err), "%v", err)
		}
	})
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		d.running("temp", no)
		d.engine.mu.Lock()
		d.engine.life["image-of-temp"] = Lifecycle{StopTimeout: 4 * time.Minute}
		d.engine.mu.Unlock()
		_, err := d.s.Update(t.Context(), func() Spec { s := spec("temp"); s.Image = "image-of-temp"; return s }(), true, nil)
		require.NoError(t, err)
		id := ContainerID("temp", 2)
		d.engine.deaf[id] = true
		done := make(chan error, 1)
		go func() { done <- d.s.Stop(context.Background(), "temp", false) }()
		synctest.Wait()
		begun := time.Now()
		d.shutDown()
		require.Equal(t, 20*time.Second, time.Since(begun))
		require.True(t, errdefs.IsUnavailable(<-done))
		require.True(t, d.engine.runs(id), "edged ends, modules run on")
	})
}

func TestVolumesMayTakeLongerToFillThanAnOperation(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		d.store.obeys = true
		d.engine.fills = 30 * time.Minute
		id := d.running("temp", no)
		require.True(t, d.engine.runs(id))
		_, err := d.s.Update(t.Context(), spec("temp"), true, nil)
		require.NoError(t, err)
		require.True(t, d.engine.runs(ContainerID("temp", 2)))
	})
}

func TestCloseDoesNotWaitForWhatHangs(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		d.create(spec("temp"))
		hangs := make(chan struct{})
		_, err := d.s.submit("temp", false, func(context.Context, *worker, func(error)) error {
			<-hangs // as an open of a FIFO does
			return nil
		})
		require.NoError(t, err)
		begun := time.Now()
		d.shutDown()
		require.Equal(t, 20*time.Second+closeGrace, time.Since(begun))
		close(hangs)
	})
}

func TestARestartThatIsDueDoesNotOutliveClose(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", always)
		d.engine.die(id, 1)
		synctest.Wait()
		d.shutDown()
		after(time.Minute)
		require.False(t, d.engine.runs(id))
	})
}

func TestAStoreThatCannotBeReadStopsTheStart(t *testing.T) {
	for _, what := range []string{"modules", "instances"} {
		d := newDevice(t)
		d.store.set(what, fmt.Errorf("disk broken"))
		_, err := Open(t.Context(), Config{Store: d.store, Engine: d.engine})
		require.ErrorContains(t, err, "cannot read "+what)
	}
}
