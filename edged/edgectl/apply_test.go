package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/deployment"
)

// stage is a home with the agent's folders, and what answers for edged.
type stage struct {
	*device
	t       *testing.T
	folders deployment.Folders
	// check answers for a spec; nil accepts all.
	check http.HandlerFunc
}

func newStage(t *testing.T, list ...wire.Module) *stage {
	keeper := &deployment.Keeper{Folders: deployment.FoldersOf(t.TempDir())}
	mux := http.NewServeMux()
	mux.Handle("/", modules(t, nil, append(list, module("edgeAgent", "running", nil))...))
	serveDeployments(t, mux, keeper)
	s := &stage{device: newDevice(t, mux), t: t, folders: keeper.Folders}
	mux.HandleFunc("POST /modules/{name}/check", func(w http.ResponseWriter, r *http.Request) {
		if s.check == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		s.check(w, r)
	})
	require.NoError(t, os.MkdirAll(s.folders.Desired, 0o750))
	require.NoError(t, os.MkdirAll(filepath.Join(s.folders.Status, deployment.ManifestsFolder), 0o770))
	return s
}

// serveDeployments answers as edged does, out of folders of the test.
func serveDeployments(t *testing.T, mux *http.ServeMux, k *deployment.Keeper) {
	answer := func(w http.ResponseWriter, v any, err error) {
		switch {
		case errdefs.IsNotFound(err):
			w.WriteHeader(http.StatusNotFound)
		case errdefs.IsConflict(err):
			w.WriteHeader(http.StatusConflict)
		case err != nil:
			w.WriteHeader(http.StatusInternalServerError)
		}
		if err != nil {
			v = wire.Error{Message: err.Error()}
		}
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux.HandleFunc("GET /deployment", func(w http.ResponseWriter, _ *http.Request) {
		v := k.Look()
		answer(w, wire.Deployment{Revision: v.Revision, Variables: v.Variables, Status: v.Status, History: v.History, Problem: v.Problem}, nil)
	})
	mux.HandleFunc("GET /deployment/manifest", func(w http.ResponseWriter, r *http.Request) {
		text, err := k.Text(r.URL.Query().Get("revision"))
		answer(w, wire.DeploymentManifest{Manifest: text}, err)
	})
	mux.HandleFunc("PUT /deployment", func(w http.ResponseWriter, r *http.Request) {
		var spec wire.DeploymentSpec
		if err := json.NewDecoder(r.Body).Decode(&spec); err != nil {
			t.Error(err)
		}
		revision, changed, err := k.Put(spec.Manifest, spec.Variables, spec.Before)
		answer(w, wire.DeploymentPut{Revision: revision, Changed: changed}, err)
	})
}

func (s *stage) file(text string) string {
	name := filepath.Join(s.t.TempDir(), "m.json")
	require.NoError(s.t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

func (s *stage) say(status deployment.Status) { s.put(deployment.StatusFile, status) }

func (s *stage) put(name string, v any) {
	b, err := json.Marshal(v)
	require.NoError(s.t, err)
	tmp := filepath.Join(s.folders.Status, ".tmp")
	require.NoError(s.t, os.WriteFile(tmp, b, 0o644))
	require.NoError(s.t, os.Rename(tmp, filepath.Join(s.folders.Status, name)))
}

// agent answers each new manifest with these steps, until the test ends.
func (s *stage) agent(steps ...deployment.Status) {
	stop, done := make(chan struct{}), make(chan struct{})
	s.t.Cleanup(func() {
		close(stop)
		<-done
	})
	go func() {
		defer close(done)
		seen := ""
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			st, err := os.Stat(filepath.Join(s.folders.Desired, deployment.ManifestFile))
			if err != nil || fmt.Sprint(st.Sys().(*syscall.Stat_t).Ino) == seen {
				continue
			}
			seen = fmt.Sprint(st.Sys().(*syscall.Stat_t).Ino)
			text, _ := s.folders.Manifest()
			for _, step := range steps {
				step.Revision = deployment.Revision(text)
				s.say(step)
				time.Sleep(400 * time.Millisecond) // two looks of edgectl
			}
		}
	}()
}

const pumpManifest = `{"schemaVersion":"1.1","modules":{"pump":{"settings":{"image":"edged.local/pump:2"},"env":{"SPEED":{"value":"7"}}}}}`

func TestApplyShowsWhatChangesAndWaits(t *testing.T) {
	s := newStage(t, module("old", "running", nil), module("pump", "running", nil))
	s.agent(
		deployment.Status{Phase: deployment.Applying, Modules: map[string]deployment.Module{"pump": {State: "running", Progress: "preparing"}}},
		deployment.Status{Phase: deployment.Applied, Modules: map[string]deployment.Module{"pump": {State: "running", Health: "healthy"}}},
	)
	got := s.run("apply", "-f", s.file(pumpManifest), "--yes")
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "- old  edged.local/demo:1\n")
	require.Contains(t, got.out, "~ pump\n    image: edged.local/demo:1 -> edged.local/pump:2\n")
	require.Contains(t, got.out, "env SPEED: added\n")
	require.NotContains(t, got.out, "7\n")
	require.Contains(t, got.err, "applying\n  pump                 preparing\napplied\n  pump                 running, healthy\n")
	require.True(t, strings.HasSuffix(got.out, short(deployment.Revision([]byte(pumpManifest)))+" is applied\n"), got.out)

	text, err := s.folders.Manifest()
	require.NoError(t, err)
	require.Equal(t, pumpManifest, string(text), "byte for byte: the revision is its hash")

	again := s.run("apply", "-f", s.file(pumpManifest), "--yes")
	require.Zero(t, again.code)
	require.Contains(t, again.out, "is applied already\n")
}

func TestExitCodesOfApplySayHowItEnded(t *testing.T) {
	for phase, want := range map[deployment.Phase]int{
		deployment.Applied: 0, deployment.Failed: applyFailed, deployment.RolledBack: applyFailed, deployment.Invalid: applyInvalid,
	} {
		s := newStage(t)
		s.agent(deployment.Status{Phase: deployment.Applying}, deployment.Status{Phase: phase, Error: "the reason", LastGood: "0123456789abcdef"})
		got := s.run("apply", "-f", s.file(pumpManifest), "--yes")
		require.Equal(t, want, got.code, "%s: %s", phase, got.err)
		if want != 0 {
			require.Contains(t, got.err, "the reason")
		}
		if phase == deployment.RolledBack {
			require.Contains(t, got.err, "the device is as before, at 0123456789ab")
		}
	}
	s := newStage(t)
	got := s.run("apply", "-f", s.file(pumpManifest), "--yes", "--timeout", "300ms")
	require.Equal(t, applyTimeout, got.code)
	require.Contains(t, got.err, "the agent has not taken it up")
	s.agent(deployment.Status{Phase: deployment.Applying})
	got = s.run("apply", "-f", s.file(pumpManifest+" "), "--yes", "--timeout", "1s")
	require.Equal(t, applyTimeout, got.code)
	require.Contains(t, got.err, "still applying")
}

// TestTheDiffIsAgainstWhatTheDeviceHas and not against what was refused.
func TestTheDiffIsAgainstWhatTheDeviceHas(t *testing.T) {
	s := newStage(t, module("pump", "running", nil))
	good := `{"schemaVersion":"1.1","modules":{"pump":{"startupOrder":3,"settings":{"image":"edged.local/demo:1"}}}}`
	refused := `{"schemaVersion":"1.1","modules":{"valve":{"settings":{"image":"edged.local/valve:1"}}}}`
	s.remember(refused, good)
	require.NoError(t, os.WriteFile(filepath.Join(s.folders.Desired, deployment.ManifestFile), []byte(refused), 0o640))
	s.say(deployment.Status{Revision: deployment.Revision([]byte(refused)), Phase: deployment.RolledBack, LastGood: deployment.Revision([]byte(good))})
	got := s.run("apply", "-f", s.file(strings.Replace(good, "3", "4", 1)), "--dry-run")
	require.Equal(t, result{0, "~ pump\n    startup order: 3 -> 4\n", ""}, got)
}

// TestAnotherDeploymentMeanwhileEndsTheWaiting and is not taken for the failure of this one.
func TestAnotherDeploymentMeanwhileEndsTheWaiting(t *testing.T) {
	s := newStage(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := s.folders.Manifest(); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		_ = s.folders.Write([]byte("another"), nil)
	}()
	got := s.run("apply", "-f", s.file(pumpManifest), "--yes")
	<-done
	require.Equal(t, applyFailed, got.code)
	require.Contains(t, got.err, "another deployment has replaced it meanwhile")
}

// TestAnOldWordOfTheAgentIsNotTakenForTheNew is the second apply of what failed before.
func TestAnOldWordOfTheAgentIsNotTakenForTheNew(t *testing.T) {
	s := newStage(t)
	s.say(deployment.Status{Revision: deployment.Revision([]byte(pumpManifest)), Phase: deployment.Failed, Error: "of yesterday", Time: "2026-01-01T00:00:00Z"})
	got := s.run("apply", "-f", s.file(pumpManifest), "--yes", "--timeout", "300ms")
	require.Equal(t, applyTimeout, got.code)
	require.NotContains(t, got.err, "of yesterday")
}

func TestAnInvalidManifestIsToldWholeAndChangesNothing(t *testing.T) {
	s := newStage(t)
	got := s.run("apply", "-f", s.file(`{"schemaVersion":"9","modules":{"pump":{"settings":{"image":""}}}}`), "--yes")
	require.Equal(t, applyInvalid, got.code)
	require.Contains(t, got.err, "  schemaVersion: ")
	require.Contains(t, got.err, "  modules.pump.settings.image: ")
	left, err := os.ReadDir(s.folders.Desired)
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestWhatEdgedRefusesIsToldBeforeAnythingIsDone, of the modules that would be made and of no
// others: what one that runs on needs may be unplugged at the moment.
func TestWhatEdgedRefusesIsToldBeforeAnythingIsDone(t *testing.T) {
	same := module("same", "stopped", nil)
	same.Config.Settings.CreateOptions = json.RawMessage(`{"HostConfig":{"RestartPolicy":{"Name":"always"}}}`)
	s := newStage(t, same)
	var asked []string
	s.check = func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		asked = append(asked, string(b))
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"message":"createOptions.HostConfig.Links is not supported"}`))
	}
	text := `{"schemaVersion":"1.1","runtime":{"settings":{"registryCredentials":{"r":{"address":"r.example","username":"u","password":"hunter2"}}}},
		"modules":{"pump":{"settings":{"image":"r.example/pump:2"}},"same":{"settings":{"image":"edged.local/demo:1"}}}}`
	for _, more := range []string{"--yes", "--dry-run"} {
		got := s.run("apply", "-f", s.file(text), more)
		require.Equal(t, applyInvalid, got.code, got.out+got.err)
		require.Contains(t, got.err, "nothing was changed:\n  module pump: createOptions.HostConfig.Links is not supported\n")
	}
	require.Len(t, asked, 2)
	require.Contains(t, asked[0], `"name":"pump"`)
	require.NotContains(t, asked[0], "hunter2")
	left, err := os.ReadDir(s.folders.Desired)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestApplyAsksOnATerminalAndElseWantsYes(t *testing.T) {
	s := newStage(t)
	got := s.run("apply", "-f", s.file(pumpManifest))
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.err, "say --yes")
	s.typed, s.in = true, "n\n"
	got = s.run("apply", "-f", s.file(pumpManifest))
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.err, "nothing was changed")
	require.NoFileExists(t, filepath.Join(s.folders.Desired, deployment.ManifestFile))
	s.in = "yes\n"
	require.Zero(t, s.run("apply", "-f", s.file(pumpManifest), "--no-wait").code)
	require.FileExists(t, filepath.Join(s.folders.Desired, deployment.ManifestFile))
	require.Zero(t, s.run("apply", "-f", s.file(pumpManifest+" "), "--dry-run").code)
	s.typed, s.in = false, pumpManifest+"\n"
	require.Zero(t, s.run("apply", "-f", "-", "--yes", "--no-wait").code)
	text, err := s.folders.Manifest()
	require.NoError(t, err)
	require.Equal(t, pumpManifest+"\n", string(text))
}

const secretManifest = `{"schemaVersion":"1.1","runtime":{"settings":{"registryCredentials":{"r":{"address":"registry.example","username":"u","password":"${PW_OF_%s}"}}}},
	"modules":{"a":{"settings":{"image":"registry.example/i"}}}}`

func TestSecretsGoIntoAFileOfTheirOwn(t *testing.T) {
	s := newStage(t)
	one, two := fmt.Sprintf(secretManifest, "ONE"), fmt.Sprintf(secretManifest, "TWO")
	got := s.run("apply", "-f", s.file(one), "--yes", "--no-wait")
	require.Equal(t, applyInvalid, got.code)
	require.Contains(t, got.err, "${PW_OF_ONE} has no value")

	env := s.file("# of the plant\nPW_OF_ONE='hunter2'\nUNUSED=x\n")
	require.Zero(t, s.run("apply", "-f", s.file(one), "--yes", "--no-wait", "--env-file", env).code)
	secrets, err := s.folders.Secrets()
	require.NoError(t, err)
	require.Equal(t, map[string]string{"PW_OF_ONE": "hunter2"}, secrets)

	// The agent may go back to what was there: its secrets stay, until no deployment needs them.
	t.Setenv("PW_OF_TWO", "swordfish")
	got = s.run("apply", "-f", s.file(two), "--yes", "--no-wait")
	require.Zero(t, got.code, got.err)
	require.NotContains(t, got.out+got.err, "swordfish")
	secrets, err = s.folders.Secrets()
	require.NoError(t, err)
	require.Equal(t, map[string]string{"PW_OF_ONE": "hunter2", "PW_OF_TWO": "swordfish"}, secrets)
	require.Zero(t, s.run("apply", "-f", s.file(two+"\n"), "--yes", "--no-wait").code)
	secrets, err = s.folders.Secrets()
	require.NoError(t, err)
	require.Equal(t, map[string]string{"PW_OF_TWO": "swordfish"}, secrets)

	bad := s.file("hunter2\n")
	got = s.run("apply", "-f", s.file(one), "--yes", "--env-file", bad)
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.err, "line 1 is not NAME=value")
	require.NotContains(t, got.err, "hunter2")
	// JSON would make other bytes of it, and the registry refuse them.
	got = s.run("apply", "-f", s.file(one), "--yes", "--env-file", s.file("PW_OF_ONE=h\xfcnter"))
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.err, "the value of PW_OF_ONE is not UTF-8")
}

// remember puts deployments into the agent's history, newest first.
func (s *stage) remember(texts ...string) {
	var h deployment.History
	for i, text := range texts {
		rev := deployment.Revision([]byte(text))
		h.Deployments = append(h.Deployments, deployment.Entry{Revision: rev, Phase: deployment.Applied, Modules: 1, Time: before(time.Duration(i+1) * time.Hour)})
		require.NoError(s.t, os.WriteFile(filepath.Join(s.folders.Status, deployment.ManifestsFolder, rev), []byte(text), 0o644))
	}
	s.put(deployment.HistoryFile, h)
}

func TestRollbackAppliesTheDeploymentBefore(t *testing.T) {
	s := newStage(t)
	older, newer := pumpManifest, pumpManifest+"\n"
	require.Equal(t, exitFailed, s.run("deployment", "rollback", "--yes").code)
	s.remember(newer, older)
	require.NoError(t, os.WriteFile(filepath.Join(s.folders.Desired, deployment.ManifestFile), []byte(newer), 0o640))
	s.agent(deployment.Status{Phase: deployment.Applied})
	got := s.run("deployment", "rollback", "--yes")
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.err, "back to "+short(deployment.Revision([]byte(older))))
	text, err := s.folders.Manifest()
	require.NoError(t, err)
	require.Equal(t, older, string(text))
	require.Zero(t, s.run("deployment", "rollback", short(deployment.Revision([]byte(newer))), "--yes").code)
	require.Equal(t, applyInvalid, s.run("deployment", "rollback", "ffff", "--yes").code)
}

// TestATextThatTheAgentChangedIsNotPutBack: the folder of status is a module's.
func TestATextThatTheAgentChangedIsNotPutBack(t *testing.T) {
	s := newStage(t)
	s.remember(pumpManifest)
	rev := deployment.Revision([]byte(pumpManifest))
	path := filepath.Join(s.folders.Status, deployment.ManifestsFolder, rev)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(pumpManifest, "pump:2", "evil:1", 1)), 0o644))
	got := s.run("deployment", "rollback", "--yes")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.err, "it was changed")
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Symlink("/etc/passwd", path))
	require.NotContains(t, s.run("deployment", "show", rev).out, "root:")
	require.NoFileExists(t, filepath.Join(s.folders.Desired, deployment.ManifestFile))
}

func TestDeploymentsAreShown(t *testing.T) {
	s := newStage(t)
	require.Equal(t, exitNotFound, s.run("deployment", "show").code)
	require.Equal(t, "REVISION   PHASE   MODULES   WHEN    ERROR\n", s.run("deployment", "history").out)
	s.remember(pumpManifest)
	rev := deployment.Revision([]byte(pumpManifest))
	s.say(deployment.Status{Revision: rev, Phase: deployment.Applying, Error: "x\x1b[1m", Notices: []string{"n"}, Modules: map[string]deployment.Module{"pump": {State: "absent", Progress: "preparing"}}})
	got := s.run("deployment", "show")
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "revision   "+rev+"\nphase      applying\n")
	require.Contains(t, got.out, "pump     absent   -        preparing")
	require.NotContains(t, got.out, "\x1b")
	require.Equal(t, "applying pump\n", s.run("deployment", "show", "--format", "{{.Phase}}{{range $k, $v := .Modules}} {{$k}}{{end}}").out)
	require.Equal(t, pumpManifest, s.run("deployment", "show", short(rev)).out)
	require.Contains(t, s.run("deployment", "history").out, short(rev)+"   applied   1         ")
	require.Equal(t, short(rev)+"\n", s.run("deployment", "history", "--format", "{{slice .Revision 0 12}}").out)
	var h []deployment.Entry
	require.NoError(t, json.Unmarshal([]byte(s.run("deployment", "history", "--format", "json").out), &h))
	require.Len(t, h, 1)
	s.put(deployment.HistoryFile, deployment.History{Deployments: []deployment.Entry{{Revision: rev, Phase: deployment.Applying}, {Revision: "0123456789abcdef", Phase: deployment.Applying}}})
	require.Regexp(t, short(rev)+`   applying  +0 .*\n0123456789ab   superseded `, s.run("deployment", "history").out, "nobody works on it any more")

	require.NotContains(t, got.err, "taken it up")
	require.NoError(t, os.WriteFile(filepath.Join(s.folders.Desired, deployment.ManifestFile), []byte("newer"), 0o640))
	require.Contains(t, s.run("deployment", "show").err, short(deployment.Revision([]byte("newer")))+" was given to the agent since", "what is shown is not of it")
}
