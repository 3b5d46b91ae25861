package reconcile_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/edged/agent/manifest"
	"github.com/edged/edged/edged/agent/reconcile"
	"github.com/edged/edged/edged/agent/reconcile/reconciletest"
	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/client/wire"
)

// fixture is an agent's half and a device's. A new reconciler on the same memory is
// an agent that was started again.
type fixture struct {
	t      *testing.T
	device reconciletest.Device
	memory reconcile.Memory
	saves  int
	r      *reconcile.Reconciler
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t}
	f.memory.Save = func() { f.saves++ }
	f.restart()
	return f
}

func (f *fixture) restart() {
	f.r = reconcile.New(&f.device, &f.memory, reconcile.Times{Healthy: 100 * time.Millisecond, Stable: time.Millisecond, Look: time.Millisecond}, func(string, ...any) {})
}

// forget is an agent that lost its status folder.
func (f *fixture) forget() {
	f.memory.Modules, f.memory.Revision = nil, ""
	f.restart()
}

func (f *fixture) parse(modules string) *manifest.Deployment {
	f.t.Helper()
	d, err := manifest.Parse([]byte(`{"schemaVersion":"1.1","modules":{`+modules+`}}`), func(string) (string, bool) { return "", false })
	require.NoError(f.t, err)
	return d
}

func (f *fixture) apply(modules string) error {
	f.t.Helper()
	return f.r.Apply(f.t.Context(), f.parse(modules), reconcile.How{})
}

// one is a module in a manifest.
func one(name, image, more string) string {
	return fmt.Sprintf(`%q:{"settings":{"image":%q}%s}`, name, image, more)
}

func TestANewDeviceIsMadeInStartupOrder(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.apply(one("late", "i", "")+","+one("off", "i", `,"status":"stopped","startupOrder":2`)+","+one("first", "i", `,"startupOrder":1`)))
	require.Equal(t, []string{"prepare first", "prepare off", "prepare late", "create first", "start first", "create off", "create late", "start late"}, f.device.Calls())
	require.Equal(t, "first=running late=running off=stopped", f.device.State())
}

func TestWhatIsAsItShallBeIsLeftAlone(t *testing.T) {
	modules := one("a", "i", `,"env":{"K":{"value":"V"}}`) + "," + one("b", "i", `,"status":"stopped"`)
	for name, change := range map[string]func(f *fixture){
		"the same agent":                   func(*fixture) {},
		"an agent that was started again":  func(f *fixture) { f.restart() },
		"another text that means the same": func(*fixture) { modules += " " },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			require.NoError(t, f.apply(modules))
			f.device.Calls()
			change(f)
			saves := f.saves
			require.NoError(t, f.apply(modules))
			require.NoError(t, f.apply(modules))
			require.Empty(t, f.device.Calls())
			require.LessOrEqual(t, f.saves-saves, 1, "a comparison without a change wears the flash")
		})
	}
}

func TestALostMemoryMakesNothingAnew(t *testing.T) {
	f := newFixture(t)
	modules := one("a", "i", `,"env":{"K":{"value":"V"}}`) + "," + one("b", "i", `,"status":"stopped"`)
	require.NoError(t, f.apply(modules))
	f.device.Calls()
	f.forget()
	require.NoError(t, f.apply(modules))
	require.Equal(t, []string{"stop b"}, f.device.Calls())
	require.NoError(t, f.apply(modules))
	require.Empty(t, f.device.Calls())
}

func TestAnEdgedThatWordsAModuleInItsOwnWayIsUnderstood(t *testing.T) {
	f := newFixture(t)
	f.device.Word = func(m *wire.Module) {
		m.Config.Settings.CreateOptions = json.RawMessage(`{"HostConfig":{"Extra":1}}`)
		m.Config.Settings.ImageHash = "sha256:1"
	}
	require.NoError(t, f.apply(one("a", "i", "")))
	f.device.Calls()
	f.restart()
	require.NoError(t, f.apply(one("a", "i", "")))
	require.Empty(t, f.device.Calls())
}

func TestAChangeIsAnUpdateOfThatModuleAlone(t *testing.T) {
	for name, changed := range map[string]string{
		"image":   one("a", "i:2", ""),
		"env":     one("a", "i:1", `,"env":{"K":{"value":"V"}}`),
		"policy":  one("a", "i:1", `,"restartPolicy":"never"`),
		"socket":  `"a":{"settings":{"image":"i:1","management":true}}`,
		"options": `"a":{"settings":{"image":"i:1","createOptions":{"Cmd":["x"]}}}`,
		"type":    one("a", "i:1", `,"type":"containerd"`),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			require.NoError(t, f.apply(one("a", "i:1", "")+","+one("b", "i:1", "")))
			f.device.Calls()
			require.NoError(t, f.apply(changed+","+one("b", "i:1", "")))
			require.Equal(t, []string{"prepare a", "update a start"}, f.device.Calls())
			require.NoError(t, f.apply(changed+","+one("b", "i:1", "")))
			require.Empty(t, f.device.Calls())
		})
	}
}

func TestWhatNoContainerIsMadeFromIsNoChange(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.apply(one("a", "i", "")))
	f.device.Calls()
	require.NoError(t, f.apply(one("a", "i", `,"imagePullPolicy":"never","startupOrder":3,"version":"2"`)))
	require.Empty(t, f.device.Calls())
}

func TestModulesThatAreNotWantedGoFirstAndTheAgentStays(t *testing.T) {
	f := newFixture(t)
	f.device.Become("edgeAgent", "running")
	f.device.Become("z", "stopped")
	f.device.Become("old", "running")
	require.NoError(t, f.apply(one("new", "i", "")))
	require.Equal(t, []string{"prepare new", "delete old", "delete z", "create new", "start new"}, f.device.Calls())
	require.Equal(t, "edgeAgent=running new=running", f.device.State())
}

func TestStatusIsCommandedWhenItChanges(t *testing.T) {
	f := newFixture(t)
	run, stop := one("a", "i", ""), one("a", "i", `,"status":"stopped"`)
	require.NoError(t, f.apply(run))
	f.device.Calls()
	require.NoError(t, f.apply(stop))
	require.Equal(t, []string{"stop a"}, f.device.Calls())
	require.NoError(t, f.apply(run))
	require.Equal(t, []string{"start a"}, f.device.Calls())
	// Between two tries of its restart policy a module is down, and yet has to be stopped.
	f.device.Become("a", "failed")
	require.NoError(t, f.apply(stop))
	require.Equal(t, []string{"stop a"}, f.device.Calls())
}

func TestAModuleThatIsDownIsLeftToItsPolicyAndToOperators(t *testing.T) {
	for _, tc := range []struct {
		policy, status string
		again          []string
	}{
		{"never", "stopped", nil},
		{"never", "failed", nil},
		{"on-failure", "stopped", nil},
		{"always", "stopped", []string{"start a"}},
	} {
		f := newFixture(t)
		a := one("a", "i", `,"restartPolicy":"`+tc.policy+`"`)
		require.NoError(t, f.apply(a))
		f.device.Become("a", tc.status)
		f.device.Calls()
		require.NoError(t, f.apply(a))
		f.restart()
		require.NoError(t, f.apply(a))
		require.Empty(t, f.device.Calls(), "within a revision")
		require.NoError(t, f.apply(a+"  "))
		require.Equal(t, tc.again, f.device.Calls(), "%s %s with a new revision", tc.policy, tc.status)
	}
}

func TestAModuleThatVanishedIsMadeAgain(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.apply(one("a", "i", "")))
	require.NoError(t, f.device.Delete(t.Context(), "a"))
	f.device.Calls()
	require.NoError(t, f.apply(one("a", "i", "")))
	require.Equal(t, []string{"prepare a", "create a", "start a"}, f.device.Calls())
}

// failing makes the calls of a map fail.
func failing(fails map[string]error) func(context.Context, string) error {
	return func(_ context.Context, call string) error { return fails[call] }
}

func TestNothingIsChangedWhenOneImageCannotBeHad(t *testing.T) {
	f := newFixture(t)
	f.device.Become("old", "running")
	no := &client.Error{Status: 400, Message: "no such image"}
	f.device.Fail(failing(map[string]error{"prepare b": no}))
	err := f.apply(one("a", "i", "") + "," + one("b", "i", "") + "," + one("c", "i", ""))
	var failure *reconcile.Failure
	require.ErrorAs(t, err, &failure)
	require.EqualError(t, err, "module b: cannot prepare: no such image")
	require.Equal(t, []string{"prepare a", "prepare b", "prepare c"}, f.device.Calls())
	require.Len(t, failure.Modules, 1)
	require.ErrorIs(t, failure.Modules["b"], no)
}

func TestAModuleThatFailsDoesNotKeepTheOthersBack(t *testing.T) {
	f := newFixture(t)
	f.device.Fail(failing(map[string]error{"start a": &client.Error{Status: 409, Message: "port 80 is taken"}}))
	modules := one("a", "i", `,"startupOrder":1`) + "," + one("b", "i", "")
	err := f.apply(modules)
	require.EqualError(t, err, "module a: cannot start: port 80 is taken")
	require.Equal(t, "a=stopped b=running", f.device.State())
	f.device.Calls()
	f.device.Fail(nil)
	require.NoError(t, f.apply(modules))
	require.Equal(t, []string{"start a"}, f.device.Calls())
}

func TestAnUpdateThatEdgedCallsWrongIsNotTriedAgain(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.apply(one("a", "i:1", "")))
	f.device.Calls()
	f.device.Fail(failing(map[string]error{"update a start": &client.Error{Status: 400, Message: "no such executable"}}))
	bad := one("a", "i:2", "")
	require.ErrorContains(t, f.apply(bad), "no such executable")
	require.Equal(t, []string{"prepare a", "update a start"}, f.device.Calls())
	require.ErrorContains(t, f.apply(bad+","+one("b", "i", "")), "no such executable")
	require.Equal(t, []string{"prepare b", "create b", "start b"}, f.device.Calls())
	f.device.Fail(nil)
	require.NoError(t, f.apply(one("a", "i:3", "")+","+one("b", "i", "")))
	require.Equal(t, []string{"prepare a", "update a start"}, f.device.Calls())
}

func TestAnUpdateThatFailsForNowIsTriedAgain(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.apply(one("a", "i:1", "")))
	for _, status := range []int{409, 500, 503} {
		f.device.Calls()
		f.device.Fail(failing(map[string]error{"update a start": &client.Error{Status: status, Message: "x"}}))
		for range 2 {
			require.Error(t, f.apply(one("a", "i:2", "")))
			require.Equal(t, []string{"prepare a", "update a start"}, f.device.Calls())
		}
	}
}

func TestWithoutEdgedNothingMoreIsAsked(t *testing.T) {
	gone := &client.UnreachableError{Path: "/s", Err: errors.New("connection refused")}
	for _, call := range []string{"list", "prepare a", "create a"} {
		f := newFixture(t)
		f.device.Fail(failing(map[string]error{call: gone}))
		err := f.apply(one("a", "i", "") + "," + one("b", "i", ""))
		require.True(t, errdefs.IsUnavailable(err))
		require.NotContains(t, f.device.Calls(), "create b")
	}
}

func TestACancelledDeploymentStops(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.device.Fail(func(_ context.Context, call string) error {
		if call == "create a" {
			cancel()
		}
		return nil
	})
	err := f.r.Apply(ctx, f.parse(one("a", "i", "")+","+one("b", "i", "")), reconcile.How{})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []string{"prepare a", "prepare b", "create a"}, f.device.Calls())
}

func TestRemovingWhatIsGoneAlreadyIsDone(t *testing.T) {
	f := newFixture(t)
	f.device.Become("old", "running")
	f.device.Fail(failing(map[string]error{"delete old": &client.Error{Status: 404}}))
	require.NoError(t, f.apply(""))
}

func TestIdentitiesComeBeforeModulesAndGoWhenTheDeploymentIsGood(t *testing.T) {
	f := newFixture(t)
	_, err := f.device.CreateIdentity(t.Context(), "other", "somebody")
	require.NoError(t, err)
	f.device.Fail(failing(map[string]error{"prepare a": errors.New("later")}))
	require.Error(t, f.apply(one("a", "i", "")+","+one("$b", "i", "")))
	ids, err := f.device.Identities(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"$b", "a", "other"}, []string{ids[0].ModuleID, ids[1].ModuleID, ids[2].ModuleID})
	f.device.Fail(nil)
	d := f.parse(one("a", "i", ""))
	require.NoError(t, f.r.Apply(t.Context(), d, reconcile.How{}))
	ids, _ = f.device.Identities(t.Context())
	require.Len(t, ids, 3, "they wait until it is the good one")
	require.NoError(t, f.r.Apply(t.Context(), d, reconcile.How{Good: true}))
	ids, _ = f.device.Identities(t.Context())
	require.Equal(t, []string{"a", "other"}, []string{ids[0].ModuleID, ids[1].ModuleID})
}

func TestALaterOrderWaitsForTheEarlierOnesHealth(t *testing.T) {
	f := newFixture(t)
	f.device.Word = func(m *wire.Module) { m.Status.RuntimeStatus.Health = "starting" }
	asked := 0
	f.device.Fail(func(_ context.Context, call string) error {
		if call == "list" {
			if asked++; asked == 5 {
				f.device.Healthy("a", "healthy")
			}
		}
		if call == "create b" {
			require.GreaterOrEqual(t, asked, 5)
		}
		return nil
	})
	err := f.apply(one("a", "i", `,"startupOrder":1`) + "," + one("b", "i", `,"startupOrder":2`))
	require.EqualError(t, err, "module b: not healthy within 100ms: it is running")
	var failure *reconcile.Failure
	require.ErrorAs(t, err, &failure)
	require.True(t, failure.Final)
}

func TestWhatEndsWellIsHealthyWhenItNeedNotRunForEver(t *testing.T) {
	for _, tc := range []struct {
		policy, status, code string
		well                 bool
	}{
		{"never", "stopped", "0", true},
		{"on-failure", "stopped", "0", true},
		{"always", "stopped", "0", false},
		{"never", "failed", "3", false},
		{"on-failure", "failed", "3", false},
	} {
		f := newFixture(t)
		f.device.Fail(func(_ context.Context, call string) error {
			if call == "list" && f.memory.Modules["a"].Run {
				f.device.End("a", tc.status, tc.code)
			}
			return nil
		})
		err := f.apply(one("a", "i", `,"restartPolicy":"`+tc.policy+`"`))
		require.Equal(t, tc.well, err == nil, "%+v: %v", tc, err)
	}
}
