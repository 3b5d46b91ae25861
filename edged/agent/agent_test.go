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

	"github.com/edged/edged/edged/agent/manifest"
	"github.com/edged/edged/edged/agent/reconcile/reconciletest"
	"github.com/edged/edged/pkg/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	twoModules = `{"schemaVersion":"1.1","modules":{"a":{"settings":{"image":"i"}},"b":{"status":"stopped","settings":{"image":"i"}}}}`
	oneModule  = `{"schemaVersion":"1.1","modules":{"a":{"settings":{"image":"i"}}}}`
)

// fixture runs an agent in the test's own time.
type fixture struct {
	t               *testing.T
	desired, status string
	device          reconciletest.Device
	log             *logrus.Logger
	hook            *logtest.Hook
	stop            func()
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, desired: t.TempDir(), status: t.TempDir()}
	f.log, f.hook = logtest.NewNullLogger()
	return f
}

// run starts an agent; stop, or the end of the test, ends it.
func (f *fixture) run() {
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan struct{})
	a := newAgent(f.desired, f.status, &f.device, f.log)
	go func() {
		a.run(ctx)
		close(done)
	}()
	f.stop = func() {
		cancel()
		<-done
	}
	f.pass(0)
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
}

func (f *fixture) read() Status {
	f.t.Helper()
	b, err := os.ReadFile(filepath.Join(f.status, "status.json"))
	require.NoError(f.t, err)
	var s Status
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
		f.write(manifestFile, twoModules)
		f.run()
		defer f.stop()
		require.Equal(t, "a=running b=stopped", f.device.State())
		s := f.read()
		rev := manifest.Revision([]byte(twoModules))
		require.Equal(t, Status{
			Revision: rev, Phase: "applied", LastGood: rev, Time: s.Time,
			Modules: map[string]ModuleStatus{"a": {State: "running"}, "b": {State: "stopped"}},
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
		f.write(manifestFile, twoModules)
		f.pass(pollEvery)
		require.Equal(t, "applied", f.read().Phase)
	})
}

func TestANewManifestIsSeenWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.write(manifestFile, twoModules)
		f.run()
		defer f.stop()
		f.write(manifestFile, oneModule)
		f.pass(pollEvery)
		require.Equal(t, "a=running", f.device.State())
		require.Equal(t, manifest.Revision([]byte(oneModule)), f.read().LastGood)
	})
}

func TestAnInvalidManifestChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.write(manifestFile, twoModules)
		f.run()
		defer f.stop()
		f.device.Calls()
		bad := strings.Replace(oneModule, `"image":"i"`, `"image":""`, 1)
		f.write(manifestFile, bad)
		f.pass(time.Minute)
		f.device.Become("a", "failed")
		f.pass(time.Minute)
		require.Empty(t, f.device.Calls())
		s := f.read()
		require.Equal(t, "invalid", s.Phase)
		require.Equal(t, manifest.Revision([]byte(bad)), s.Revision)
		require.Equal(t, manifest.Revision([]byte(twoModules)), s.LastGood)
		require.Contains(t, s.Error, "modules.a.settings.image")
		require.Equal(t, "failed", s.Modules["a"].State, "what is so is still reported")
		require.Equal(t, 1, f.logged("modules.a.settings.image"))
		f.write(manifestFile, twoModules)
		f.pass(pollEvery)
		require.Equal(t, "applied", f.read().Phase)
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
		f.write(manifestFile, oneModule)
		f.run()
		defer f.stop()
		require.EqualValues(t, 1, tries.Load())
		s := f.read()
		require.Equal(t, "failed", s.Phase)
		require.Equal(t, "module a: cannot prepare: the registry cannot be reached", s.Error)
		require.Equal(t, map[string]ModuleStatus{"a": {State: "absent", Error: "cannot prepare: the registry cannot be reached"}}, s.Modules)
		require.Empty(t, s.LastGood)
		f.pass(time.Hour)
		require.Greater(t, tries.Load(), int32(12))
		require.Less(t, tries.Load(), int32(25))
		require.Equal(t, 1, f.logged("the registry cannot be reached"))
		f.device.Fail(nil)
		f.pass(retryMost + time.Second)
		require.Equal(t, "applied", f.read().Phase)
	})
}

func TestASecretThatComesIsANewTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		text := `{"schemaVersion":"1.1","runtime":{"settings":{"registryCredentials":{"r":{"address":"registry.example","username":"u","password":"${PW_OF_TEST}"}}}},
			"modules":{"a":{"settings":{"image":"registry.example/i"}}}}`
		f.write(manifestFile, text)
		f.run()
		defer f.stop()
		require.Contains(t, f.read().Error, "${PW_OF_TEST} has no value")
		f.write(secretsFile, `{"PW_OF_TEST":"hunter2"}`)
		f.pass(pollEvery)
		require.Equal(t, "applied", f.read().Phase)
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
		f.write(manifestFile, twoModules)
		f.run()
		defer f.stop()
		f.pass(time.Hour)
		require.Equal(t, "applying", f.read().Phase)
		f.write(manifestFile, oneModule)
		f.pass(pollEvery)
		require.Equal(t, "applied", f.read().Phase)
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
		f.write(manifestFile, twoModules)
		f.run()
		begun := time.Now()
		f.stop()
		require.Zero(t, time.Since(begun))
		require.Equal(t, "applying", f.read().Phase)
	})
}

func TestAnAgentThatIsStartedAgainRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.write(manifestFile, twoModules)
		f.run()
		f.stop()
		f.device.Calls()
		f.device.Become("a", "stopped") // an operator
		f.run()
		f.pass(time.Hour)
		f.stop()
		require.Empty(t, f.device.Calls())
		require.Equal(t, manifest.Revision([]byte(twoModules)), f.read().LastGood)
		f.write(manifestFile, "{")
		f.run()
		defer f.stop()
		require.Equal(t, "invalid", f.read().Phase)
		require.Equal(t, manifest.Revision([]byte(twoModules)), f.read().LastGood)
	})
}

func TestAStatusThatDoesNotChangeIsNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.write(manifestFile, twoModules)
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
		require.Len(t, left, 2, "status.json and applied.json")
	})
}

func TestAStatusFolderThatCannotBeWrittenKeepsNothingFromRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		require.NoError(t, os.Remove(f.status))
		f.write(manifestFile, twoModules)
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
		f.write(manifestFile, oneModule)
		f.run()
		defer f.stop()
		require.Contains(t, f.read().Error, "cannot reach edged")
		f.device.Fail(nil)
		f.pass(retryFirst)
		require.Equal(t, "applied", f.read().Phase)
	})
}
