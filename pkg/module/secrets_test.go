package module

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

// fakeSecrets knows which containers have files, and none that is called "lost".
type fakeSecrets struct {
	mu     sync.Mutex
	placed map[string]string // what was placed, by container
	lost   bool
}

func (f *fakeSecrets) Check(name string, secrets []Secret) error {
	for _, s := range secrets {
		if s.Sealed == "for another" {
			return fmt.Errorf("not for %s: %w", name, errdefs.ErrInvalidArgument)
		}
	}
	return nil
}

func (f *fakeSecrets) Mounts(id string, secrets []Secret) (mounts []Mount) {
	for _, s := range secrets {
		mounts = append(mounts, Mount{Source: "/secrets/" + id + "/" + s.Name, Destination: s.Path, ReadOnly: true})
	}
	return mounts
}

func (f *fakeSecrets) Place(id, name string, secrets []Secret, uid, gid uint32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost {
		return fmt.Errorf("secret is lost: %w", errdefs.ErrInvalidArgument)
	}
	if f.placed == nil {
		f.placed = map[string]string{}
	}
	f.placed[id] = fmt.Sprintf("%s %d:%d %d", name, uid, gid, len(secrets))
	return nil
}

func (f *fakeSecrets) Remove(id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.placed, id)
	return nil
}

func (f *fakeSecrets) Keep(ids []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id := range f.placed {
		if !slices.Contains(ids, id) {
			delete(f.placed, id)
		}
	}
	return nil
}

func (f *fakeSecrets) of(id string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.placed[id]
}

func TestSecretsAreCheckedAndCompleted(t *testing.T) {
	with := func(secrets ...Secret) *Spec {
		return &Spec{Name: "m", Type: "docker", Image: "i", Secrets: secrets}
	}
	good := with(Secret{Name: "b", File: "/etc/key"}, Secret{Name: "a.pem", Sealed: "x", Path: "/etc/app/key", Mode: 0o440})
	plain := with()
	require.NoError(t, plain.Validate())
	require.NoError(t, good.Validate())
	require.Equal(t, []Secret{{Name: "a.pem", Sealed: "x", Path: "/etc/app/key", Mode: 0o440}, {Name: "b", File: "/etc/key", Path: "/run/secrets/b"}}, good.Secrets)
	other := with(Secret{Name: "b", File: "/etc/key"}, Secret{Name: "a.pem", Sealed: "y", Path: "/etc/app/key", Mode: 0o440})
	require.NoError(t, other.Validate())
	require.NotEqual(t, plain.Digest(), good.Digest())
	require.NotEqual(t, other.Digest(), good.Digest())

	for _, bad := range []Secret{
		{Name: "", File: "/f"},
		{Name: "..", File: "/f"},
		{Name: "a/b", File: "/f"},
		{Name: "a b", File: "/f"},
		{Name: strings.Repeat("a", 129), File: "/f"},
		{Name: "a"},
		{Name: "a", File: "/f", Sealed: "x"},
		{Name: "a", File: "f"},
		{Name: "a", File: "/f/../g"},
		{Name: "a", File: "/"},
		{Name: "a", File: "/f", Path: "relative"},
		{Name: "a", File: "/f", Path: "/run/../etc/passwd"},
		{Name: "a", File: "/f", Path: "/a//b"},
		{Name: "a", File: "/f", Path: "/a/"},
		{Name: "a", File: "/f", Path: "/a\nb"},
		{Name: "a", File: "/f", Path: "/"},
		{Name: "a", File: "/f", Path: "/proc/sys/kernel/core_pattern"},
		{Name: "a", File: "/f", Path: "/dev/null"},
		{Name: "a", File: "/f", Path: "/sys"},
		{Name: "a", File: "/f", Mode: 0o4755},
	} {
		err := with(bad).Validate()
		require.ErrorIs(t, err, errdefs.ErrInvalidArgument, "%+v", bad)
		require.ErrorContains(t, err, fmt.Sprintf("settings.secrets[%q]", bad.Name))
	}
	for _, p := range []string{"/x/a", "/x/a/b", "/x"} {
		require.ErrorContains(t, with(Secret{Name: "a", File: "/f", Path: "/x/a"}, Secret{Name: "b", File: "/f", Path: p}).Validate(), "its path")
	}
	require.Error(t, with(make([]Secret, maxSecrets+1)...).Validate())
}

func TestSecretsAreThereWhileTheModuleRuns(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		wish := spec("a")
		wish.Secrets = []Secret{{Name: "s", File: "/f"}}
		_, err := d.s.Create(t.Context(), wish)
		require.NoError(t, err)
		id := ContainerID("a", 1)
		require.Empty(t, d.secrets.of(id), "not before it runs")
		require.NoError(t, d.s.Start(t.Context(), "a"))
		require.Equal(t, "a 1000:100 1", d.secrets.of(id))
		require.NoError(t, d.s.Stop(t.Context(), "a", false))
		synctest.Wait() // the answer comes before what is left of the task is removed
		require.Empty(t, d.secrets.of(id))

		d.secrets.lost = true
		require.ErrorIs(t, d.s.Start(t.Context(), "a"), errdefs.ErrInvalidArgument)
		require.False(t, d.engine.runs(id), "not without what it needs")
		d.secrets.lost = false
		d.engine.set("task "+id, fmt.Errorf("no: %w", errdefs.ErrInvalidArgument))
		require.Error(t, d.s.Start(t.Context(), "a"))
		require.Empty(t, d.secrets.of(id), "a start that fails leaves none")

		d.engine.set("task "+id, nil)
		_, err = d.s.Update(t.Context(), wish, true, nil)
		require.NoError(t, err)
		require.Equal(t, "a 1000:100 1", d.secrets.of(ContainerID("a", 2)))
		require.Empty(t, d.secrets.of(id))

		wish.Secrets = []Secret{{Name: "s", Sealed: "for another"}}
		_, err = d.s.Update(t.Context(), wish, true, nil)
		require.ErrorIs(t, err, errdefs.ErrInvalidArgument)
		require.NoError(t, d.s.Delete(t.Context(), "a"))
		require.Empty(t, d.secrets.placed)
	})
}
