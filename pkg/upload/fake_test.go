package upload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/contrib/imagetar/archive"
	"github.com/edged/edged/pkg/content"
	"github.com/edged/edged/pkg/pack"
	"github.com/edged/edged/pkg/pack/packtest"
)

// fakeStore is a database that outlives the packages, and fails when it is told to.
type fakeStore struct {
	mu       sync.Mutex
	rows     map[string]Record
	counters map[string]int64
	actions  []Action
	fail     map[Phase]error
	// failDelete fails removals of rows.
	failDelete error
}

func newStore() *fakeStore {
	return &fakeStore{rows: map[string]Record{}, counters: map[string]int64{}, fail: map[Phase]error{}}
}

func (s *fakeStore) Packages(context.Context) ([]Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.rows)), nil
}

func (s *fakeStore) SavePackage(_ context.Context, r *Record, c *Counter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fail[r.Phase]; err != nil {
		return err
	}
	s.rows[r.UID] = *r
	if c != nil {
		s.counters[c.Name] = max(s.counters[c.Name], c.Value)
	}
	return nil
}

func (s *fakeStore) DeletePackage(_ context.Context, uid string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failDelete == nil {
		delete(s.rows, uid)
	}
	return s.failDelete
}

func (s *fakeStore) PackageCounter(_ context.Context, name string) (int64, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.counters[name]
	return n, ok, nil
}

func (s *fakeStore) Actions(context.Context) ([]Action, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.actions), nil
}

func (s *fakeStore) SaveAction(_ context.Context, a *Action, keep int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.actions = slices.DeleteFunc(s.actions, func(old Action) bool { return old.UID == a.UID })
	s.actions = append(s.actions, *a)
	s.actions = s.actions[max(len(s.actions)-keep, 0):]
	return nil
}

// fakeImages is a containerd that knows images by name, and what packages keep.
type fakeImages struct {
	mu      sync.Mutex
	kept    map[string]PackageImage
	blobs   map[string][]string // digests that came, by uid
	layers  map[string][]byte
	base    bool
	fetched int
	fail    error
	// failHalf fails removals that have removed.
	failHalf error
	imports  int
}

func newImages() *fakeImages {
	return &fakeImages{kept: map[string]PackageImage{}, blobs: map[string][]string{}, layers: map[string][]byte{}, base: true}
}

func (f *fakeImages) ImportPackage(_ context.Context, a *Archive) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.imports++
	if f.fail != nil {
		return f.fail
	}
	if err := a.Blobs(func(d ocispec.Descriptor, r io.Reader) error {
		f.blobs[a.UID] = append(f.blobs[a.UID], d.Digest.String())
		_, err := io.Copy(io.Discard, r)
		return err
	}); err != nil {
		return err
	}
	f.kept[a.UID] = PackageImage{a.UID, a.Name, a.Manifest.Digest.String()}
	return nil
}

func (f *fakeImages) DerivePackage(_ context.Context, d *Derived) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return "", f.fail
	}
	if !f.base {
		return "", fmt.Errorf("no base: %w", errdefs.ErrNotFound)
	}
	var b bytes.Buffer
	if err := d.Layer(&b); err != nil {
		return "", err
	}
	f.layers[d.UID] = b.Bytes()
	f.kept[d.UID] = PackageImage{d.UID, d.Name, "sha256:" + d.UID}
	return "sha256:" + d.UID, nil
}

func (f *fakeImages) HavePackage(_ context.Context, uid, _, _ string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.kept[uid]
	if errdefs.IsUnavailable(f.fail) {
		return false, f.fail
	}
	return ok, nil
}

func (f *fakeImages) PackageImages(context.Context) ([]PackageImage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Values(f.kept)), f.fail
}

func (f *fakeImages) RemovePackage(_ context.Context, uid, _, _ string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail == nil {
		delete(f.kept, uid)
	}
	return errors.Join(f.fail, f.failHalf)
}

func (f *fakeImages) FetchBase(context.Context, string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fetched++
	if !f.base {
		return errdefs.ErrUnavailable
	}
	return nil
}

func (f *fakeImages) names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for _, k := range f.kept {
		all = append(all, k.Name)
	}
	slices.Sort(all)
	return all
}

// fakeGuard has modules that name images.
type fakeGuard struct{ named map[string]string }

func (g *fakeGuard) WithoutUsers(ctx context.Context, name, _ string, remove func(context.Context) error) error {
	if user := g.named[name]; user != "" {
		return fmt.Errorf("image %s is named by %s: %w", name, user, errdefs.ErrFailedPrecondition)
	}
	return remove(ctx)
}

// fakeHosts is what can be fetched.
type fakeHosts map[string][]byte

func (h fakeHosts) Fetch(_ context.Context, url string, _ int64) (io.ReadCloser, error) {
	switch {
	case strings.Contains(url, "evil"):
		return nil, errdefs.ErrInvalidArgument
	case strings.Contains(url, "away"):
		return nil, errdefs.ErrUnavailable
	case h[url] == nil:
		return nil, errdefs.ErrNotFound
	case strings.Contains(url, "broken"):
		return io.NopCloser(io.MultiReader(bytes.NewReader(h[url][:10]), broken{})), nil
	}
	return io.NopCloser(bytes.NewReader(h[url])), nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

// rig is a device with all behind the packages made up, but for the disk.
type rig struct {
	t      *testing.T
	home   string
	store  *fakeStore
	images *fakeImages
	guard  *fakeGuard
	hosts  fakeHosts
	keys   []pack.Key
	*Packages
}

func newRig(t *testing.T, edit func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, home: t.TempDir(), store: newStore(), images: newImages(), guard: &fakeGuard{map[string]string{}}, hosts: fakeHosts{}}
	r.start(edit)
	t.Cleanup(func() { r.Close() })
	return r
}

// start opens the packages, as a start of edged does.
func (r *rig) start(edit func(*Config)) {
	r.t.Helper()
	log := logrus.New()
	log.SetOutput(r.t.Output())
	blobs, err := content.Open(filepath.Join(r.home, "content"))
	require.NoError(r.t, err)
	cfg := Config{
		Content: blobs, Store: r.store, Images: r.images, Guard: r.guard, Fetcher: r.hosts, MaxSize: 1 << 20, FreeFloor: 1 << 10, RedisImage: "redis:7", Log: log,
		Device: Device{
			RedisVersion: "7.2", RedisPackVersion: "6.2.8", Capabilities: []string{"types"}, Systems: []string{"debian"}, SystemVersion: "12",
			Platform: platforms.Default(), Architecture: pack.Architecture(packtest.Machine()),
		},
		Trust: func() ([]pack.Key, error) { return r.keys, nil }, Policy: map[pack.Format]Policy{},
	}
	if edit != nil {
		edit(&cfg)
	}
	r.Packages, err = Open(r.t.Context(), cfg)
	require.NoError(r.t, err)
	_, err = blobs.Sweep(r.t.Context())
	require.NoError(r.t, err)
}

// receive stages bytes.
func (r *rig) receive(b []byte) *Upload {
	r.t.Helper()
	u, err := r.Receive(r.t.Context(), int64(len(b)))
	require.NoError(r.t, err)
	_, err = u.ReadFrom(bytes.NewReader(b))
	require.NoError(r.t, err)
	return u
}

func (r *rig) add(b []byte) (*Package, error) {
	r.t.Helper()
	return r.receive(b).Add(r.t.Context())
}

func (r *rig) added(b []byte) *Package {
	r.t.Helper()
	p, err := r.add(b)
	require.NoError(r.t, err)
	return p
}

// left is what is on the disk: blobs and ingests.
func (r *rig) left() (blobs, ingests int) {
	r.t.Helper()
	count := func(folder string) int {
		entries, err := os.ReadDir(filepath.Join(r.home, "content", folder))
		if !os.IsNotExist(err) {
			require.NoError(r.t, err)
		}
		return len(entries)
	}
	return count("blobs/sha256"), count("ingest")
}

// promised is what uploads under way still have to write.
func (r *rig) promised() int64 {
	r.t.Helper()
	_, promised, err := r.Content.Room()
	require.NoError(r.t, err)
	return promised
}

// nothingLeft is how a device is without packages.
func (r *rig) nothingLeft() {
	r.t.Helper()
	blobs, ingests := r.left()
	require.Zero(r.t, blobs+ingests, "blobs %d, ingests %d", blobs, ingests)
	rows, err := r.store.Packages(r.t.Context())
	require.NoError(r.t, err)
	require.Empty(r.t, rows)
	require.Empty(r.t, r.List().Packages)
	require.Empty(r.t, r.images.names())
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Zero(r.t, r.slots)
	require.Zero(r.t, r.promised())
	require.Empty(r.t, r.locks)
	require.Empty(r.t, r.records)
}

func anImage(t *testing.T, ref, arch string) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, archive.Write(&b, archive.Image{
		Ref: ref, Platform: ocispec.Platform{OS: "linux", Architecture: arch}, Compress: true, Layers: []archive.Layer{{"/bin/sh": {Body: []byte(ref)}}},
	}))
	return b.Bytes()
}
