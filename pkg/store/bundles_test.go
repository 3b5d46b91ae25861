package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/bundle"
)

func TestBundlesComeBackAsTheyWere(t *testing.T) {
	s := open(t, t.TempDir())
	a := bundle.Record{
		Key: bundle.Key{Group: "org.example", Name: "a", Version: "1.0.0"}, Kind: bundle.Module, Started: true, Digest: "sha256:x", Size: 3, Uploaded: "sha256:y",
		Sequence: 7, Installed: time.Now().UTC().Truncate(time.Second), Updated: time.Now().UTC().Truncate(time.Second), ImplementationVersion: "1", RequiredVersion: "8.1", Title: "A", Vendor: "V",
	}
	b := bundle.Record{Key: bundle.Key{Name: "b", Version: "2.0.0"}}
	require.NoError(t, s.SaveBundles(t.Context(), []bundle.Record{b, a}, nil))
	all, err := s.Bundles(t.Context())
	require.NoError(t, err)
	require.Equal(t, []bundle.Record{a, b}, all)
	a.Started = false
	require.NoError(t, s.SaveBundles(t.Context(), []bundle.Record{a}, []bundle.Key{b.Key, {Name: "none", Version: "1.0.0"}}))
	all, err = s.Bundles(t.Context())
	require.NoError(t, err)
	require.Equal(t, []bundle.Record{a}, all)
}
