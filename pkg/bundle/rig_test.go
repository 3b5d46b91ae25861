package bundle

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
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/pkg/content"
	"github.com/edged/edged/pkg/pack/packtest"
)

func TestMain(m *testing.M) {
	logrus.SetLevel(logrus.ErrorLevel) // of the content store, which says what file system there is
	goleak.VerifyTestMain(m)
}

// memory is a database that outlives the bundles, and fails when it is told to.
type memory struct {
	mu    sync.Mutex
	rows  map[[2]string]Record
	notes map[string]string
	fail  error
}

func (m *memory) Bundles(context.Context) ([]Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.rows)), nil
}

func (m *memory) SaveBundles(ctx context.Context, put []Record, remove []Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := errors.Join(m.fail, ctx.Err()); err != nil {
		return err
	}
	for _, k := range remove {
		delete(m.rows, k.unique())
	}
	for _, r := range put {
		m.rows[r.unique()] = r
	}
	return nil
}

func (m *memory) Note(_ context.Context, key string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.notes[key], nil
}

func (m *memory) SetNote(_ context.Context, key, value string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.notes[key] = value
	return m.fail
}

// fakeHost is where the world runs, or would.
type fakeHost struct {
	mu     sync.Mutex
	absent bool
	wanted bool
	// restart is what a restart does.
	restart func()
}

func (h *fakeHost) Installed(context.Context) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.absent, nil
}

func (h *fakeHost) Want() { h.want(true) }

func (h *fakeHost) Rest(context.Context) error {
	h.want(false)
	return nil
}

func (h *fakeHost) want(run bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wanted = run
}

// Restart is another run of the framework, which connects.
func (h *fakeHost) Restart(context.Context) error {
	h.restart()
	return nil
}

func (h *fakeHost) wants() bool {
	synctest.Wait()
	time.Sleep(2 * idleTime)
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wanted
}

func (h *fakeHost) Why(context.Context) string { return "it fell over" }

// rig is bundles with all that is around them.
type rig struct {
	*Bundles
	t     *testing.T
	w     *world
	host  *fakeHost
	store *memory
	root  string
	stop  func()
}

const (
	testMaxSize   = 64 << 10
	testFreeFloor = 1 << 10
)

// onDevice runs a test in a time of its own, with a framework that runs.
func onDevice(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Helper()
	bare(t, func(t *testing.T, r *rig) {
		r.connect()
		f(t, r)
	})
}

// bare is onDevice with a framework that does not run.
func bare(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, w: newWorld(t), host: &fakeHost{}, store: &memory{rows: map[[2]string]Record{}, notes: map[string]string{}}, root: folder(t)}
		r.host.restart = func() {
			for _, s := range r.w.sessions {
				s.End()
			}
			r.w.reboot()
			r.connect()
		}
		r.boot()
		defer func() { r.stop() }()
		f(t, r)
	})
}

// folder is in memory, where there is one: hundreds are made, and each bundle in one would
// wait for the disk.
func folder(t *testing.T) string {
	t.Helper()
	name, err := os.MkdirTemp("/dev/shm", "bundles")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(name)) })
	return name
}

// boot begins edged.
func (r *rig) boot() {
	r.t.Helper()
	blobs, err := content.Open(r.root)
	require.NoError(r.t, err)
	silent := logrus.New()
	silent.SetOutput(io.Discard)
	r.Bundles, err = Open(r.t.Context(), Config{
		Content: blobs, Store: r.store, Host: r.host, MaxSize: testMaxSize, FreeFloor: testFreeFloor, ServerVersion: "8.1.2", Log: silent,
	})
	require.NoError(r.t, err)
	_, err = blobs.Sweep(r.t.Context())
	require.NoError(r.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	b := r.Bundles
	go func() {
		defer close(done)
		b.Run(ctx)
	}()
	r.stop = func() {
		b.Close()
		cancel()
		<-done
	}
}

// restart ends edged and begins it anew; the framework runs on.
func (r *rig) restart() {
	r.t.Helper()
	r.stop()
	r.boot()
	r.connect()
}

// connect lets the framework connect, and waits until it is settled.
func (r *rig) connect() *fakeSession {
	for _, s := range r.w.sessions {
		s.End()
	}
	s := r.w.connect()
	r.Connected(s)
	synctest.Wait()
	return s
}

func (r *rig) session0() *fakeSession { return r.w.sessions[len(r.w.sessions)-1] }

// jar is a bundle; further headers are a name and a value each.
func jar(name, version string, headers ...string) []byte {
	all := map[string]string{"Bundle-SymbolicName": name, "Bundle-Version": version}
	for i := 0; i < len(headers); i += 2 {
		all[headers[i]] = headers[i+1]
	}
	return packtest.Bundle{Headers: all}.Bytes()
}

// try installs bundles.
func (r *rig) try(opt Options, jars ...[]byte) ([]Key, error) {
	u, err := r.Receive(-1)
	if err != nil {
		return nil, err
	}
	defer u.Abort()
	for _, j := range jars {
		if err := u.Add(r.t.Context(), bytes.NewReader(j)); err != nil {
			return nil, err
		}
	}
	return u.Install(r.t.Context(), opt)
}

func (r *rig) install(jars ...[]byte) {
	r.t.Helper()
	_, err := r.try(Options{}, jars...)
	require.NoError(r.t, err)
}

func (r *rig) run(jars ...[]byte) {
	r.t.Helper()
	_, err := r.try(Options{Start: true}, jars...)
	require.NoError(r.t, err)
}

// state is what is told of a bundle.
func (r *rig) state(key string) State {
	r.t.Helper()
	i, err := r.Info(r.t.Context(), key)
	require.NoError(r.t, err)
	return i.State
}

// states are all that the world has through edged, with a star where they are started persistently.
func (r *rig) states() string {
	var all []string
	for _, a := range r.w.picture() {
		if !strings.HasPrefix(a.Location, locationPrefix) {
			continue
		}
		text := a.SymbolicName + "/" + a.Version + " " + string(a.State)
		if a.Persistent {
			text += "*"
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func (w *world) picture() []Actual {
	w.mu.Lock()
	defer w.mu.Unlock()
	return (&fakeSession{w: w}).picture().All
}

// wanted are the rows, with a star where they are to be started.
func (r *rig) wanted() string {
	var all []string
	for _, row := range r.List() {
		text := row.Name + "/" + row.Version
		if row.Started {
			text += "*"
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// consistent fails when anything is left of what is not remembered, or the other way about.
func (r *rig) consistent() {
	r.t.Helper()
	synctest.Wait()
	blobs := map[string]bool{}
	for _, row := range r.List() {
		blobs[row.Digest.Encoded()] = true
		saved, ok := r.store.rows[row.unique()]
		require.True(r.t, ok, "%s is not saved", row.Key)
		require.Equal(r.t, *row, saved)
	}
	require.Len(r.t, r.store.rows, len(r.List()))
	require.Equal(r.t, slices.Sorted(maps.Keys(blobs)), files(r.t, filepath.Join(r.root, "blobs", "sha256")))
	require.Empty(r.t, files(r.t, filepath.Join(r.root, "ingest")))
	_, promised, err := r.Content.Room()
	require.NoError(r.t, err)
	require.Zero(r.t, promised)
	r.mu.Lock()
	slots := r.slots
	r.mu.Unlock()
	require.Zero(r.t, slots)
}

// settled is consistent, and the framework has what is remembered.
func (r *rig) settled() {
	r.t.Helper()
	r.consistent()
	var rows, there []string
	for _, row := range r.List() {
		rows = append(rows, fmt.Sprint(row.Location(), " ", row.Digest, " ", row.Started))
	}
	for _, a := range r.w.picture() {
		if strings.HasPrefix(a.Location, locationPrefix) {
			there = append(there, fmt.Sprint(a.Location, " ", a.Digest, " ", a.Persistent))
		}
	}
	slices.Sort(rows)
	slices.Sort(there)
	require.Equal(r.t, rows, there)
}

func files(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		require.ErrorIs(t, err, os.ErrNotExist)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}
