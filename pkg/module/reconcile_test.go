package module

import (
	"context"
	"fmt"
	"maps"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/peer"
)

// place puts a generation into engine and database as an edged before this one
// would have left it.
func (d *device) place(name string, number int64, how string) *Generation {
	g := &Generation{Number: number, Spec: spec(name), ImageDigest: "sha256:x", Created: time.Now().UTC()}
	id := ContainerID(name, number)
	if how == "absent" {
		return g
	}
	d.engine.containers[id] = Container{ID: id, Generation: number, Spec: g.Spec}
	if how == "made" {
		return g
	}
	d.engine.pid++
	task := &fakeTask{pid: d.engine.pid}
	d.engine.tasks[id] = task
	switch how {
	case "parked":
		task.parked = true
	case "exited":
		task.exit = &Exit{Code: 4, Time: time.Now().UTC()}
	case "unrecorded":
		return g
	case "gone":
		delete(d.engine.tasks, id)
	}
	d.store.instances[id] = peer.Instance{Module: name, Generation: number, ContainerID: id, Paths: []string{"/edged/" + id}, PID: task.pid}
	return g
}

// TestWhatACrashLeft is every phase of a record against what the crash left in the
// engine: what is there afterwards.
func TestWhatACrashLeft(t *testing.T) {
	for _, tc := range []struct {
		name          string
		phase         Phase
		current, next string // see place; next empty: none
		wanted        bool
		image         string // of the current generation: its policy
		there         bool
		generation    int64
		runs          bool
		status        Runtime
		code          int  // -1: no exit
		stopped       bool // the old generation was stopped for the update
	}{
		{"create: before the container", PhaseCreating, "absent", "", false, "no", false, 0, false, "", -1, false},
		{"create: behind the container", PhaseCreating, "made", "", false, "no", false, 0, false, "", -1, false},
		{"nothing under way, stopped", PhaseReady, "made", "", false, "no", true, 1, false, Stopped, -1, false},
		{"nothing under way, running", PhaseReady, "running", "", true, "no", true, 1, true, Running, -1, false},
		{"start: parked before its first instruction", PhaseReady, "parked", "", true, "no", true, 1, false, Failed, 255, false},
		{"start: parked, to run always", PhaseReady, "parked", "", true, "always", true, 1, true, Running, 255, false},
		{"start: its answer was lost, and the clean-up failed", PhaseReady, "unrecorded", "", false, "always", true, 1, false, Stopped, -1, false},
		{"ended while edged was away", PhaseReady, "exited", "", true, "no", true, 1, false, Failed, 4, false},
		{"ended while edged was away, to run always", PhaseReady, "exited", "", true, "always", true, 1, true, Running, 4, false},
		{"gone without a code", PhaseReady, "gone", "", true, "no", true, 1, false, Failed, 255, false},
		{"gone without a code, to run on failure", PhaseReady, "gone", "", true, "on-failure", true, 1, true, Running, 255, false},
		{"stop: written, not yet signalled", PhaseReady, "running", "", false, "always", true, 1, true, Running, -1, false},
		{"the container is lost", PhaseReady, "absent", "", false, "no", true, 1, false, Stopped, -1, false},
		{"update: before the next container", PhaseUpdating, "running", "absent", true, "no", true, 1, true, Running, -1, false},
		{"update: both made, the old runs", PhaseUpdating, "running", "made", true, "no", true, 1, true, Running, -1, false},
		{"update: of a stopped one", PhaseUpdating, "made", "made", false, "no", true, 1, false, Stopped, -1, false},
		{"update: the old was stopped", PhaseUpdating, "made", "made", true, "no", true, 1, true, Running, 143, true},
		{"update: the old was stopped, the next parked", PhaseUpdating, "made", "parked", true, "no", true, 1, true, Running, 255, true},
		{"update: the next parked", PhaseUpdating, "made", "parked", true, "always", true, 1, true, Running, 255, false},
		{"update: the next runs", PhaseUpdating, "made", "running", true, "no", true, 2, true, Running, -1, false},
		{"update: the next ended", PhaseUpdating, "made", "exited", true, "no", true, 1, false, Failed, 255, false},
		{"delete: begun, it runs", PhaseDeleting, "running", "", false, "always", false, 0, false, "", -1, false},
		{"delete: begun, it is gone", PhaseDeleting, "gone", "", false, "always", false, 0, false, "", -1, false},
		{"delete: the container is gone", PhaseDeleting, "absent", "", false, "always", false, 0, false, "", -1, false},
		{"delete: of an update", PhaseDeleting, "made", "made", false, "no", false, 0, false, "", -1, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDevice(t)
				for _, p := range []string{"no", "always", "on-failure"} {
					d.engine.policy(p, RestartPolicy{Name: p})
				}
				rec := Record{Name: "temp", Phase: tc.phase, Wanted: tc.wanted, Current: *d.place("temp", 1, tc.current)}
				rec.Current.Spec.Image = tc.image
				if tc.next != "" {
					rec.Next = d.place("temp", 2, tc.next)
				}
				if len(d.store.instances) > 0 {
					rec.Start = time.Now().UTC()
				}
				if tc.stopped {
					rec.Exit = &Exit{Code: 143, Time: time.Now().UTC(), Resume: true}
				}
				d.store.records["temp"] = rec
				d.boot(false)
				defer d.shutDown()
				after(time.Second)
				if !tc.there {
					d.absent("temp")
					require.Empty(t, d.store.records)
					require.Empty(t, d.engine.containers)
					require.Zero(t, d.table.Len())
					require.Empty(t, d.sockets.there)
					d.create(spec("temp"))
					return
				}
				st := d.state("temp")
				require.Equal(t, tc.status, st.Status.Runtime, st.Status.Description)
				require.Equal(t, tc.generation, st.Generation)
				require.Equal(t, tc.runs, d.engine.runs(ContainerID("temp", tc.generation)))
				require.Len(t, d.engine.containers, 1)
				if tc.code < 0 {
					require.Nil(t, st.Status.Exit)
				} else {
					require.Equal(t, tc.code, st.Status.Exit.Code)
				}
				kept, _ := d.store.record("temp")
				require.Equal(t, PhaseReady, kept.Phase)
				require.Nil(t, kept.Next)
				require.Equal(t, tc.runs, d.table.Len() == 1)
				require.Equal(t, tc.runs, len(d.store.instances) == 1)
			})
		})
	}
}

func TestARunningModuleIsKnownBeforeTheEngineIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.store.records["temp"] = Record{Name: "temp", Phase: PhaseReady, Wanted: true, Current: *d.place("temp", 1, "running")}
		d.engine.set("events", fmt.Errorf("containerd is away: %w", errdefs.ErrUnavailable))
		d.boot(false)
		defer d.shutDown()
		require.Equal(t, 1, d.table.Len())
		require.Contains(t, d.sockets.there, "temp")
		require.Equal(t, Running, d.state("temp").Status.Runtime)
	})
}

func TestAQuestionAboutADoubtfulRunWaitsFiveSecondsAtMost(t *testing.T) {
	for _, back := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			d := newDevice(t)
			d.store.records["temp"] = Record{Name: "temp", Phase: PhaseReady, Wanted: true, Start: time.Now(), Current: *d.place("temp", 1, "exited")}
			d.engine.set("events", fmt.Errorf("containerd is away: %w", errdefs.ErrUnavailable))
			d.boot(false)
			defer d.shutDown()
			if back {
				time.AfterFunc(time.Second, func() { d.engine.set("events", nil) })
			}
			begun := time.Now()
			st := d.state("temp")
			if back {
				require.Equal(t, Failed, st.Status.Runtime)
				require.Equal(t, 4, st.Status.Exit.Code)
				require.Less(t, time.Since(begun), 4*time.Second)
			} else {
				require.Equal(t, Unknown, st.Status.Runtime)
				require.Equal(t, 5*time.Second, time.Since(begun))
				d.state("temp")
				require.Equal(t, 5*time.Second, time.Since(begun), "once")
			}
		})
	}
}

func TestAStartThatSettlesADoubtEndsTheWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.store.records["temp"] = Record{Name: "temp", Phase: PhaseReady, Wanted: true, Current: *d.place("temp", 1, "gone")}
		d.engine.set("events", fmt.Errorf("no events: %w", errdefs.ErrUnavailable))
		d.boot(false)
		defer d.shutDown()
		require.NoError(t, d.s.Start(t.Context(), "temp"))
		begun := time.Now()
		require.Equal(t, Running, d.state("temp").Status.Runtime)
		require.Zero(t, time.Since(begun))
	})
}

func TestAPowerCutBringsBackWhatRan(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		ran := map[string]RestartPolicy{"a-no": no, "b-always": always, "c-on-failure": {Name: "on-failure"}, "d-retries": {Name: "on-failure", MaxRetries: 1}}
		for name, policy := range ran {
			d.running(name, policy)
		}
		d.running("stopped", always)
		require.NoError(t, d.s.Stop(t.Context(), "stopped", false))
		ended := d.running("ended", no)
		d.engine.die(ended, 0)
		synctest.Wait()
		d.create(spec("never-started"))
		d.reboot()
		after(time.Second)
		for name := range ran {
			require.True(t, d.engine.runs(ContainerID(name, 1)), name)
			require.Equal(t, Running, d.state(name).Status.Runtime)
			require.True(t, d.state(name).Status.Exit.Lost)
		}
		for _, name := range []string{"stopped", "ended", "never-started"} {
			require.False(t, d.engine.runs(ContainerID(name, 1)), name)
		}
		require.Equal(t, Stopped, d.state("ended").Status.Runtime)
	})
}

func TestASecondStartOfEdgedInOneBootIsNoPowerCut(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", no)
		d.shutDown()
		require.True(t, d.engine.runs(id), "modules run on")
		d.boot(false)
		require.Equal(t, Running, d.state("temp").Status.Runtime)
		require.Equal(t, 1, d.j.count("start "+id))
		require.Equal(t, 1, d.table.Len())
	})
}

func TestARestartThatWasDueIsMadeUpForAfterAStart(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", always)
		d.engine.die(id, 1)
		synctest.Wait()
		d.shutDown()
		d.boot(false)
		require.True(t, d.engine.runs(id))
	})
}

func TestEventsThatWereMissedAreMadeUpFor(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", always)
		gone := d.running("gone", no)
		d.engine.set("events", fmt.Errorf("away: %w", errdefs.ErrUnavailable))
		d.engine.cutStream()
		synctest.Wait()
		d.engine.mu.Lock()
		d.engine.tasks[id].exit = &Exit{Code: 6, Time: time.Now().UTC()}
		delete(d.engine.tasks, gone)
		d.engine.mu.Unlock()
		d.engine.set("events", nil)
		after(5 * time.Second)
		require.True(t, d.engine.runs(id))
		require.Equal(t, 6, d.state("temp").Status.Exit.Code)
		st := d.state("gone")
		require.True(t, st.Status.Exit.Lost)
		require.Equal(t, "ended while edged or its engine was away, exit code unknown", st.Status.Description)
	})
}

func TestContainersThatNobodyKnowsAreRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.place("stray", 3, "unrecorded")
		d.boot(false)
		defer d.shutDown()
		require.Empty(t, d.engine.containers)
		require.Empty(t, d.s.List(t.Context()))
		require.Equal(t, 1, d.j.count("cleanup"))
	})
}

func TestAContainerThatCannotBeMadeAgainIsDeadUntilItCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.store.records["temp"] = Record{Name: "temp", Phase: PhaseReady, Wanted: true, Current: *d.place("temp", 1, "absent"), Exit: &Exit{Resume: true, Lost: true, Code: 255}}
		d.engine.set("create", fmt.Errorf("image is not here: %w", errdefs.ErrInvalidArgument))
		d.boot(true)
		defer d.shutDown()
		st := d.state("temp")
		require.Equal(t, Dead, st.Status.Runtime)
		require.Contains(t, st.Status.Description, "image is not here")
		d.engine.set("create", nil)
		d.s.Compare(t.Context())
		synctest.Wait()
		require.Equal(t, Running, d.state("temp").Status.Runtime, "the image came with the preload: it runs as it did before the cut")
	})
}

func TestCleanUpWaitsForEveryModule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.store.records["temp"] = Record{Name: "temp", Phase: PhaseReady, Current: *d.place("temp", 1, "made")}
		d.open(false)
		defer d.shutDown()
		release := d.occupy("temp")
		d.s.Run()
		synctest.Wait()
		require.False(t, closed(d.s.Reconciled()))
		require.Zero(t, d.j.count("cleanup"))
		close(release)
		synctest.Wait()
		require.True(t, closed(d.s.Reconciled()))
		require.Equal(t, 1, d.j.count("cleanup"))
		require.Equal(t, 1, d.j.count("modules [temp]"), "what belongs to these stays")
	})
}

func TestACleanUpThatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.engine.fail["cleanup"] = fmt.Errorf("containerd is away: %w", errdefs.ErrUnavailable)
		d.boot(false)
		defer d.shutDown()
		require.Equal(t, 1, d.j.count("cleanup"))
		d.s.Compare(t.Context())
		after(reconcileRetry + time.Second)
		require.Equal(t, 2, d.j.count("cleanup"))
		d.engine.set("cleanup", nil)
		after(2 * reconcileRetry)
		require.Equal(t, 3, d.j.count("cleanup"), "it has succeeded")
		after(time.Hour)
		require.Equal(t, 4, d.j.count("cleanup"), "once more for what came late, and then it is over")
		d.s.Compare(t.Context())
		after(time.Hour)
		require.Equal(t, 4, d.j.count("cleanup"))
	})
}

// TestAContainerMadeDuringAComparisonIsNotMadeAgain: when the engine was asked it was
// not there, and when its worker comes to compare, it is.
func TestAContainerMadeDuringAComparisonIsNotMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.boot(false)
		defer d.shutDown()
		d.engine.mu.Lock()
		d.engine.fills = time.Second
		d.engine.mu.Unlock()
		made := make(chan error, 1)
		go func() {
			_, err := d.s.Create(t.Context(), spec("temp"))
			made <- err
		}()
		synctest.Wait()
		d.s.Compare(t.Context())
		require.NoError(t, <-made)
		after(time.Hour)
		require.Equal(t, 1, d.j.count("create "+ContainerID("temp", 1)))
	})
}

// TestWhatAKilledEdgedAskedForAndCameLateIsRemoved: a container whose making was asked
// for just before the crash comes about after the first comparison.
func TestWhatAKilledEdgedAskedForAndCameLateIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.boot(false)
		defer d.shutDown()
		require.Equal(t, 1, d.j.count("cleanup"))
		d.engine.mu.Lock()
		d.place("temp", 1, "made")
		d.engine.mu.Unlock()
		after(secondLook + time.Second)
		require.Empty(t, d.engine.containers)
		require.Equal(t, 2, d.j.count("cleanup"))
	})
}

func TestACreateThatCannotBeUndoneIsUndoneLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.store.records["temp"] = Record{Name: "temp", Phase: PhaseCreating, Current: *d.place("temp", 1, "made")}
		d.engine.fail["delete"] = fmt.Errorf("its file system is busy: %w", errdefs.ErrUnavailable)
		d.boot(false)
		defer d.shutDown()
		_, err := d.s.Get(t.Context(), "temp")
		require.True(t, errdefs.IsNotFound(err), "nobody was answered, so nobody sees it")
		_, err = d.s.Create(t.Context(), spec("temp"))
		require.True(t, errdefs.IsUnavailable(err), "%v: its remains are in the way", err)
		d.engine.set("delete", nil)
		after(2 * reconcileRetry)
		require.Empty(t, d.store.records)
		require.Empty(t, d.engine.containers)
	})
}

func TestADeleteThatFailsInTheMiddleIsFinishedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.store.records["temp"] = Record{Name: "temp", Phase: PhaseReady, Current: *d.place("temp", 1, "made")}
		d.boot(false)
		defer d.shutDown()
		d.engine.set("delete", fmt.Errorf("containerd is away: %w", errdefs.ErrUnavailable))
		require.True(t, errdefs.IsUnavailable(d.s.Delete(t.Context(), "temp")))
		d.engine.set("delete", nil)
		after(2 * reconcileRetry)
		require.Empty(t, d.store.records)
		require.Empty(t, d.engine.containers)
	})
}

// TestWhatABackupKnowsIsMadeAnew: the database is brought back, and the engine has what
// has become of the modules since.
func TestWhatABackupKnowsIsMadeAnew(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		on, off, over := d.running("on", no), d.running("off", always), d.running("over", no)
		require.NoError(t, d.s.Stop(t.Context(), "off", false))
		records, instances := maps.Clone(d.store.records), maps.Clone(d.store.instances)
		// Since then:
		require.NoError(t, d.s.Start(t.Context(), "off"))
		d.engine.die(over, 3)
		late := d.running("late", always)
		synctest.Wait()
		d.shutDown()
		d.store.records, d.store.instances = records, instances
		pid := d.engine.tasks[on].pid

		d.restored = true
		d.engine.deaf[off] = true
		d.boot(false)
		after(time.Minute)
		require.Equal(t, 1, d.j.count("signal "+on+" kill=false"), "it can put its volumes in order")
		require.NotEqual(t, pid, d.engine.tasks[on].pid, "what it has mounted is of before")
		require.Equal(t, 2, d.j.count("create "+on))
		require.Equal(t, Running, d.state("on").Status.Runtime)
		require.False(t, d.engine.runs(off), "it did not run then")
		require.Equal(t, 2, d.j.count("create "+off), "what it would run may be another's spec")
		require.Equal(t, Running, d.state("over").Status.Runtime, "it ran then")
		require.NotContains(t, d.engine.containers, late)
		require.Equal(t, 2, d.table.Len())
	})
}

// TestWhatWasMadeForOtherFoldersIsMadeAnew: what a container has mounted is where edged's home was.
func TestWhatWasMadeForOtherFoldersIsMadeAnew(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		on, off, over, same := d.running("on", no), d.running("off", always), d.running("over", no), d.running("same", always)
		require.NoError(t, d.s.Stop(t.Context(), "off", false))
		synctest.Wait() // the rest of the stop
		pid, untouched := d.engine.tasks[on].pid, d.engine.tasks[same].pid
		d.shutDown()
		d.engine.die(over, 3)
		for _, id := range []string{on, off, over} {
			d.engine.elsewhere[id] = true
		}
		d.boot(false)
		after(time.Minute)
		require.Equal(t, 1, d.j.count("signal "+on+" kill=false"), "it can put its volumes in order")
		require.NotEqual(t, pid, d.engine.tasks[on].pid)
		require.Equal(t, Running, d.state("on").Status.Runtime, "although its policy would not have it again")
		require.False(t, d.engine.runs(off))
		require.Equal(t, 3, d.state("over").Status.Exit.Code, "it ended by itself")
		for _, id := range []string{on, off, over} {
			require.Equal(t, 2, d.j.count("create "+id), "%s, once", id)
		}
		require.Equal(t, untouched, d.engine.tasks[same].pid)
		require.Equal(t, 2, d.table.Len())
	})
}

func TestAStartBeforeTheComparisonStartsNothingOfAnotherTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.store.records["temp"] = Record{Name: "temp", Phase: PhaseReady, Current: *d.place("temp", 1, "made")}
		d.engine.set("events", fmt.Errorf("no events: %w", errdefs.ErrUnavailable))
		d.restored = true
		d.boot(false)
		defer d.shutDown()
		require.NoError(t, d.s.Start(t.Context(), "temp"))
		require.Equal(t, 1, d.j.count("create "+ContainerID("temp", 1)))
		d.engine.set("events", nil)
		after(5 * time.Second)
		require.Equal(t, 1, d.j.count("create "+ContainerID("temp", 1)), "once")
		require.Equal(t, Running, d.state("temp").Status.Runtime)
	})
}

// TestTheImageOfAContainerThatIsGoneIsFetched: a device that takes another's place has the
// database and nothing else.
func TestTheImageOfAContainerThatIsGoneIsFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		id := ContainerID("temp", 1)
		var pulls atomic.Int32
		var away atomic.Bool
		away.Store(true)
		rec := Record{Name: "temp", Phase: PhaseReady, Wanted: true, Current: *d.place("temp", 1, "absent"), Exit: &Exit{Resume: true, Lost: true, Code: 255}}
		rec.Current.Spec.PullPolicy = PullOnCreate
		d.store.records["temp"] = rec
		d.engine.fail["create "+id] = fmt.Errorf("no such image: %w", errdefs.ErrNotFound)
		d.engine.pull = func(context.Context, string) error {
			if pulls.Add(1); away.Load() {
				return fmt.Errorf("the registry is away: %w", errdefs.ErrUnavailable)
			}
			d.engine.set("create "+id, nil)
			return nil
		}
		d.boot(true)
		defer d.shutDown()
		require.Equal(t, Dead, d.state("temp").Status.Runtime)
		after(time.Hour)
		require.Less(t, pulls.Load(), int32(15), "a registry that is away is not asked all the time")
		require.Greater(t, pulls.Load(), int32(5))
		require.Equal(t, Dead, d.state("temp").Status.Runtime)
		away.Store(false)
		after(fetchMost + time.Second)
		require.Equal(t, Running, d.state("temp").Status.Runtime)
	})
}

func TestAnImageThatNothingMayFetchIsNotFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.store.records["temp"] = Record{Name: "temp", Phase: PhaseReady, Wanted: true, Current: *d.place("temp", 1, "absent")}
		d.engine.fail["create"] = fmt.Errorf("no such image: %w", errdefs.ErrNotFound)
		d.engine.pull = func(context.Context, string) error {
			t.Error("it was asked for")
			return nil
		}
		d.boot(false)
		defer d.shutDown()
		after(time.Minute)
		require.Equal(t, Dead, d.state("temp").Status.Runtime)
	})
}
