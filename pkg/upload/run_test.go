package upload

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/pack/packtest"
)

func TestWhatIsInUseStays(t *testing.T) {
	users := &fakeUser{}
	r := newRig(t, func(c *Config) { c.Users = []User{users} })
	p := r.added(packtest.RAMP{}.Bytes())
	r.guard.named[p.Image.Name] = "module m"
	err := r.Delete(t.Context(), p.UID)
	require.Equal(t, ModuleInUse, CodeOf(err))
	require.ErrorIs(t, err, errdefs.ErrFailedPrecondition)
	require.ErrorContains(t, err, "module m")
	delete(r.guard.named, p.Image.Name)
	users.of = []string{"bundle b"}
	require.ErrorContains(t, r.Delete(t.Context(), p.UID), "bundle b")
	users.of = nil
	require.NoError(t, r.Delete(t.Context(), p.UID))
	r.nothingLeft()
}

type fakeUser struct{ of []string }

func (u *fakeUser) UsersOf(context.Context, *Package) ([]string, error) { return u.of, nil }

func TestWithoutContainerdBytesComeInAndNothingGoes(t *testing.T) {
	r := newRig(t, nil)
	r.images.fail = errdefs.ErrUnavailable
	ramp, im := r.added(packtest.RAMP{}.Bytes()), r.added(anImage(t, "app:1", runtime.GOARCH))
	require.NotEmpty(t, ramp.Image.Pending)
	require.NotEmpty(t, im.Image.Pending)
	blobs, _ := r.left()
	require.Equal(t, 2, blobs)
	require.ErrorIs(t, r.Delete(t.Context(), ramp.UID), errdefs.ErrUnavailable)
	require.Len(t, r.List().Packages, 2, "nothing went")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	require.Error(t, r.compare(ctx))
	r.images.fail = nil
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	require.Eventually(t, func() bool { return len(r.images.names()) == 2 }, waitAtMost, tick)
	cancel()
	<-done
	for _, p := range r.List().Packages {
		require.Empty(t, p.Image.Pending)
		require.True(t, p.Image.Made())
		require.NoError(t, r.Delete(t.Context(), p.UID))
	}
	r.nothingLeft()
}

func TestABaseThatIsNotHereIsFetched(t *testing.T) {
	r := newRig(t, nil)
	r.images.base = false
	p := r.added(packtest.RAMP{}.Bytes())
	require.Contains(t, p.Image.Pending, "no base")
	r.makeMissing(t.Context())
	require.Equal(t, 1, r.images.fetched)
	r.images.base = true
	r.makeMissing(t.Context())
	p, err := r.Get(p.UID)
	require.NoError(t, err)
	require.True(t, p.Image.Made())
	r.makeMissing(t.Context())
	require.Equal(t, 1, r.images.fetched, "it is there")
}

func TestAnArchiveThatIsNoImageHereIsRefused(t *testing.T) {
	r := newRig(t, nil)
	r.images.fail = errdefs.ErrInvalidArgument
	_, err := r.add(anImage(t, "app:1", runtime.GOARCH))
	require.Equal(t, InvalidModule, CodeOf(err))
	r.nothingLeft()
	r.images.fail = errdefs.ErrResourceExhausted
	_, err = r.add(anImage(t, "app:1", runtime.GOARCH))
	require.Equal(t, InsufficientStorage, CodeOf(err))
	r.nothingLeft()
	r.images.fail = nil
	r.Reserved = []string{"docker.io/library/agent:1"}
	_, err = r.add(anImage(t, "agent:1", runtime.GOARCH))
	require.Equal(t, InvalidModule, CodeOf(err))
	r.nothingLeft()
}

func TestWithoutABaseNoImageIsMade(t *testing.T) {
	r := newRig(t, func(c *Config) { c.RedisImage = "" })
	p := r.added(packtest.RAMP{}.Bytes())
	require.Equal(t, Image{}, p.Image)
	r.Close()
	r.start(nil) // now there is one
	require.NoError(t, r.compare(t.Context()))
	r.makeMissing(t.Context())
	p, err := r.Get(p.UID)
	require.NoError(t, err)
	require.True(t, p.Image.Made())
	require.NoError(t, r.Delete(t.Context(), p.UID))
	r.nothingLeft()
}

func TestACrashBetweenTwoStepsLeavesNothing(t *testing.T) {
	r := newRig(t, nil)
	p := r.added(packtest.RAMP{}.Bytes())
	row := r.store.rows[p.UID]
	r.Close()
	for name, tc := range map[string]struct {
		phase Phase
		image bool
		left  int
	}{"before the row": {Storing, false, 0}, "in a removal": {Deleting, true, 0}, "whole": {Ready, true, 1}} {
		row.Phase = tc.phase
		r.store.rows[p.UID] = row
		putFile(t, filepath.Join(r.home, "content", "ingest", "half", "data"), "half")
		putFile(t, filepath.Join(r.home, "content", "blobs", "sha256", packtest.SHA256([]byte("orphan"))), "orphan")
		r.start(nil)
		_, ingests := r.left()
		require.Zero(t, ingests)
		require.NoError(t, r.compare(t.Context()))
		blobs, _ := r.left()
		require.Equal(t, tc.left, blobs, name)
		require.Len(t, r.List().Packages, tc.left, name)
		if tc.left == 1 {
			require.NoError(t, r.Delete(t.Context(), p.UID))
		}
		r.nothingLeft()
		r.Close()
		r.start(nil)
		require.Equal(t, p.UID, r.added(packtest.RAMP{}.Bytes()).UID, "it can be brought again")
		r.Close()
	}
}

func putFile(t *testing.T, file, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
}

func TestPackagesThatAreGoneAreGone(t *testing.T) {
	r := newRig(t, nil)
	ramp, im := r.added(packtest.RAMP{}.Bytes()), r.added(anImage(t, "app:1", runtime.GOARCH))
	// containerd lost all: what has its bytes is made again, what has not is gone.
	r.images.kept = map[string]PackageImage{"unknown": {"unknown", "x:1", "sha256:x"}}
	require.NoError(t, r.compare(t.Context()))
	r.makeMissing(t.Context())
	require.Equal(t, []string{ramp.Image.Name}, r.images.names(), "an image of a package that nobody knows is removed")
	_, err := r.Get(im.UID)
	require.Equal(t, ModuleNotFound, CodeOf(err))
	r.Close()
	require.NoError(t, os.RemoveAll(filepath.Join(r.home, "content", "blobs")))
	r.start(nil)
	require.Empty(t, r.List().Packages)
	require.NoError(t, r.compare(t.Context()))
	r.nothingLeft()
}

func TestErrorsOfTheDatabaseLeaveNothing(t *testing.T) {
	r := newRig(t, nil)
	for _, phase := range []Phase{Storing, Ready} {
		r.store.fail[phase] = errors.New("disk I/O error")
		_, err := r.add(packtest.RAMP{}.Bytes())
		require.ErrorContains(t, err, "disk I/O error")
		delete(r.store.fail, phase)
		r.nothingLeft()
	}
	p := r.added(packtest.RAMP{}.Bytes())
	r.store.fail[Deleting] = errors.New("disk I/O error")
	require.Error(t, r.Delete(t.Context(), p.UID))
	require.Len(t, r.List().Packages, 1)
	delete(r.store.fail, Deleting)
	r.store.failDelete = errors.New("disk I/O error")
	require.Error(t, r.Delete(t.Context(), p.UID))
	require.Empty(t, r.List().Packages)
	require.True(t, r.removing(), "it is ended when it can be")
	r.store.failDelete = nil
	require.NoError(t, r.compare(t.Context()))
	r.nothingLeft()
}
