package module

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		ctx := t.Context()
		for name, do := range map[string]func() error{
			"start":   func() error { return d.s.Start(ctx, "temp") },
			"stop":    func() error { return d.s.Stop(ctx, "temp", true) },
			"restart": func() error { return d.s.Restart(ctx, "temp") },
			"delete":  func() error { return d.s.Delete(ctx, "temp") },
			"update":  func() error { _, err := d.s.Update(ctx, spec("temp"), true, nil); return err },
			"get":     func() error { _, err := d.s.Get(ctx, "temp"); return err },
		} {
			require.True(t, errdefs.IsNotFound(do()), name)
		}
	})
}

func TestStartRecordsWhoRunsBeforeItRuns(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", no)
		require.True(t, d.j.before("save start "+id, "start "+id))
		require.Equal(t, 1, d.table.Len())
		in := d.store.instances[id]
		require.Equal(t, "temp", in.Module)
		require.Equal(t, int64(1), in.Generation)
		st := d.state("temp")
		require.Equal(t, Running, st.Status.Runtime)
		require.True(t, st.Wanted)
		require.Equal(t, time.Now().UTC(), st.Status.StartTime)
	})
}

// TestAnInstanceGoesByTheIdentityItsContainerWasMadeWith: what a restart runs is the
// container of before, whose environment says who it is; only what is made anew is told the new one.
func TestAnInstanceGoesByTheIdentityItsContainerWasMadeWith(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		madeWith := func() string { return d.table.Instances()[0].GenerationID }
		id := d.running("temp", no)
		require.Equal(t, "genid-temp", madeWith())
		require.Equal(t, "genid-temp", d.store.instances[id].GenerationID)
		d.store.identity = "anew-"
		require.NoError(t, d.s.Restart(t.Context(), "temp"))
		require.Equal(t, "genid-temp", madeWith())
		_, err := d.s.Update(t.Context(), spec("temp"), true, nil)
		require.NoError(t, err)
		require.Equal(t, "anew-temp", madeWith())
	})
}

func TestAProcessThatCannotBeRecordedNeverRuns(t *testing.T) {
	for _, what := range []string{"record", "start"} {
		onDevice(t, func(t *testing.T, d *device) {
			d.create(spec("temp"))
			id := ContainerID("temp", 1)
			if what == "record" {
				d.engine.set("record", fmt.Errorf("path meets another: %w", errdefs.ErrFailedPrecondition))
			} else {
				d.store.set("start", fmt.Errorf("disk full: %w", errdefs.ErrUnavailable))
			}
			require.Error(t, d.s.Start(t.Context(), "temp"))
			require.False(t, d.engine.runs(id))
			require.Zero(t, d.table.Len())
			require.Zero(t, d.j.count("start "+id))
			require.Equal(t, Stopped, d.state("temp").Status.Runtime)
			require.False(t, d.state("temp").Wanted)
		})
	}
}

func TestAStartThatFailsIsNoWish(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		d.create(spec("temp"))
		id := ContainerID("temp", 1)
		d.engine.set("start "+id, fmt.Errorf("no such executable: %w", errdefs.ErrInvalidArgument))
		err := d.s.Start(t.Context(), "temp")
		require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
		rec, _ := d.store.record("temp")
		require.False(t, rec.Wanted)
		require.Zero(t, d.table.Len())
		require.Empty(t, d.store.instances)
		require.Contains(t, d.state("temp").Status.Description, "no such executable")
	})
}

func TestStartOfARunningModuleChangesNothing(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", no)
		require.NoError(t, d.s.Start(t.Context(), "temp"))
		require.Equal(t, 1, d.j.count("start "+id))
	})
}

func TestStopIsOnTheDiskBeforeTheSignal(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", always)
		require.NoError(t, d.s.Stop(t.Context(), "temp", false))
		require.True(t, d.j.before("save temp ready wanted=false", "signal "+id+" kill=false"))
		require.True(t, d.j.before("signal "+id+" kill=false", "save exit "+id))
		st := d.state("temp")
		require.Equal(t, Failed, st.Status.Runtime, "143 is not 0")
		require.Equal(t, 143, st.Status.Exit.Code)
		require.Equal(t, "stopped by request, exit code 143", st.Status.Description)
		require.Zero(t, d.table.Len())
		after(2 * time.Minute)
		require.False(t, d.engine.runs(id), "always does not win over a stop")
		require.NoError(t, d.s.Stop(t.Context(), "temp", false), "stopped already")
	})
}

func TestAStopThatCannotBeWrittenSignalsNobody(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", always)
		d.store.set("module", fmt.Errorf("disk full: %w", errdefs.ErrUnavailable))
		require.True(t, errdefs.IsUnavailable(d.s.Stop(t.Context(), "temp", false)))
		require.Zero(t, d.j.count("signal "+id+" kill=false"))
		d.store.set("module", nil)
		d.engine.die(id, 1)
		after(time.Second)
		require.True(t, d.engine.runs(id), "what was not stopped is still wanted")
	})
}

func TestStopKillsWhenTheTimeIsUp(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", no)
		d.engine.deaf[id] = true
		d.engine.oom = true // what a search would find, which takes time
		begun := time.Now()
		require.NoError(t, d.s.Stop(t.Context(), "temp", false))
		require.Equal(t, 10*time.Second, time.Since(begun))
		require.False(t, d.state("temp").Status.Exit.OOM, "edged knows who killed it")
		require.True(t, d.j.before("signal "+id+" kill=false", "signal "+id+" kill=true"))
		require.Equal(t, 137, d.state("temp").Status.Exit.Code)
	})
}

func TestStopOfAProcessThatHasJustEndedTakesNoTime(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", always)
		release := d.occupy("temp")
		d.engine.die(id, 7)
		synctest.Wait() // the event is at the worker, which is busy
		begun := time.Now()
		done := make(chan error, 1)
		go func() { done <- d.s.Stop(t.Context(), "temp", false) }()
		synctest.Wait()
		close(release)
		require.NoError(t, <-done)
		require.Zero(t, time.Since(begun))
		require.Equal(t, 7, d.state("temp").Status.Exit.Code)
		require.False(t, d.state("temp").Wanted)
	})
}

// occupy keeps a module's worker busy until the channel is closed.
func (d *device) occupy(name string) chan struct{} {
	release := make(chan struct{})
	_, err := d.s.submit(name, false, func(context.Context, *worker, func(error)) error {
		<-release
		return nil
	})
	require.NoError(d.t, err)
	synctest.Wait()
	return release
}

func TestStopAsksWhenEventsAreLost(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", no)
		d.engine.set("events", fmt.Errorf("away: %w", errdefs.ErrUnavailable))
		d.engine.cutStream()
		begun := time.Now()
		require.NoError(t, d.s.Stop(t.Context(), "temp", false))
		require.LessOrEqual(t, time.Since(begun), time.Second)
		require.Equal(t, 143, d.state("temp").Status.Exit.Code)
		d.engine.set("events", nil)
		after(time.Minute)
		require.False(t, d.engine.runs(id))
	})
}

func TestWhatSurvivesSIGKILLIsAnErrorAndStaysVisible(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", no)
		d.engine.set("signal "+id, nil)
		d.engine.deaf[id] = true
		d.engine.set("signal", nil)
		d.engine.mu.Lock()
		d.engine.tasks[id].exit = nil
		d.engine.mu.Unlock()
		d.engine.set("signal "+id, fmt.Errorf("stuck: %w", errdefs.ErrNotFound)) // signals reach nobody
		err := d.s.Stop(t.Context(), "temp", false)
		require.True(t, errdefs.IsInternal(err), "%v", err)
		require.Equal(t, Running, d.state("temp").Status.Runtime)
		d.engine.set("signal "+id, nil)
		d.engine.deaf[id] = false
		require.NoError(t, d.s.Stop(t.Context(), "temp", false))
	})
}

func TestRestartStopsAndStarts(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", no)
		first := d.store.instances[id].PID
		after(time.Second)
		require.NoError(t, d.s.Restart(t.Context(), "temp"))
		require.NotEqual(t, first, d.store.instances[id].PID)
		st := d.state("temp")
		require.Equal(t, Running, st.Status.Runtime)
		require.Equal(t, 143, st.Status.Exit.Code, "how the run before ended stays to be seen")
		require.NoError(t, d.s.Stop(t.Context(), "temp", false))
		require.NoError(t, d.s.Restart(t.Context(), "temp"), "a stopped one is started")
		require.True(t, d.engine.runs(id))
	})
}

func TestAnOldRunsEventDoesNotEndTheNewOne(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", no)
		old := Event{ContainerID: id, PID: d.store.instances[id].PID, Exit: &Exit{Code: 9, Time: time.Now()}}
		require.NoError(t, d.s.Restart(t.Context(), "temp"))
		d.engine.events <- old
		synctest.Wait()
		require.Equal(t, Running, d.state("temp").Status.Runtime)
		require.Equal(t, 1, d.table.Len())
	})
}

func TestARestartWhoseStartFailsIsTriedAgainByThePolicy(t *testing.T) {
	for policy, runs := range map[RestartPolicy]bool{always: true, no: false} {
		t.Run(policy.Name, func(t *testing.T) {
			onDevice(t, func(t *testing.T, d *device) {
				id := d.running("temp", policy)
				d.engine.set("task "+id, fmt.Errorf("busy: %w", errdefs.ErrUnavailable))
				require.True(t, errdefs.IsUnavailable(d.s.Restart(t.Context(), "temp")))
				d.engine.set("task "+id, nil)
				after(time.Second)
				require.Equal(t, runs, d.engine.runs(id))
			})
		})
	}
}

// TestAStartWhoseAnswerIsLostLeavesNothingRunning: the process runs, no clean-up can
// remove it, and nobody knows it.
func TestAStartWhoseAnswerIsLostLeavesNothingRunning(t *testing.T) {
	away := fmt.Errorf("away: %w", errdefs.ErrUnavailable)
	for how, end := range map[string]func(t *testing.T, d *device){
		"the engine comes back": func(_ *testing.T, d *device) {
			d.engine.cutStream()
			after(time.Second)
		},
		"its events never stopped": func(*testing.T, *device) { after(reconcileRetry) },
		"it is stopped": func(t *testing.T, d *device) {
			require.NoError(t, d.s.Stop(t.Context(), "temp", true))
		},
	} {
		t.Run(how, func(t *testing.T) {
			onDevice(t, func(t *testing.T, d *device) {
				d.create(spec("temp"))
				after(secondLook + reconcileRetry)
				id := ContainerID("temp", 1)
				d.engine.set("answer "+id, away)
				d.engine.set("deletetask "+id, away)
				require.True(t, errdefs.IsUnavailable(d.s.Start(t.Context(), "temp")))
				require.True(t, d.engine.runs(id))
				require.Zero(t, d.table.Len())
				require.True(t, errdefs.IsUnavailable(d.s.Stop(t.Context(), "temp", true)), "not stopped, as long as it may run")
				d.engine.set("answer "+id, nil)
				d.engine.set("deletetask "+id, nil)
				end(t, d)
				require.False(t, d.engine.runs(id))
				require.NotZero(t, d.j.count("signal "+id+" kill=false"), "it may stop in peace")
				require.Equal(t, Stopped, d.state("temp").Status.Runtime)
				require.NoError(t, d.s.Start(t.Context(), "temp"))
				require.True(t, d.engine.runs(id))
			})
		})
	}
}

func TestAnUpdateDoesNotStartBesideALeftTask(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		d.create(spec("temp"))
		id := ContainerID("temp", 1)
		away := fmt.Errorf("away: %w", errdefs.ErrUnavailable)
		d.engine.set("answer "+id, away)
		d.engine.set("deletetask "+id, away)
		require.Error(t, d.s.Start(t.Context(), "temp"))
		_, err := d.s.Update(t.Context(), spec("temp"), true, nil)
		require.True(t, errdefs.IsUnavailable(err), "%v", err)
		require.False(t, d.engine.has(ContainerID("temp", 2)))
		d.engine.set("deletetask "+id, nil)
		_, err = d.s.Update(t.Context(), spec("temp"), true, nil)
		require.NoError(t, err)
		require.True(t, d.engine.runs(ContainerID("temp", 2)))
	})
}

func TestAGenerationWhoseStartWasLostDoesNotRunBesideTheOld(t *testing.T) {
	away := fmt.Errorf("away: %w", errdefs.ErrUnavailable)
	for how, end := range map[string]func(t *testing.T, d *device){
		"the module is stopped": func(t *testing.T, d *device) { require.NoError(t, d.s.Stop(t.Context(), "temp", true)) },
		"it dies":               func(_ *testing.T, d *device) { d.engine.die(ContainerID("temp", 1), 1) },
		"nothing happens":       func(*testing.T, *device) {},
	} {
		t.Run(how, func(t *testing.T) {
			onDevice(t, func(t *testing.T, d *device) {
				old, next := d.running("temp", RestartPolicy{Name: "always"}), ContainerID("temp", 2)
				for _, call := range []string{"answer ", "deletetask ", "delete ", "signal "} {
					d.engine.set(call+next, away)
				}
				wish := spec("temp")
				wish.Image = "image-of-temp" // and its policy
				_, err := d.s.Update(t.Context(), wish, true, nil)
				require.True(t, errdefs.IsUnavailable(err), "%v", err)
				require.True(t, d.engine.runs(old), "as before")
				require.True(t, d.engine.runs(next), "beside it, as its shim does not answer")
				for _, call := range []string{"answer ", "deletetask ", "delete ", "signal "} {
					d.engine.set(call+next, nil)
				}
				end(t, d)
				after(reconcileRetry)
				require.False(t, d.engine.runs(next))
				require.Equal(t, how != "the module is stopped", d.engine.runs(old))
			})
		})
	}
}

func TestTheLogsOfARunEndWithIt(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", RestartPolicy{Name: "on-failure", MaxRetries: 1})
		st := d.state("temp")
		d.engine.die(id, 1)
		after(time.Second)
		require.False(t, closed(st.Run), "a restart is part of the run")
		d.engine.die(id, 0)
		after(time.Second)
		require.True(t, closed(st.Run))
		require.NoError(t, d.s.Start(t.Context(), "temp"))
		require.False(t, closed(d.state("temp").Run), "a new run is open")
	})
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
