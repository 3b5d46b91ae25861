package bundle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

// op does one of the operations by its name.
func (r *rig) op(ctx context.Context, op, key string) error {
	do := map[string]func(context.Context, string) (Key, error){
		"start": r.Start, "stop": r.Stop, "uninstall": r.Uninstall, "refresh": r.Refresh, "update": r.Update,
	}
	_, err := do[op](ctx, key)
	return err
}

func (r *rig) do(op, key string) {
	r.t.Helper()
	require.NoError(r.t, r.op(r.t.Context(), op, key), "%s %s", op, key)
}

// refused is an operation that the framework does not do; it returns what it says.
func (r *rig) refused(op, key, text string) *Refused {
	r.t.Helper()
	err := r.op(r.t.Context(), op, key)
	var failure *Failed
	require.ErrorAs(r.t, err, &failure)
	require.EqualError(r.t, err, text)
	var no *Refused
	require.ErrorAs(r.t, err, &no)
	return no
}

func TestAStartOfWhatRunsStartsItAgain(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		starts := 0
		r.w.activators["a"] = func(context.Context) error { starts++; return nil }
		r.install(jar("a", "1"))
		for i := range 3 {
			r.do("start", "a/1.0.0")
			require.Equal(t, i+1, starts)
		}
		require.Equal(t, "a/1.0.0 ACTIVE*", r.states())
	})
}

func TestAStartTakesThePlaceOfOtherVersions(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.install(jar("a", "1"), jar("a", "2"), jar("b", "1"))
		r.do("start", "b")
		r.do("start", "a/1")
		r.do("start", "a/2")
		require.Equal(t, "a/1.0.0 INSTALLED, a/2.0.0 ACTIVE*, b/1.0.0 ACTIVE*", r.states())
		require.Equal(t, "a/1.0.0, a/2.0.0*, b/1.0.0*", r.wanted())
		r.w.reboot()
		r.connect()
		require.Equal(t, "a/1.0.0 INSTALLED, a/2.0.0 ACTIVE*, b/1.0.0 ACTIVE*", r.states())
		r.settled()
	})
}

func TestAFailedStartIsWantedAndComesUpWithItsProvider(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.install(jar("u", "1", "Import-Package", "p"))
		no := r.refused("start", "u", "Error while starting bundle u/1.0.0")
		require.Equal(t, 4, no.Type)
		require.Contains(t, no.Text, "missing requirement")
		require.Equal(t, "u/1.0.0 INSTALLED*", r.states())
		require.Equal(t, "u/1.0.0*", r.wanted())
		r.install(jar("p", "1", "Export-Package", "p"))
		require.Equal(t, "p/1.0.0 RESOLVED, u/1.0.0 ACTIVE*", r.states(), "its provider is resolved, and not started")
		r.do("stop", "u")
		require.Equal(t, "p/1.0.0 RESOLVED, u/1.0.0 RESOLVED", r.states())
		r.settled()
	})
}

func TestAStartThatWaitsForALaterOneOfItsRequestIsTriedAgain(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		there := false
		r.w.activators["needs"] = func(context.Context) error {
			if !there {
				return exception(5, "no service")
			}
			return nil
		}
		r.w.activators["gives"] = func(context.Context) error { there = true; return nil }
		r.run(jar("needs", "1"), jar("gives", "1"))
		require.Equal(t, "gives/1.0.0 ACTIVE*, needs/1.0.0 ACTIVE*", r.states())
	})
}

func TestTheFirstFailureOfARequestIsTold(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		tries := map[string]int{}
		for _, name := range []string{"x", "y"} {
			r.w.activators[name] = func(context.Context) error { tries[name]++; return exception(5, "not "+name) }
		}
		_, err := r.try(Options{Start: true}, jar("a", "1"), jar("x", "1"), jar("y", "1"))
		require.EqualError(t, err, "Error while starting bundle x/1.0.0")
		require.Equal(t, map[string]int{"x": 1, "y": 1}, tries)
		require.Equal(t, "a/1.0.0 ACTIVE*, x/1.0.0 RESOLVED*, y/1.0.0 RESOLVED*", r.states())
		r.settled()
	})
}

func TestABundleThatStopsItselfIsStartedOnce(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		tries := 0
		r.w.activators["lazy"] = func(context.Context) error { tries++; return nil }
		r.run(jar("lazy", "1"))
		r.w.mu.Lock()
		r.w.all[1].State = Resolved
		r.w.mu.Unlock()
		r.install(jar("b", "1"))
		require.Equal(t, 2, tries)
	})
}

func TestFragmentsAreRefusedByTheFramework(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.install(jar("host", "1"), jar("f", "1", "Fragment-Host", "host"))
		require.Contains(t, r.refused("start", "f", "Error while starting bundle f/1.0.0").Text, "Fragment")
		require.Contains(t, r.refused("stop", "f", "Error while stopping bundle f/1.0.0").Text, "Fragment")
		require.Equal(t, "f/1.0.0, host/1.0.0", r.wanted(), "it is not to be started")
		r.do("start", "host")
		r.do("refresh", "host")
		require.Equal(t, "host/1.0.0 ACTIVE*", strings.Split(r.states(), ", ")[1])
		r.do("refresh", "f")
		require.Equal(t, "f/1.0.0 RESOLVED, host/1.0.0 ACTIVE*", r.states())
		i, err := r.Info(t.Context(), "f/1")
		require.NoError(t, err)
		require.Equal(t, Info{Fragment, Resolved, ""}, i)
		_, err = r.try(Options{Start: true}, jar("f2", "1", "Fragment-Host", "host"), jar("c", "1"))
		require.EqualError(t, err, "Error while starting bundle f2/1.0.0")
		require.Equal(t, "c/1.0.0 ACTIVE*", strings.Split(r.states(), ", ")[0], "others are started all the same")
		r.settled()
	})
}

func TestAStopOfAProviderLeavesItsUsers(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("p", "1", "Export-Package", "p"), jar("u", "1", "Import-Package", "p"))
		r.do("stop", "p")
		require.Equal(t, "p/1.0.0 RESOLVED, u/1.0.0 ACTIVE*", r.states())
		r.do("stop", "p")
		r.w.reboot()
		r.connect()
		require.Equal(t, "p/1.0.0 RESOLVED, u/1.0.0 ACTIVE*", r.states())
		r.settled()
	})
}

func TestAStopThatIsRefusedIsRememberedAllTheSame(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("a", "1"))
		r.w.refuse = func(op, _ string) error {
			if op == "stop" {
				return exception(5, "it throws")
			}
			return nil
		}
		require.Equal(t, "it throws", r.refused("stop", "a", "Error while stopping bundle a/1.0.0").Text)
		r.w.refuse = nil
		require.Equal(t, "a/1.0.0", r.wanted())
		r.connect()
		require.Equal(t, "a/1.0.0 RESOLVED", r.states())
	})
}

func TestAnUninstallMakesUsersAnew(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("p", "1", "Export-Package", "p"), jar("u", "1", "Import-Package", "p"))
		r.do("uninstall", "p/1")
		require.Equal(t, "u/1.0.0 INSTALLED*", r.states())
		r.settled()
		require.Equal(t, 4, r.refused("start", "u", "Error while starting bundle u/1.0.0").Type)
		r.run(jar("p", "1", "Export-Package", "p"))
		require.Equal(t, "p/1.0.0 ACTIVE*, u/1.0.0 ACTIVE*", r.states())
		r.do("uninstall", "p")
		r.do("uninstall", "u")
		require.Empty(t, r.states())
		r.settled()
		require.False(t, r.host.wants(), "there is no bundle any more")
	})
}

func TestAnUpdateMakesUsersAnew(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("p", "1", "Export-Package", "p"), jar("u", "1", "Import-Package", "p"), jar("alone", "1"))
		r.w.calls = nil
		r.do("update", "p")
		require.Equal(t, []string{"wires p 1.0.0", "stop p 1.0.0", "update p 1.0.0", "closure p 1.0.0", "refresh p 1.0.0", "start p 1.0.0"}, r.w.calls)
		require.Equal(t, "alone/1.0.0 ACTIVE*, p/1.0.0 ACTIVE*, u/1.0.0 ACTIVE*", r.states())
		r.w.calls = nil
		r.do("update", "alone")
		require.Equal(t, []string{"wires alone 1.0.0", "update alone 1.0.0"}, r.w.calls)
		r.do("stop", "alone")
		r.do("update", "alone")
		require.Equal(t, "alone/1.0.0 INSTALLED, p/1.0.0 ACTIVE*, u/1.0.0 ACTIVE*", r.states(), "what did not run is not started")
		r.settled()
	})
}

func TestRefusalsSayWhatWasDone(t *testing.T) {
	for op, verb := range map[string]string{"uninstall": "uninstalling", "refresh": "refreshing", "update": "updating"} {
		onDevice(t, func(t *testing.T, r *rig) {
			r.run(jar("a", "1", "Jahia-GroupId", "g"))
			r.w.refuse = func(did, _ string) error {
				if did == op {
					return exception(0, "no")
				}
				return nil
			}
			r.refused(op, "a", "Error while "+verb+" bundle g/a/1.0.0")
			r.w.refuse = nil
			require.Equal(t, "a/1.0.0 ACTIVE*", r.states())
			r.settled()
		})
	}
}

func TestOperationsNeedABundle(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.install(jar("a", "1", "Jahia-GroupId", "g"), jar("a", "2"), jar("b", "1.0.0.x"))
		for _, op := range []string{"start", "stop", "uninstall", "refresh", "update"} {
			for _, key := range []string{"", " "} {
				err := r.op(t.Context(), op, key)
				require.True(t, errdefs.IsInvalidArgument(err))
				require.ErrorContains(t, err, "Bundle key is mandatory for "+op+" operation.")
			}
			for _, key := range []string{"none", "a", "a/3", "a/", "/1.0.0", "b/1.0.0", "b/1.0.0.X", "x/y/z/1", "B", "a/*"} {
				err := r.op(t.Context(), op, key)
				require.True(t, errdefs.IsNotFound(err), "%s %s: %v", op, key, err)
				require.ErrorContains(t, err, "Unable to find a module bundle corresponding to the key: "+key)
			}
		}
		for _, key := range []string{"a/1", "a/1.0", "g/a/1.0.0", "another/a/1.0.0", "b", "b/1.0.0.x"} {
			r.do("start", key)
		}
		r.settled()
	})
}

func TestADeviceWithoutAHostDoesAllButStart(t *testing.T) {
	bare(t, func(t *testing.T, r *rig) {
		r.host.absent = true
		r.install(jar("a", "1"), jar("b", "1", "Jahia-Module-Type", "module"))
		_, err := r.try(Options{Start: true}, jar("c", "1"))
		require.True(t, errdefs.IsUnavailable(err))
		require.ErrorContains(t, err, "there is no OSGi framework on this device: install the package edged-osgi")
		require.True(t, errdefs.IsUnavailable(r.op(t.Context(), "start", "a")))
		require.True(t, errdefs.IsNotFound(r.op(t.Context(), "start", "none")), "404 comes first")
		require.Equal(t, "a/1.0.0*, b/1.0.0, c/1.0.0*", r.wanted())
		states, err := r.StoredStates(t.Context())
		require.NoError(t, err)
		require.Equal(t, 32, states[0].State, "also what cannot be started yet is stored")
		for _, op := range []string{"stop", "refresh", "update"} {
			r.do(op, "c")
		}
		i, err := r.Info(t.Context(), "b/1")
		require.NoError(t, err)
		require.Equal(t, Info{Module, Installed, ModuleInstalled}, i)
		r.install(jar("b", "1", "X", "y"))
		r.do("uninstall", "b")
		r.consistent()

		r.host.absent = false // a package came
		r.connect()
		require.Equal(t, "a/1.0.0 ACTIVE*, c/1.0.0 INSTALLED", r.states())
		r.settled()
	})
}

func TestNothingChangesWhileTheHostIsDown(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("a", "1"))
		r.session0().End()
		wanted, digest := r.wanted(), r.List()[0].Digest
		for _, op := range []string{"start", "stop", "uninstall", "refresh", "update"} {
			begun := time.Now()
			err := r.op(t.Context(), op, "a")
			require.True(t, errdefs.IsUnavailable(err), op)
			require.ErrorContains(t, err, "the OSGi framework does not run: it fell over")
			require.Equal(t, hostPatience, time.Since(begun))
		}
		for _, jars := range [][]byte{jar("a", "1", "X", "y"), jar("b", "1")} {
			_, err := r.try(Options{Start: true}, jars)
			require.True(t, errdefs.IsUnavailable(err))
		}
		_, err := r.Infos(t.Context(), []string{"a/1"})
		require.True(t, errdefs.IsUnavailable(err), "nobody knows")
		require.Equal(t, wanted, r.wanted())
		require.Equal(t, digest, r.List()[0].Digest)
		r.consistent()
		r.connect()
		r.settled()
	})
	bare(t, func(t *testing.T, r *rig) { // also of the first bundle nothing is left
		_, err := r.try(Options{}, jar("a", "1"))
		require.True(t, errdefs.IsUnavailable(err), "%v", err)
		require.Empty(t, r.wanted())
		r.consistent()
		require.False(t, r.host.wants())
	})
}

func TestWhoComesWhileTheHostStartsWaits(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("a", "1"))
		r.session0().End()
		r.w.reboot()
		time.AfterFunc(9*time.Second, func() { r.Connected(r.w.connect()) })
		require.Equal(t, Active, r.state("a/1"))
		r.session0().End()
		time.AfterFunc(40*time.Second, func() { r.Connected(r.w.connect()) })
		r.do("stop", "a")
		require.Equal(t, "a/1.0.0 RESOLVED", r.states())
		r.session0().End()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Error(t, r.op(ctx, "start", "a"))
		_, err := r.Info(ctx, "a/1")
		require.True(t, errdefs.IsUnavailable(err), "%v", err)
		synctest.Wait()
	})
}

func TestAStartThatHangsHoldsUpOthersForAMinute(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.w.activators["h"] = func(ctx context.Context) error { <-ctx.Done(); return nil }
		r.install(jar("h", "1"), jar("a", "1"))
		begun := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			err := r.op(t.Context(), "start", "h")
			require.True(t, errdefs.IsUnavailable(err), "%v", err)
			require.Equal(t, r.StartTimeout, time.Since(begun))
		})
		synctest.Wait()
		require.Equal(t, Starting, r.state("h/1"), "questions wait for nobody")
		require.Zero(t, time.Since(begun))
		wg.Go(func() {
			r.do("start", "a")
			require.Equal(t, r.StartTimeout, time.Since(begun))
		})
		wg.Wait()
		require.Equal(t, "a/1.0.0 ACTIVE*, h/1.0.0 STARTING*", r.states())
		begun = time.Now()
		r.w.reboot0("h")
		r.connect()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.Equal(t, "a/1.0.0 ACTIVE*, h/1.0.0 STARTING*", r.states(), "others come up")
		r.settled()
	})
}

// reboot0 is a reboot in which one bundle does not come up by itself.
func (w *world) reboot0(name string) {
	activator := w.activators[name]
	w.activators[name] = func(context.Context) error { return errors.New("not yet") }
	w.reboot()
	w.activators[name] = activator
}

func TestWhoWaitsTooLongForOthersIsTold(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		require.NoError(t, r.take(t.Context()))
		r.mu.Lock()
		r.rows = newRows([]*Record{{Key: Key{Name: "a", Version: "1.0.0"}}})
		r.mu.Unlock()
		err := r.op(t.Context(), "stop", "a")
		require.True(t, errdefs.IsUnavailable(err))
		require.ErrorContains(t, err, "other changes of bundles take too long")
		r.giveBack()
	})
}

func TestManyAtOnceEndInOneState(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.install(jar("a", "1"), jar("b", "1"))
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				for j, op := range []string{"start", "refresh", "stop", "update", "uninstall"} {
					_ = r.op(t.Context(), op, fmt.Sprintf("%c/1", 'a'+(i+j)%3))
					_, _ = r.try(Options{Start: i%2 == 0}, jar(fmt.Sprintf("%c", 'a'+i%3), "1", "X", fmt.Sprint(j)))
					_, _ = r.Select(t.Context(), All)
					_, _ = r.StoreStates(t.Context())
				}
			})
		}
		wg.Wait()
		r.settled()
	})
}
