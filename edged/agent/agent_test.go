package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/edged/agent/reconcile"
	"github.com/edged/edged/edged/agent/reconcile/reconciletest"
	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/deployment"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	twoModules = `{"schemaVersion":"1.1","modules":{"a":{"settings":{"image":"i"}},"b":{"status":"stopped","settings":{"image":"i"}}}}`
	oneModule  = `{"schemaVersion":"1.1","modules":{"a":{"settings":{"image":"i"}}}}`
)

// settled is more than the modules of a fixture need to become healthy.
const settled = 100 * time.Millisecond

// fixture runs an agent in the test's own time.
type fixture struct {
	t               *testing.T
	desired, status string
	device          reconciletest.Device
	log             *logrus.Logger
	hook            *logtest.Hook
	changes         chan struct{}
	stop            func()
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, desired: t.TempDir(), status: t.TempDir(), changes: make(chan struct{}, 1)}
	f.log, f.hook = logtest.NewNullLogger()
	return f
}

// run starts an agent; stop, or the end of the test, ends it.
func (f *fixture) run() {
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan struct{})
	a := newAgent(settings{
		desired: f.desired, status: f.status, api: &f.device, lookup: os.LookupEnv, log: f.log,
		times: reconcile.Times{Stable: time.Millisecond, Look: time.Millisecond},
	})
	go func() {
		a.run(ctx, f.changes)
		close(done)
	}()
	f.stop = func() {
		cancel()
		<-done
	}
	f.pass(settled)
}

// pass lets time pass, and what it sets off come to rest.
func (f *fixture) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (f *fixture) write(name, text string) {
	f.t.Helper()
	tmp := filepath.Join(f.desired, "."+name)
	require.NoError(f.t, os.WriteFile(tmp, []byte(text), 0o640))
	require.NoError(f.t, os.Rename(tmp, filepath.Join(f.desired, name)))
	select {
	case f.changes <- struct{}{}:
	default:
	}
}

func (f *fixture) read() deployment.Status {
	f.t.Helper()
	b, err := os.ReadFile(filepath.Join(f.status, "status.json"))
	require.NoError(f.t, err)
	var s deployment.Status
	require.NoError(f.t, json.Unmarshal(b, &s))
	return s
}

func (f *fixture) logged(text string) int {
	n := 0
	for _, e := range f.hook.AllEntries() {
		if strings.Contains(e.Message, text) {
			n++
		}
	}
	return n
}

func TestAManifestIsAppliedAndReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.write(deployment.ManifestFile, twoModules)
		f.run()
		defer f.stop()
		require.Equal(t, "a=running b=stopped", f.device.State())
		s := f.read()
		rev := deployment.Revision([]byte(twoModules))
		require.Equal(t, deployment.Status{
			Revision: rev, Phase: "applied", LastGood: rev, Time: s.Time,
			Modules: map[string]deployment.Module{"a": {State: "running"}, "b": {State: "stopped"}},
		}, s)
		_, err := time.Parse(time.RFC3339, s.Time)
		require.NoError(t, err)
	})
}

func TestWithoutAManifestTheAgentWaitsAndSaysSoOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.device.Become("a", "running")
		f.run()
		defer f.stop()
		f.pass(time.Hour)
		require.Equal(t, 1, f.logged("waiting for"))
		require.Empty(t, f.device.Calls())
		require.NoFileExists(t, filepath.Join(f.status, "status.json"))
		f.write(deployment.ManifestFile, twoModules)
		f.pass(settled)
		require.Equal(t, deployment.Phase("applied"), f.read().Phase)
	})
}

func TestANewManifestIsSeenWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.write(deployment.ManifestFile, twoModules)
		f.run()
		defer f.stop()
		f.write(deployment.ManifestFile, oneModule)
		f.pass(settled)
		require.Equal(t, "a=running", f.device.State())
		require.Equal(t, deployment.Revision([]byte(oneModule)), f.read().LastGood)
	})
}

func TestAnInvalidManifestChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.write(deployment.ManifestFile, twoModules)
		f.run()
		defer f.stop()
		f.device.Calls()
		bad := strings.Replace(oneModule, `"image":"i"`, `"image":""`, 1)
		f.write(deployment.ManifestFile, bad)
		f.pass(time.Minute)
		f.device.Become("a", "failed")
		f.pass(time.Minute)
		require.Empty(t, f.device.Calls())
		s := f.read()
		require.Equal(t, deployment.Phase("invalid"), s.Phase)
		require.Equal(t, deployment.Revision([]byte(bad)), s.Revision)
		require.Equal(t, deployment.Revision([]byte(twoModules)), s.LastGood)
		require.Contains(t, s.Error, "modules.a.settings.image")
		require.Equal(t, "failed", s.Modules["a"].State, "what is so is still reported")
		require.Equal(t, 1, f.logged("modules.a.settings.image"))
		f.write(deployment.ManifestFile, twoModules)
		f.pass(settled)
		require.Equal(t, deployment.Phase("applied"), f.read().Phase)
	})
}

func TestAFailureIsTriedAgainMoreAndMoreSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		var tries atomic.Int32
		f.device.Fail(func(_ context.Context, call string) error {
			if call == "prepare a" {
				tries.Add(1)
				return &client.Error{Status: 503, Message: "the registry cannot be reached"}
			}
			return nil
		})
		f.write(deployment.ManifestFile, oneModule)
		f.run()
		defer f.stop()
		require.EqualValues(t, 1, tries.Load())
		s := f.read()
		require.Equal(t, deployment.Applying, s.Phase, "it is not the deployment's fault")
		require.Equal(t, "module a: cannot prepare: the registry cannot be reached", s.Error)
		require.Equal(t, map[string]deployment.Module{"a": {State: "absent", Error: "cannot prepare: the registry cannot be reached"}}, s.Modules)
		require.Empty(t, s.LastGood)
		f.pass(time.Hour)
		require.Greater(t, tries.Load(), int32(12))
		require.Less(t, tries.Load(), int32(25))
		require.Equal(t, 1, f.logged("the registry cannot be reached"))
		f.device.Fail(nil)
		f.pass(retryMost + time.Second)
		require.Equal(t, deployment.Phase("applied"), f.read().Phase)
	})
}

// TestTheSameManifestAgainGetsAnAnswerOfItsOwn: who wrote it tells the new word from the
// old one by its time.
func TestTheSameManifestAgainGetsAnAnswerOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.run()
		defer f.stop()
		for _, text := range []string{strings.Replace(oneModule, `"image":"i"`, `"image":""`, 1), twoModules} {
			f.write(deployment.ManifestFile, text)
			f.pass(settled)
			first := f.read()
			f.write(deployment.ManifestFile, text)
			f.pass(settled)
			second := f.read()
			require.NotEqual(t, first.Time, second.Time, first.Phase)
			second.Time = first.Time
			require.Equal(t, first, second)
		}
	})
}

// TestWhatWentWrongBeforeIsNotTheNextOnesDoing: an operator watches the new revision.
func TestWhatWentWrongBeforeIsNotTheNextOnesDoing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.device.Fail(func(_ context.Context, call string) error {
			if call == "prepare b" {
				return &client.Error{Status: 400, Message: "no such option"}
			}
			return nil
		})
		f.write(deployment.ManifestFile, twoModules)
		f.run()
		defer f.stop()
		require.Contains(t, f.read().Modules["b"].Error, "no such option")
		f.write(deployment.ManifestFile, strings.Replace(oneModule, `"image":"i"`, `"image":""`, 1))
		f.pass(settled)
		s := f.read()
		require.Equal(t, deployment.Invalid, s.Phase)
		require.Empty(t, s.Modules, "neither was ever made")
	})
}

func TestASecretThatComesIsANewTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		text := `{"schemaVersion":"1.1","runtime":{"settings":{"registryCredentials":{"r":{"address":"registry.example","username":"u","password":"${PW_OF_TEST}"}}}},
			"modules":{"a":{"settings":{"image":"registry.example/i"}}}}`
		f.write(deployment.ManifestFile, text)
		f.run()
		defer f.stop()
		require.Contains(t, f.read().Error, "${PW_OF_TEST} has no value")
		f.write(deployment.SecretsFile, `{"PW_OF_TEST":"hunter2"}`)
		f.pass(settled)
		require.Equal(t, deployment.Phase("applied"), f.read().Phase)
		for _, name := range []string{"status.json", "applied.json"} {
			b, err := os.ReadFile(filepath.Join(f.status, name))
			require.NoError(t, err)
			require.NotContains(t, string(b), "hunter2")
		}
	})
}

func TestANewManifestEndsWhatTheOldOneWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.device.Fail(func(ctx context.Context, call string) error {
			if call == "prepare b" {
				<-ctx.Done()
				return context.Cause(ctx)
			}
			return nil
		})
		f.write(deployment.ManifestFile, twoModules)
		f.run()
		defer f.stop()
		f.pass(time.Hour)
		require.Equal(t, deployment.Phase("applying"), f.read().Phase)
		f.write(deployment.ManifestFile, oneModule)
		f.pass(settled)
		require.Equal(t, deployment.Phase("applied"), f.read().Phase)
		require.Equal(t, "a=running", f.device.State())
	})
}

func TestTheAgentEndsAtOnceInTheMiddleOfAnything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.device.Fail(func(ctx context.Context, _ string) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		f.write(deployment.ManifestFile, twoModules)
		f.run()
		begun := time.Now()
		f.stop()
		require.Zero(t, time.Since(begun))
		require.Equal(t, deployment.Phase("applying"), f.read().Phase)
	})
}

func TestAnAgentThatIsStartedAgainRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.write(deployment.ManifestFile, twoModules)
		f.run()
		f.stop()
		f.device.Calls()
		f.device.Become("a", "stopped") // an operator
		f.run()
		f.pass(time.Hour)
		f.stop()
		require.Empty(t, f.device.Calls())
		require.Equal(t, deployment.Revision([]byte(twoModules)), f.read().LastGood)
		f.write(deployment.ManifestFile, "{")
		f.run()
		defer f.stop()
		require.Equal(t, deployment.Phase("invalid"), f.read().Phase)
		require.Equal(t, deployment.Revision([]byte(twoModules)), f.read().LastGood)
	})
}

func TestAStatusThatDoesNotChangeIsNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.write(deployment.ManifestFile, twoModules)
		f.run()
		defer f.stop()
		before, err := os.Stat(filepath.Join(f.status, "status.json"))
		require.NoError(t, err)
		f.pass(time.Hour)
		after, err := os.Stat(filepath.Join(f.status, "status.json"))
		require.NoError(t, err)
		require.True(t, os.SameFile(before, after))
		f.device.Become("a", "failed")
		f.pass(refreshEvery)
		require.Equal(t, "failed", f.read().Modules["a"].State)
		left, err := os.ReadDir(f.status)
		require.NoError(t, err)
		require.Len(t, left, 4, "status.json, applied.json, history.json and manifests")
	})
}

func TestAStatusFolderThatCannotBeWrittenKeepsNothingFromRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		require.NoError(t, os.Remove(f.status))
		f.write(deployment.ManifestFile, twoModules)
		f.run()
		defer f.stop()
		require.Equal(t, "a=running b=stopped", f.device.State())
		require.NotZero(t, f.logged("nobody can see"))
	})
}

func TestWithoutEdgedTheStatusSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.device.Fail(func(context.Context, string) error {
			return &client.UnreachableError{Path: "/run/edged/mgmt.sock", Err: errors.New("connection refused")}
		})
		f.write(deployment.ManifestFile, oneModule)
		f.run()
		defer f.stop()
		require.Contains(t, f.read().Error, "cannot reach edged")
		f.device.Fail(nil)
		f.pass(retryFirst)
		require.Equal(t, deployment.Phase("applied"), f.read().Phase)
	})
}

const changedModule = `{"schemaVersion":"1.1","modules":{"a":{"settings":{"image":"i:2"}},"c":{"settings":{"image":"i"}}}}`

func revision(text string) string { return deployment.Revision([]byte(text)) }

func TestADeploymentThatDoesNotBecomeHealthyIsRolledBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.write(deployment.ManifestFile, twoModules)
		f.run()
		f.device.Word = func(m *wire.Module) {
			if m.Config.Settings.Image == "i:2" {
				m.Status.RuntimeStatus.Health = "unhealthy"
			}
		}
		f.write(deployment.ManifestFile, changedModule)
		f.pass(time.Minute)
		s := f.read()
		require.Equal(t, deployment.Applying, s.Phase)
		require.Equal(t, "waiting", s.Modules["a"].Progress)
		require.Equal(t, "unhealthy", s.Modules["a"].Health)
		f.pass(5 * time.Minute)
		s = f.read()
		require.Equal(t, deployment.RolledBack, s.Phase, s.Error)
		require.Equal(t, revision(changedModule), s.Revision)
		require.Equal(t, revision(twoModules), s.LastGood)
		require.Equal(t, "module a: not healthy within 5m0s: it is running", s.Error)
		require.Equal(t, "a=running b=stopped", f.device.State())
		f.device.Calls()
		f.stop()
		f.run()
		f.pass(time.Hour)
		require.Equal(t, deployment.RolledBack, f.read().Phase, "over a restart of the agent too")
		require.Empty(t, f.device.Calls(), "it is not tried again by itself")
		f.device.Word = nil
		f.write(deployment.ManifestFile, changedModule)
		f.pass(settled)
		require.Equal(t, deployment.Applied, f.read().Phase, "but when it is written again")
		require.Equal(t, "a=running c=running", f.device.State())
		f.stop()
		var h deployment.History
		b, err := os.ReadFile(filepath.Join(f.status, deployment.HistoryFile))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(b, &h))
		require.Len(t, h.Deployments, 2)
		require.Equal(t, revision(changedModule), h.Deployments[0].Revision)
		require.Equal(t, deployment.Applied, h.Deployments[0].Phase)
		b, err = os.ReadFile(filepath.Join(f.status, deployment.ManifestsFolder, revision(twoModules)))
		require.NoError(t, err)
		require.Equal(t, twoModules, string(b))
	})
}

func TestAnUpdateThatEdgedRefusesIsRolledBackAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.write(deployment.ManifestFile, twoModules)
		f.run()
		defer f.stop()
		f.device.Fail(func(_ context.Context, call string) error {
			if call == "create c" {
				return &client.Error{Status: 400, Message: "no such device"}
			}
			return nil
		})
		f.write(deployment.ManifestFile, changedModule)
		f.pass(settled)
		require.Equal(t, deployment.RolledBack, f.read().Phase)
		require.Equal(t, "a=running b=stopped", f.device.State())
		ids, err := f.device.Identities(t.Context())
		require.NoError(t, err)
		require.Len(t, ids, 2, "those of a and b")
	})
}

func TestAnAgentThatEndsBetweenTwoDeploymentsGoesOnOrBack(t *testing.T) {
	for name, after := range map[string]struct{ manifest, state string }{
		"the same manifest": {changedModule, "a=running c=running"},
		"a wrong one":       {"{", "a=running b=stopped"},
		"the last good one": {twoModules, "a=running b=stopped"},
		"none":              {"", "a=running b=stopped"},
	} {
		for _, point := range []string{"delete b", "update a start", "create c", "start c"} {
			t.Run(name+" at "+point, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFixture(t)
					f.write(deployment.ManifestFile, twoModules)
					f.run()
					f.device.Fail(func(ctx context.Context, call string) error {
						if call == point {
							<-ctx.Done()
							return context.Cause(ctx)
						}
						return nil
					})
					f.write(deployment.ManifestFile, changedModule)
					f.pass(settled)
					f.stop()
					f.device.Fail(nil)
					if after.manifest == "" {
						require.NoError(t, os.Remove(filepath.Join(f.desired, deployment.ManifestFile)))
					} else {
						f.write(deployment.ManifestFile, after.manifest)
					}
					f.run()
					f.pass(time.Second)
					f.stop()
					require.Equal(t, after.state, f.device.State())
				})
			})
		}
	}
}

func TestAManifestMayBeYAML(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.write(deployment.ManifestFileYAML, "schemaVersion: 1.1\nmodules:\n  a:\n    settings: {image: i}\n")
		f.run()
		defer f.stop()
		require.Equal(t, "a=running", f.device.State())
		f.write(deployment.ManifestFile, twoModules)
		f.pass(settled)
		require.Equal(t, "a=running b=stopped", f.device.State())
		require.Contains(t, f.read().Notices[0], "deployment.yaml has no effect")
	})
}

func TestTheFolderIsWatched(t *testing.T) {
	dir := t.TempDir()
	changes, end, err := watch(dir)
	require.NoError(t, err)
	defer end()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x"), nil, 0o600))
	<-changes
	_, _, err = watch(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
