package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func storeIn(t *testing.T) *Store { return NewStore(filepath.Join(t.TempDir(), "volumes")) }

func (s *Store) mustMake(t *testing.T, w Wish) {
	t.Helper()
	made, err := s.Make(t.Context(), w, func(data string) error {
		return os.WriteFile(filepath.Join(data, "file"), []byte(w.Name), 0o600)
	})
	require.NoError(t, err)
	require.True(t, made)
}

// left are the names of all that is in the store's folder.
func (s *Store) left(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(s.dir)
	require.NoError(t, err)
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestNamesAreDockers(t *testing.T) {
	for _, name := range []string{"ab", "0_", "My.Data-1", strings.Repeat("a", 255), strings.Repeat("a", 63)} {
		require.NoError(t, CheckName(name), name)
	}
	for _, name := range []string{"", "a", ".a", "-a", "a/b", "..", "a b", "a\n", "é1", strings.Repeat("a", 256), strings.Repeat("a", 64), Anonymous("m", "/v")} {
		require.True(t, errdefs.IsInvalidArgument(CheckName(name)), name)
	}
	require.NotEqual(t, Anonymous("a", "/b"), Anonymous("a", "/c"))
	require.NotEqual(t, Anonymous("a", "/b"), Anonymous("b", "/b"))
	require.True(t, IsAnonymous(Anonymous("a", "/b")))
}

func TestAVolumeIsFilledOnceAndRemembered(t *testing.T) {
	s := storeIn(t)
	before := time.Now()
	s.mustMake(t, Wish{Name: "data", Labels: map[string]string{"a": "b"}})
	made, err := s.Make(t.Context(), Wish{Name: "data"}, func(string) error { return errors.New("filled again") })
	require.NoError(t, err)
	require.False(t, made)
	v, err := NewStore(s.dir).Get("data")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "b"}, v.Labels)
	require.WithinRange(t, v.Created, before, time.Now())
	require.FileExists(t, filepath.Join(s.Path("data"), "file"))
	info, err := os.Stat(s.dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm(), "nobody but root reads them on the host")
}

func TestATryThatFailsLeavesNothing(t *testing.T) {
	s := storeIn(t)
	for _, fail := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		_, err := s.Make(t.Context(), Wish{Name: "data"}, func(data string) error {
			require.NoError(t, os.WriteFile(filepath.Join(data, "half"), nil, 0o600))
			return fmt.Errorf("copy: %w", fail)
		})
		require.True(t, errdefs.IsUnavailable(err), "%v", err)
		require.ErrorContains(t, err, `cannot make volume "data": the disk is full`)
		require.Empty(t, s.left(t))
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.Make(ctx, Wish{Name: "data"}, func(string) error { cancel(); return nil })
	require.True(t, errdefs.IsUnavailable(err), "%v", err)
	require.Empty(t, s.left(t))
	s.mustMake(t, Wish{Name: "data"})
}

func TestTwoWhoAskForAVolumeFindItFilled(t *testing.T) {
	s := storeIn(t)
	begun, goOn := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := s.Make(t.Context(), Wish{Name: "data"}, func(data string) error {
			close(begun)
			<-goOn
			return os.WriteFile(filepath.Join(data, "file"), nil, 0o600)
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Make(ctx, Wish{Name: "data"}, nil)
	require.True(t, errdefs.IsUnavailable(err), "%v", err)
	wg.Go(func() {
		made, err := s.Make(t.Context(), Wish{Name: "data"}, nil)
		if err != nil || made {
			t.Error(made, err)
		}
		if _, err := os.Stat(filepath.Join(s.Path("data"), "file")); err != nil {
			t.Error(err)
		}
	})
	close(goOn)
	wg.Wait()
}

func TestARestoredFolderIsAVolume(t *testing.T) {
	s := storeIn(t)
	require.NoError(t, os.MkdirAll(s.Path("restored"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(s.dir, "no-volume"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(s.dir, ".new-1", "_data"), 0o755))
	s.mustMake(t, Wish{Name: "broken"})
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "broken", infoFile), []byte("{"), 0o600))
	all, err := s.List()
	require.Error(t, err, "it is said")
	require.Len(t, all, 1, "and hides no other")
	require.Equal(t, "restored", all[0].Name)
	require.NoError(t, s.Remove("broken"), "what cannot be read can be removed")
}

func TestWhatIsHeldIsNotRemoved(t *testing.T) {
	s := storeIn(t)
	s.Hold("app-g1", "app", []string{"data"})
	s.mustMake(t, Wish{Name: "data"})
	err := s.Remove("data")
	require.True(t, errdefs.IsFailedPrecondition(err), "%v", err)
	require.EqualError(t, err, `volume "data" is in use by module app: failed precondition`)
	s.Release("app-g1")
	require.NoError(t, s.Remove("data"))
	require.True(t, errdefs.IsNotFound(s.Remove("data")))
	require.Empty(t, s.left(t))
}

func TestNamesThatAreNoVolumesAreNotFound(t *testing.T) {
	s := storeIn(t)
	s.mustMake(t, Wish{Name: "data"})
	outside := filepath.Join(filepath.Dir(s.dir), "outside", dataDir)
	require.NoError(t, os.MkdirAll(outside, 0o755))
	for _, name := range []string{"", ".", "..", "../outside", "data/../data", "none", "data/_data"} {
		require.True(t, errdefs.IsNotFound(s.Remove(name)), name)
	}
	require.DirExists(t, outside)
	require.Equal(t, []string{"data"}, s.left(t))
}

func TestRemovingFollowsNoLink(t *testing.T) {
	s := storeIn(t)
	outside := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "file"), nil, 0o600))
	s.mustMake(t, Wish{Name: "data"})
	require.NoError(t, os.Symlink(outside, filepath.Join(s.Path("data"), "link")))
	require.NoError(t, s.Remove("data"))
	require.FileExists(t, filepath.Join(outside, "file"))
}

func TestAnonymousVolumesGoWithTheirModule(t *testing.T) {
	s := storeIn(t)
	for _, module := range []string{"app", "other"} {
		s.mustMake(t, Wish{Name: Anonymous(module, "/v"), Module: module})
	}
	s.mustMake(t, Wish{Name: "data"})
	s.Hold("app-g1", "app", []string{Anonymous("app", "/v")}) // a container that could not be removed cleanly
	require.NoError(t, s.Forget("app"))
	require.NoError(t, s.Forget("nobody"))
	require.ElementsMatch(t, []string{"data", Anonymous("other", "/v")}, s.left(t))
}

func TestSweepRemovesWhatNobodyCanWant(t *testing.T) {
	s := storeIn(t)
	require.NoError(t, s.Sweep(nil), "there is no folder yet")
	for _, module := range []string{"here", "gone", "coming"} {
		s.mustMake(t, Wish{Name: Anonymous(module, "/v"), Module: module})
	}
	s.mustMake(t, Wish{Name: "data"})
	s.Hold("coming-g1", "coming", []string{Anonymous("coming", "/v")})
	require.NoError(t, os.MkdirAll(filepath.Join(s.dir, ".new-1", dataDir), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(s.dir, ".gone-1", "data", dataDir), 0o700))
	// What is being made at this moment stays.
	_, err := s.Make(t.Context(), Wish{Name: "slow"}, func(string) error { return s.Sweep([]string{"here"}) })
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"data", "slow", Anonymous("here", "/v"), Anonymous("coming", "/v")}, s.left(t))
}

func TestASweepPassesOverWhatIsTakenIntoUseMeanwhile(t *testing.T) {
	s := storeIn(t)
	name := Anonymous("coming", "/v")
	s.mustMake(t, Wish{Name: name, Module: "coming"})
	require.NoError(t, s.removeAll(false, func(*Volume) bool {
		s.Hold("coming-g1", "coming", []string{name})
		return true
	}))
	require.Equal(t, []string{name}, s.left(t))
}

func TestAFullDiskDoesNotKeepAVolumeFromGoing(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,nr_inodes=16"))
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	s := NewStore(dir)
	s.mustMake(t, Wish{Name: "data"})
	var err error
	for i := 0; err == nil; i++ {
		err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("filler%d", i)), make([]byte, 16<<10), 0o600)
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	_, err = s.Make(t.Context(), Wish{Name: "more"}, nil)
	require.True(t, errdefs.IsUnavailable(err), "%v", err)
	require.NoError(t, s.Remove("data"))
}
