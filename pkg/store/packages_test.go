package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/pack"
	"github.com/edged/edged/pkg/upload"
)

func TestPackagesAreAsTheyWereWritten(t *testing.T) {
	home := t.TempDir()
	s := open(t, home)
	r := upload.Record{Phase: upload.Storing, Package: upload.Package{
		UID: "u", Format: pack.RAMPFormat, Name: "x", SemanticVersion: "1.2.3", Version: 10203, SHA256: "s", Size: 7, Digest: "sha256:d", Kept: true,
		Metadata: &pack.Metadata{Name: "x", File: "x.so", Version: 10203, Capabilities: []string{"a", "a"}, Dependencies: []pack.Dependency{{Name: "d", URL: "u", SHA256: "s"}}, CRDB: []byte(`{}`)},
		OS:       "Linux", Architecture: "x86_64", Dependencies: []upload.Blob{{Name: "d", Digest: "sha256:e"}}, Image: upload.Image{Name: "i", Digest: "sha256:f", Base: "b"},
		Signed: &pack.Signed{KeyID: "K", Comment: "counter:1", Counter: 1, Counted: true}, Created: time.Now().UTC(),
	}}
	require.NoError(t, s.SavePackage(t.Context(), &r, nil))
	r.Phase = upload.Ready
	require.NoError(t, s.SavePackage(t.Context(), &r, &upload.Counter{Name: "x", Value: 5}))
	require.NoError(t, s.Close())
	s = open(t, home)
	all, err := s.Packages(t.Context())
	require.NoError(t, err)
	require.Equal(t, []upload.Record{r}, all)
	require.NoError(t, s.DeletePackage(t.Context(), "u"))
	require.NoError(t, s.DeletePackage(t.Context(), "u"))
	all, err = s.Packages(t.Context())
	require.NoError(t, err)
	require.Empty(t, all)

	// The counter outlives its package, and never falls.
	require.NoError(t, s.SavePackage(t.Context(), &r, &upload.Counter{Name: "x", Value: 3}))
	n, ok, err := s.PackageCounter(t.Context(), "x")
	require.NoError(t, err)
	require.True(t, ok)
	require.EqualValues(t, 5, n)
	_, ok, err = s.PackageCounter(t.Context(), "y")
	require.NoError(t, err)
	require.False(t, ok)
	r.Phase = "other"
	require.Error(t, s.SavePackage(t.Context(), &r, nil))
}

func TestOnlyTheNewestActionsAreKept(t *testing.T) {
	s := open(t, t.TempDir())
	for i := range 5 {
		a := upload.Action{UID: fmt.Sprint(i), Name: "add_module", Status: upload.Running, Begun: time.Unix(int64(i), 0).UTC()}
		require.NoError(t, s.SaveAction(t.Context(), &a, 3))
		a.Status, a.Code, a.Message = upload.Failed, upload.DependencyFailed, "why"
		require.NoError(t, s.SaveAction(t.Context(), &a, 3))
	}
	all, err := s.Actions(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 3)
	require.Equal(t, upload.Action{UID: "2", Name: "add_module", Status: upload.Failed, Code: upload.DependencyFailed, Message: "why", Begun: time.Unix(2, 0).UTC()}, all[0])
}
