package module

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func changed(name string) Spec {
	s := spec(name)
	s.Image = "image-2"
	return s
}

func TestUpdateReplacesTheGeneration(t *testing.T) {
	for _, start := range []bool{true, false} {
		t.Run(fmt.Sprintf("start=%t", start), func(t *testing.T) {
			onDevice(t, func(t *testing.T, d *device) {
				old := d.running("temp", always)
				run := d.state("temp").Run
				st, err := d.s.Update(t.Context(), changed("temp"), start, nil)
				require.NoError(t, err)
				synctest.Wait()
				require.Equal(t, int64(2), st.Generation)
				require.Equal(t, "image-2", st.Spec.Image)
				require.Equal(t, "sha256:image-2", st.ImageDigest)
				require.Equal(t, start, d.engine.runs(ContainerID("temp", 2)))
				require.True(t, st.Wanted == start)
				require.False(t, d.engine.has(old))
				require.Equal(t, 143, st.Status.Exit.Code)
				require.Equal(t, 1, d.j.count("prune temp [1 2]"), "the log of the one before is kept")
				require.Equal(t, !start, closed(run), "a followed log goes on into the next generation")
				rec, _ := d.store.record("temp")
				require.Equal(t, PhaseReady, rec.Phase)
				require.Nil(t, rec.Next)
				after(5 * time.Minute)
				require.Equal(t, start, d.engine.runs(ContainerID("temp", 2)))
			})
		})
	}
}

func TestTheNextGenerationIsMadeBesideTheOneThatRuns(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		old := d.running("temp", no)
		_, err := d.s.Update(t.Context(), changed("temp"), true, nil)
		require.NoError(t, err)
		synctest.Wait()
		next := ContainerID("temp", 2)
		require.True(t, d.j.before("save temp updating wanted=true", "create "+next))
		require.True(t, d.j.before("create "+next, "signal "+old+" kill=false"))
		require.True(t, d.j.before("start "+next, "delete "+old))
	})
}

func TestWhenTheNextDoesNotStartTheOldRunsAgain(t *testing.T) {
	for _, ran := range []bool{true, false} {
		t.Run(fmt.Sprintf("ran=%t", ran), func(t *testing.T) {
			onDevice(t, func(t *testing.T, d *device) {
				old := d.running("temp", no)
				if !ran {
					require.NoError(t, d.s.Stop(t.Context(), "temp", false))
				}
				next := ContainerID("temp", 2)
				d.engine.set("start "+next, fmt.Errorf("no such executable: %w", errdefs.ErrInvalidArgument))
				_, err := d.s.Update(t.Context(), changed("temp"), true, nil)
				require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
				require.ErrorContains(t, err, "no such executable")
				st := d.state("temp")
				require.Equal(t, int64(1), st.Generation)
				require.Equal(t, ran, d.engine.runs(old))
				require.True(t, st.Wanted == ran)
				require.False(t, d.engine.has(next))
				rec, _ := d.store.record("temp")
				require.Equal(t, PhaseReady, rec.Phase)
				require.True(t, rec.Wanted == ran)
				// And the number is free for the next try.
				d.engine.set("start "+next, nil)
				_, err = d.s.Update(t.Context(), changed("temp"), true, nil)
				require.NoError(t, err)
				require.True(t, d.engine.runs(next))
			})
		})
	}
}

func TestAnUpdateThatFailsBetweenTwoTriesOfARestartDoesNotEndThem(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		old := d.running("temp", always)
		d.engine.die(old, 1)
		synctest.Wait()
		d.engine.set("start "+ContainerID("temp", 2), fmt.Errorf("no: %w", errdefs.ErrInvalidArgument))
		_, err := d.s.Update(t.Context(), changed("temp"), true, nil)
		require.Error(t, err)
		after(time.Second)
		require.True(t, d.engine.runs(old))
	})
}

func TestAnUpdateThatCannotMakeTheNextDoesNotStopTheOld(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		old := d.running("temp", no)
		d.engine.set("create "+ContainerID("temp", 2), fmt.Errorf("disk full: %w", errdefs.ErrUnavailable))
		_, err := d.s.Update(t.Context(), changed("temp"), true, nil)
		require.True(t, errdefs.IsUnavailable(err), "%v", err)
		require.Zero(t, d.j.count("signal "+old+" kill=false"))
		require.Equal(t, Running, d.state("temp").Status.Runtime)
	})
}

func TestAnUpdateThatFailsBehindTheStopStartsTheOldAgain(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		old := d.running("temp", always)
		d.engine.set("deletetask "+old, fmt.Errorf("shim hangs: %w", errdefs.ErrUnavailable))
		_, err := d.s.Update(t.Context(), changed("temp"), true, nil)
		require.True(t, errdefs.IsUnavailable(err), "%v", err)
		d.engine.set("deletetask "+old, nil)
		after(time.Minute)
		require.True(t, d.engine.runs(old))
		require.Equal(t, int64(1), d.state("temp").Generation)
	})
}

func TestAnUpdateThatCannotBeWrittenToItsEndIsSettledByTheNextOne(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		d.running("temp", no)
		d.engine.mu.Lock()
		d.engine.started = func(id string) {
			if id == ContainerID("temp", 2) {
				d.store.set("module", fmt.Errorf("disk full: %w", errdefs.ErrUnavailable))
			}
		}
		d.engine.mu.Unlock()
		_, err := d.s.Update(t.Context(), changed("temp"), true, nil)
		require.True(t, errdefs.IsUnavailable(err), "%v", err)
		d.store.set("module", nil)
		third := changed("temp")
		third.Image = "image-3"
		st, err := d.s.Update(t.Context(), third, true, nil)
		require.NoError(t, err)
		require.Equal(t, int64(3), st.Generation)
		synctest.Wait() // what is left of the old one goes after the answer
		require.True(t, d.engine.runs(ContainerID("temp", 3)))
		require.Len(t, d.engine.containers, 1)
	})
}

func TestASelfUpdateIsAnsweredBeforeTheAskerEnds(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		old := d.running(AgentName, always)
		d.engine.deaf[old] = true // it takes its time
		begun := time.Now()
		s := changed(AgentName)
		_, err := d.s.Update(t.Context(), s, true, sent())
		require.NoError(t, err)
		require.Zero(t, time.Since(begun))
		require.True(t, d.engine.runs(old))
		after(11 * time.Second)
		require.False(t, d.engine.has(old))
		require.True(t, d.engine.runs(ContainerID(AgentName, 2)))
	})
}

// sent is of an answer that is on its way already.
func sent() <-chan struct{} {
	answered := make(chan struct{})
	close(answered)
	return answered
}

func TestASelfUpdateEndsTheAskerOnlyWhenItsAnswerIsOnItsWay(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		old := d.running(AgentName, always)
		answered := make(chan struct{})
		_, err := d.s.Update(t.Context(), changed(AgentName), true, answered)
		require.NoError(t, err)
		after(time.Second)
		require.True(t, d.engine.runs(old), "its answer is not out")
		close(answered)
		after(time.Second)
		require.False(t, d.engine.has(old))
		require.True(t, d.engine.runs(ContainerID(AgentName, 2)))

		_, err = d.s.Update(t.Context(), changed(AgentName), true, make(chan struct{}))
		require.NoError(t, err)
		after(answerTimeout + time.Second)
		require.True(t, d.engine.runs(ContainerID(AgentName, 3)), "who does not take its answer holds nothing up")
	})
}

func TestASelfUpdateThatDoesNotStartGoesBack(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		old := d.running(AgentName, always)
		d.engine.set("start "+ContainerID(AgentName, 2), fmt.Errorf("no: %w", errdefs.ErrInvalidArgument))
		_, err := d.s.Update(t.Context(), changed(AgentName), true, sent())
		require.NoError(t, err, "it was answered before anybody could know")
		after(time.Second)
		require.True(t, d.engine.runs(old))
		require.Equal(t, int64(1), d.state(AgentName).Generation)
	})
}
