package deployment

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

// newKeeper is one whose folders belong to a group, as edged makes them.
func newKeeper(t *testing.T) *Keeper {
	k := &Keeper{Folders: FoldersOf(t.TempDir())}
	require.NoError(t, os.MkdirAll(k.Desired, 0o750))
	require.NoError(t, os.Chown(k.Desired, -1, 1234))
	require.NoError(t, os.MkdirAll(filepath.Join(k.Status, ManifestsFolder), 0o770))
	return k
}

func (k *Keeper) say(t *testing.T, name string, v any) {
	b, err := json.Marshal(v)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(k.Status, name), b, 0o640))
}

func put(t *testing.T, k *Keeper, text string, given map[string]string) bool {
	revision, changed, err := k.Put([]byte(text), given, nil)
	require.NoError(t, err)
	require.Equal(t, Revision([]byte(text)), revision)
	return changed
}

func TestWhatIsPutIsTheAgentsToReadAlone(t *testing.T) {
	k := newKeeper(t)
	require.True(t, put(t, k, "one ${PW}", map[string]string{"PW": "hunter2"}))
	for _, name := range []string{ManifestFile, SecretsFile} {
		st, err := os.Stat(filepath.Join(k.Desired, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o640), st.Mode())
		require.EqualValues(t, 1234, st.Sys().(*syscall.Stat_t).Gid)
	}
	left, err := os.ReadDir(k.Desired)
	require.NoError(t, err)
	require.Len(t, left, 2)
}

func TestOnlyWhatIsAppliedIsNotPutAgain(t *testing.T) {
	k := newKeeper(t)
	given := map[string]string{"PW": "hunter2"}
	require.True(t, put(t, k, "one ${PW}", given))
	require.True(t, put(t, k, "one ${PW}", given), "the agent has not said a word of it")
	for _, phase := range []Phase{Applying, Failed, RolledBack, Invalid, RollingBack} {
		k.say(t, StatusFile, Status{Revision: Revision([]byte("one ${PW}")), Phase: phase})
		require.True(t, put(t, k, "one ${PW}", given), phase)
	}
	k.say(t, StatusFile, Status{Revision: Revision([]byte("one ${PW}")), Phase: Applied})
	require.False(t, put(t, k, "one ${PW}", given))
	require.False(t, put(t, k, "one ${PW}", nil))
	require.True(t, put(t, k, "one ${PW}", map[string]string{"PW": "swordfish"}), "the value is another")
	require.True(t, put(t, k, "two", nil))
	require.True(t, put(t, k, "one ${PW}", nil), "applied, and replaced since")
}

func TestAnotherThanWasSeenIsNotReplaced(t *testing.T) {
	k := newKeeper(t)
	none, one := "", Revision([]byte("one"))
	_, _, err := k.Put([]byte("one"), nil, &one)
	require.True(t, errdefs.IsConflict(err))
	_, _, err = k.Put([]byte("one"), nil, &none)
	require.NoError(t, err)
	_, _, err = k.Put([]byte("two"), nil, &none)
	require.True(t, errdefs.IsConflict(err))
	require.Equal(t, one, k.Look().Revision)
	_, _, err = k.Put([]byte("two"), nil, &one)
	require.NoError(t, err)
}

// TestSecretsStayAsLongAsADeploymentNeedsThem: the agent goes back by itself.
func TestSecretsStayAsLongAsADeploymentNeedsThem(t *testing.T) {
	k := newKeeper(t)
	const one = "one ${PW_OF_ONE}"
	put(t, k, one, map[string]string{"PW_OF_ONE": "hunter2"})
	put(t, k, "two ${PW_OF_TWO}", map[string]string{"PW_OF_TWO": "swordfish"})
	require.Equal(t, []string{"PW_OF_ONE", "PW_OF_TWO"}, k.Look().Variables, "the one before is named by what was there")
	k.say(t, HistoryFile, History{Deployments: []Entry{{Revision: Revision([]byte(one)), Phase: Applied}}})
	require.NoError(t, os.WriteFile(filepath.Join(k.Status, ManifestsFolder, Revision([]byte(one))), []byte(one), 0o640))
	put(t, k, "three", nil)
	put(t, k, "four", nil)
	require.Equal(t, []string{"PW_OF_ONE"}, k.Look().Variables)
	k.say(t, HistoryFile, History{})
	put(t, k, "five", nil)
	require.Empty(t, k.Look().Variables)
	k.Known = []string{"FROM_THE_AGENT"}
	require.Equal(t, []string{"FROM_THE_AGENT"}, k.Look().Variables)
}

// TestWhatAnAgentMayDoInItsFolder is believed in nothing.
func TestWhatAnAgentMayDoInItsFolder(t *testing.T) {
	k := newKeeper(t)
	good := Revision([]byte("good"))
	path := filepath.Join(k.Status, ManifestsFolder, good)
	for what, plant := range map[string]func(){
		"another text":  func() { require.NoError(t, os.WriteFile(path, []byte("evil"), 0o640)) },
		"a link":        func() { require.NoError(t, os.Symlink("/etc/passwd", path)) },
		"a pipe":        func() { require.NoError(t, syscall.Mkfifo(path, 0o600)) },
		"a huge text":   func() { require.NoError(t, os.WriteFile(path, make([]byte, MaxFile+1), 0o640)) },
		"nothing":       func() {},
		"another agent": func() { require.NoError(t, os.Mkdir(path, 0o700)) },
	} {
		plant()
		_, err := k.Text(good)
		require.Error(t, err, what)
		require.Equal(t, what == "nothing", errdefs.IsNotFound(err), what)
		require.NoError(t, os.RemoveAll(path))
	}
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(k.Status, StatusFile)))
	k.say(t, HistoryFile, []string{"no history"})
	v := k.Look()
	require.Contains(t, v.Problem, StatusFile)
	require.Contains(t, v.Problem, HistoryFile)
	require.NotContains(t, v.Problem, "root:")
	require.True(t, put(t, k, "good", nil), "an operator's word counts all the same")
}

func TestASecretsFileWrittenWrongIsToldWithoutItsValues(t *testing.T) {
	k := newKeeper(t)
	for _, text := range []string{`{"A":["hunter2"]}`, `{"A":"hunter2"`, `"hunter2"`} {
		require.NoError(t, os.WriteFile(filepath.Join(k.Desired, SecretsFile), []byte(text), 0o640))
		_, _, err := k.Put([]byte("text"), nil, nil)
		require.True(t, errdefs.IsFailedPrecondition(err))
		require.NotContains(t, err.Error()+k.Look().Problem, "hunter2")
		require.Contains(t, k.Look().Problem, SecretsFile)
	}
}

func TestATooLongManifestIsRefused(t *testing.T) {
	k := newKeeper(t)
	for _, text := range []string{"", strings.Repeat("x", MaxFile+1)} {
		_, _, err := k.Put([]byte(text), nil, nil)
		require.True(t, errdefs.IsInvalidArgument(err))
	}
	_, _, err := k.Put([]byte("${A}"), map[string]string{"A": strings.Repeat("x", MaxFile)}, nil)
	require.True(t, errdefs.IsInvalidArgument(err))
	require.NoFileExists(t, filepath.Join(k.Desired, ManifestFile))
}
