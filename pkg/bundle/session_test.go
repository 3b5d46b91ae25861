package bundle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestASessionThatEndsAtAnyStepEndsInWhatIsRemembered ends the session at each call of each
// operation, before it was done and after; the framework goes on, or starts anew.
func TestASessionThatEndsAtAnyStepEndsInWhatIsRemembered(t *testing.T) {
	changed := jar("p", "1", "Export-Package", "p,q")
	for name, do := range map[string]func(r *rig) error{
		"install":            func(r *rig) error { _, err := r.try(Options{}, jar("n", "1"), jar("m", "1")); return err },
		"install and start":  func(r *rig) error { _, err := r.try(Options{Start: true}, jar("n", "1"), jar("a", "3")); return err },
		"install anew":       func(r *rig) error { _, err := r.try(Options{Start: true}, jar("n", "1"), changed); return err },
		"start":              func(r *rig) error { return r.op(context.Background(), "start", "a/2") },
		"start anew":         func(r *rig) error { return r.op(context.Background(), "start", "p") },
		"stop":               func(r *rig) error { return r.op(context.Background(), "stop", "p") },
		"uninstall":          func(r *rig) error { return r.op(context.Background(), "uninstall", "p") },
		"refresh":            func(r *rig) error { return r.op(context.Background(), "refresh", "p") },
		"update":             func(r *rig) error { return r.op(context.Background(), "update", "p") },
		"restore":            func(r *rig) error { _, err := r.RestoreStates(context.Background(), stopAndStart(r)); return err },
		"a session settling": func(r *rig) error { r.disturb(); r.settle1(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			for _, after := range []bool{false, true} {
				for at := 1; ; at++ {
					reached, reboot := false, (at%2 == 0) == after
					onDevice(t, func(t *testing.T, r *rig) {
						r.run(jar("p", "1", "Export-Package", "p"), jar("u", "1", "Import-Package", "p"), jar("a", "1"))
						r.install(jar("a", "2"))
						s := r.session0()
						s.count, s.endAt, s.endAfter = 0, at, after
						settling = func(s *fakeSession) { s.endAt, s.endAfter = at, after }
						err := do(r)
						reached = r.session0().count >= at || s.count >= at
						if reached && name != "a session settling" {
							require.Error(t, err, "at %d", at)
						}
						if reboot {
							r.w.reboot()
						}
						r.connect()
						r.settled()
						for _, a := range r.w.picture() {
							row, _ := r.find(strings.TrimPrefix(a.Location, locationPrefix))
							_, alone := r.find("p")
							if row != nil && row.Started && (row.Name != "u" || alone == nil) {
								require.Equal(t, Active, a.State, "%s at %d", a.Location, at)
							}
						}
					})
					if !reached {
						require.Greater(t, at, 1)
						break
					}
				}
			}
		})
	}
}

// settling prepares the session that settle1 makes.
var settling func(s *fakeSession)

func stopAndStart(r *rig) []PersistentState {
	return []PersistentState{
		{Location: "dx:p/1.0.0", State: persistentStopped, StartLevel: 80}, {Location: "dx:a/2.0.0", State: persistentStarted, StartLevel: 80},
	}
}

// disturb makes the framework have another bundle, other bytes of one, and not a third.
func (r *rig) disturb() {
	for _, s := range r.w.sessions {
		s.End()
	}
	s := r.w.connect()
	ctx := context.Background()
	p := s.Picture()
	other := jar("foreign", "1", "Import-Package", "p")
	a, err := s.Install(ctx, "dx:foreign/1.0.0", strings.NewReader(string(other)), int64(len(other)))
	require.NoError(r.t, err)
	require.NoError(r.t, s.Start(ctx, a.ID))
	require.NoError(r.t, s.Uninstall(ctx, p.ByLocation["dx:u/1.0.0"].ID))
	changed := jar("p", "1", "Export-Package", "p,q")
	_, err = s.Update(ctx, p.ByLocation["dx:p/1.0.0"].ID, strings.NewReader(string(changed)), int64(len(changed)))
	require.NoError(r.t, err)
	require.NoError(r.t, s.Stop(ctx, p.ByLocation["dx:a/1.0.0"].ID, false))
	require.NoError(r.t, s.Start(ctx, p.ByLocation["dx:a/2.0.0"].ID))
	s.End()
}

// settle1 lets a framework connect that is as settling says.
func (r *rig) settle1() {
	s := r.w.connect()
	settling(s)
	r.Connected(s)
	synctest.Wait()
}

func TestAFrameworkIsBroughtToWhatIsRemembered(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("p", "1", "Export-Package", "p"), jar("u", "1", "Import-Package", "p"), jar("a", "1"))
		r.install(jar("a", "2"))
		foreign := jar("own", "1")
		_, err := r.session0().Install(t.Context(), "file:own.jar", strings.NewReader(string(foreign)), int64(len(foreign)))
		require.NoError(t, err)
		before := r.states()
		r.disturb()
		require.NotEqual(t, before, r.states())
		r.connect()
		require.Equal(t, strings.Replace(before, "a/2.0.0 INSTALLED", "a/2.0.0 RESOLVED", 1), r.states())
		r.settled()
		require.True(t, slices.ContainsFunc(r.w.picture(), func(a Actual) bool { return a.Location == "file:own.jar" }), "what did not come through edged is let alone")

		clear(r.w.all) // its storage was lost
		r.w.all[0] = &unit{Actual: Actual{Location: "System Bundle", State: Active}}
		r.connect()
		require.Equal(t, before, r.states())
		r.settled()
	})
}

func TestBytesThatAreNotKnownAreGivenAgain(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("a", "1"))
		r.w.all[1].Digest = ""
		r.connect()
		require.Contains(t, r.w.calls, "update a 1.0.0")
		r.settled()
	})
}

func TestWhatIsRefusedOfOneBundleHoldsUpNoOther(t *testing.T) {
	for op, calls := range map[string]string{"install": "dx:b", "uninstall": "foreign", "refresh": "all", "stop": "a 2", "start": "b 1", "update": "p 1"} {
		t.Run(op, func(t *testing.T) {
			onDevice(t, func(t *testing.T, r *rig) {
				r.run(jar("p", "1", "Export-Package", "p"), jar("u", "1", "Import-Package", "p"), jar("a", "1"), jar("b", "1"), jar("c", "1"))
				r.install(jar("a", "2"))
				r.disturb()
				for id, u := range r.w.all {
					if u.SymbolicName == "b" || u.SymbolicName == "c" {
						delete(r.w.all, id)
					}
				}
				refused := 0
				r.w.refuse = func(did, name string) error {
					if did == op && strings.HasPrefix(name, calls) {
						refused++
						return exception(0, "never")
					}
					return nil
				}
				r.connect()
				require.Positive(t, refused)
				require.True(t, r.isSettled(r.session))
				require.Equal(t, Active, r.state("c/1"))
				r.install(jar("d", "1"))
			})
		})
	}
}

func TestWhatTheFrameworkRefusedWhenItCameUpIsGivenAgainForItsReason(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.install(jar("a", "1"))
		delete(r.w.all, 1)
		r.w.refuse = func(op, _ string) error {
			if op == "install" {
				return exception(3, "it is too ugly")
			}
			return nil
		}
		r.connect()
		require.Equal(t, Uninstalled, r.state("a/1"))
		for _, op := range []string{"start", "stop", "refresh", "update"} {
			err := r.op(t.Context(), op, "a")
			var no *Refused
			require.ErrorAs(t, err, &no, op)
			require.Equal(t, "it is too ugly", no.Text)
		}
		r.w.refuse = nil
		r.do("start", "a")
		require.Equal(t, "a/1.0.0 ACTIVE*", r.states())
		r.settled()
	})
}

func TestAFrameworkThatCouldNotBeSettledIsTriedAgain(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		for i := range 12 {
			name := fmt.Sprint("h", i)
			r.install(jar(name, "1"))
			r.store.mu.Lock()
			row := r.List()[i]
			row.Started = true
			r.store.rows[row.unique()] = *row
			r.store.mu.Unlock()
			r.w.activators[name] = func(ctx context.Context) error { <-ctx.Done(); return nil }
		}
		r.connect()
		time.Sleep(20 * time.Minute) // longer than one try may take
		synctest.Wait()
		require.True(t, r.isSettled(r.session))
		require.Equal(t, 12, strings.Count(r.states(), "STARTING*"))
	})
}

func TestNoStateIsOfASessionThatEnded(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("a", "1"))
		s := r.session0()
		s.End()
		time.AfterFunc(time.Second, func() {
			r.w.reboot0("a")
			r.w.activators["a"] = func(context.Context) error { return exception(5, "not any more") }
			r.Connected(r.w.connect())
		})
		require.Equal(t, Resolved, r.state("a/1"))
	})
}

func TestAFrameworkThatDoesNotAnswerTellsNothing(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("a", "1"))
		r.w.refuse = func(op, _ string) error {
			if op == "ping" {
				return errors.New("not in time")
			}
			return nil
		}
		_, err := r.Info(t.Context(), "a/1")
		require.EqualError(t, err, "not in time")
	})
}
