package upload

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/pack/packtest"
)

func TestPackagesShareBytes(t *testing.T) {
	r := newRig(t, nil)
	dep := packtest.Gzip(packtest.Tar(packtest.Plain("f", []byte("x"))))
	r.hosts["https://h.example/d.tgz"] = dep
	with := func(name string) []byte {
		return packtest.RAMP{Fields: map[string]any{"module_name": name, "dependencies": map[string]any{"d": map[string]any{"url": "https://h.example/d.tgz", "sha256": packtest.SHA256(dep)}}}}.Bytes()
	}
	var uids []string
	for _, name := range []string{"a", "b"} {
		p, action, err := r.receive(with(name)).AddLater(t.Context())
		require.NoError(t, err)
		done := ended(t, r, action.UID)
		require.Equal(t, Completed, done.Status, done.Message)
		require.Equal(t, 100, done.Progress)
		uids = append(uids, p.UID)
	}
	blobs, _ := r.left()
	require.Equal(t, 3, blobs, "two packages, and one dependency")
	require.Contains(t, string(r.images.layers[uids[0]]), "var/opt/redislabs/modules/a/10203/deps/d/f")
	require.Equal(t, DependenciesUnsupported, CodeOf(r.Delete(t.Context(), uids[0])), "v1 knows no dependencies")
	action, err := r.DeleteLater(t.Context(), uids[0])
	require.NoError(t, err)
	require.Equal(t, Completed, action.Status)
	blobs, _ = r.left()
	require.Equal(t, 2, blobs)
	r.Close()
	r.start(nil)
	blobs, _ = r.left()
	require.Equal(t, 2, blobs)
	_, err = r.DeleteLater(t.Context(), uids[1])
	require.NoError(t, err)
	r.nothingLeft()
	_, err = r.DeleteLater(t.Context(), uids[1])
	require.Equal(t, ModuleNotFound, CodeOf(err))
}

// ended waits for the end of an action.
func ended(t *testing.T, r *rig, uid string) *Action {
	t.Helper()
	var a *Action
	require.Eventually(t, func() bool {
		var err error
		a, err = r.Action(uid)
		return err == nil && a.Status != Running
	}, waitAtMost, tick)
	return a
}

func TestDependenciesThatCannotBeHadShowInTheAction(t *testing.T) {
	r := newRig(t, nil)
	dep := packtest.Gzip(packtest.Tar(packtest.Plain("f", []byte("x"))))
	r.hosts["https://h.example/d.tgz"], r.hosts["https://h.example/broken"] = dep, dep
	for url, tc := range map[string]struct {
		sum  string
		code Code
	}{
		"https://h.example/none":   {packtest.SHA256(dep), DependencyNotFound},
		"https://h.example/away":   {packtest.SHA256(dep), DependencyFailed},
		"https://h.example/broken": {packtest.SHA256(dep), DependencyFailed},
		"https://evil.example/d":   {packtest.SHA256(dep), InvalidDependencyData},
		"https://h.example/d.tgz":  {strings.Repeat("a", 64), InvalidDependencyData},
	} {
		b := packtest.RAMP{Fields: map[string]any{"dependencies": []any{map[string]any{"name": "d", "url": url, "sha256": tc.sum}}}}.Bytes()
		_, action, err := r.receive(b).AddLater(t.Context())
		require.NoError(t, err)
		a := ended(t, r, action.UID)
		require.Equal(t, Failed, a.Status, url)
		require.Equal(t, tc.code, a.Code, a.Message)
		require.Eventually(t, func() bool { blobs, ingests := r.left(); return blobs+ingests == 0 }, waitAtMost, tick)
		r.nothingLeft()
	}
	_, _, err := r.receive([]byte("text")).AddLater(t.Context())
	require.Equal(t, InvalidModule, CodeOf(err), "what is wrong with the package itself is said at once")
	_, _, err = r.receive(packtest.RAMP{Fields: map[string]any{"dependencies": "d"}}.Bytes()).AddLater(t.Context())
	require.Equal(t, InvalidDependencyData, CodeOf(err))
	_, err = r.Action("none")
	require.Equal(t, ActionNotFound, CodeOf(err))
}

func TestActionsOutliveAStart(t *testing.T) {
	r := newRig(t, nil)
	a, err := r.begin(t.Context(), addAction, "uid")
	require.NoError(t, err)
	for range keptActions {
		b, err := r.begin(t.Context(), removeAction, "uid")
		require.NoError(t, err)
		r.end(t.Context(), b.UID, nil)
	}
	_, err = r.Action(a.UID)
	require.Error(t, err, "the oldest is forgotten")
	a, err = r.begin(t.Context(), addAction, "uid")
	require.NoError(t, err)
	r.progress(a.UID, 40)
	r.Close()
	r.start(nil)
	a, err = r.Action(a.UID)
	require.NoError(t, err)
	require.Equal(t, Failed, a.Status)
	require.Equal(t, Interrupted, a.Code)
	require.LessOrEqual(t, len(r.actions), keptActions)
}
