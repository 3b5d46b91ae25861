package module

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/peer"
)

// fakeStore keeps copies, as a database does: what the supervisor changes in a
// record afterwards is not in it.
type fakeStore struct {
	j         *journal
	mu        sync.Mutex
	records   map[string]Record
	instances map[string]peer.Instance
	notes     map[string]string
	fail      map[string]error // by verb
	obeys     bool             // contexts, as a database does
	identity  string           // begins generation ids; "genid-" when empty
}

func newFakeStore(j *journal) *fakeStore {
	return &fakeStore{j: j, records: map[string]Record{}, instances: map[string]peer.Instance{}, notes: map[string]string{}, fail: map[string]error{}}
}

func (s *fakeStore) set(verb string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail[verb] = err
}

func copyRecord(r *Record) Record {
	c := *r
	if r.Next != nil {
		next := *r.Next
		c.Next = &next
	}
	if r.Exit != nil {
		exit := *r.Exit
		c.Exit = &exit
	}
	return c
}

func (s *fakeStore) record(name string) (Record, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.records[name]
	return copyRecord(&r), ok
}

func (s *fakeStore) Modules(context.Context) ([]Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Record
	for _, name := range slices.Sorted(maps.Keys(s.records)) {
		r := s.records[name]
		all = append(all, copyRecord(&r))
	}
	return all, s.fail["modules"]
}

func (s *fakeStore) Instances(context.Context) ([]peer.Instance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.instances)), s.fail["instances"]
}

func (s *fakeStore) SaveModule(ctx context.Context, r *Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.obeys && ctx.Err() != nil {
		return ctx.Err()
	}
	if err := s.fail["module"]; err != nil {
		return err
	}
	s.j.note("save %s %s wanted=%t", r.Name, r.Phase, r.Wanted)
	s.records[r.Name] = copyRecord(r)
	return nil
}

func (s *fakeStore) SaveStart(_ context.Context, r *Record, in *peer.Instance) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fail["start"]; err != nil {
		return err
	}
	s.j.note("save start %s", in.ContainerID)
	s.instances[in.ContainerID] = *in
	s.records[r.Name] = copyRecord(r)
	return nil
}

func (s *fakeStore) SaveExit(_ context.Context, r *Record, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fail["exit"]; err != nil {
		return err
	}
	s.j.note("save exit %s", id)
	delete(s.instances, id)
	s.records[r.Name] = copyRecord(r)
	return nil
}

func (s *fakeStore) DeleteModule(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fail["delete"]; err != nil {
		return err
	}
	delete(s.records, name)
	return nil
}

func (s *fakeStore) EnsureIdentity(_ context.Context, name string) (moduleID, generationID string, err error) {
	return name, cmp.Or(s.identity, "genid-") + name, nil
}

func (s *fakeStore) TouchImage(context.Context, string, string) error { return nil }

func (s *fakeStore) Note(_ context.Context, key string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.notes[key], nil
}

func (s *fakeStore) SetNote(_ context.Context, key, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes[key] = value
	return nil
}

type fakeSockets struct {
	mu    sync.Mutex
	there map[string]bool // module -> management
}

func (s *fakeSockets) Dir(module string) string { return "/run/x/" + module }

func (s *fakeSockets) Ensure(module string, management bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.there[module] = management
	return nil
}

func (s *fakeSockets) Remove(module string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.there, module)
	return nil
}

type fakeLogs struct {
	j    *journal
	mute *atomic.Bool // every logger has died
}

func (fakeLogs) GenerationDir(module string, generation int64) string {
	return fmt.Sprintf("/logs/%s/%d", module, generation)
}

func (l fakeLogs) LoggerAlive(string, int64) bool { return !l.mute.Load() }

func (l fakeLogs) Prune(module string, keep ...int64) error {
	l.j.note("prune %s %v", module, keep)
	return nil
}

func (l fakeLogs) Remove(module string) error {
	l.j.note("remove logs %s", module)
	return nil
}

// device is a supervisor with surroundings that outlive it.
type device struct {
	t       *testing.T
	j       *journal
	engine  *fakeEngine
	store   *fakeStore
	sockets *fakeSockets
	table   *peer.Table
	secrets fakeSecrets
	mute    atomic.Bool // see fakeLogs
	log     safeBuffer
	// restored is the next supervisor's.
	restored bool
	s        *Supervisor
}

// safeBuffer holds what was logged.
type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// onDevice runs a test in a bubble of its own time, with a device that is up.
func onDevice(t *testing.T, f func(t *testing.T, d *device)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.boot(false)
		defer d.shutDown()
		f(t, d)
	})
}

func newDevice(t *testing.T) *device {
	j := &journal{}
	return &device{t: t, j: j, engine: newFakeEngine(j), store: newFakeStore(j), sockets: &fakeSockets{there: map[string]bool{}}}
}

// boot starts a supervisor and waits until all is quiet.
func (d *device) boot(powerCut bool) {
	d.t.Helper()
	d.open(powerCut)
	d.s.Run()
	synctest.Wait()
}

func (d *device) open(powerCut bool) {
	d.t.Helper()
	log := logrus.New()
	log.SetOutput(&d.log)
	d.table = peer.NewTable("edged")
	var err error
	d.s, err = Open(d.t.Context(), Config{
		Store: d.store, Engine: d.engine, Recorder: d.engine, Table: d.table, Sockets: d.sockets, Logs: fakeLogs{d.j, &d.mute}, Identities: d.store, Secrets: &d.secrets,
		Identity: IdentityEnv{DeviceID: "dev"}, PowerCut: powerCut, Restored: d.restored, Log: log,
	})
	require.NoError(d.t, err)
}

func (d *device) shutDown() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	d.s.Close(ctx)
}

// reboot ends every process, as a power cut does, and starts edged again.
func (d *device) reboot() {
	d.shutDown()
	d.engine.mu.Lock()
	clear(d.engine.tasks)
	for len(d.engine.events) > 0 {
		<-d.engine.events
	}
	d.engine.mu.Unlock()
	d.boot(true)
}

func spec(name string) Spec {
	return Spec{Name: name, Type: "docker", Image: "image", CreateOptions: json.RawMessage("{}"), PullPolicy: PullNever}
}

func (d *device) create(s Spec) {
	d.t.Helper()
	_, err := d.s.Create(d.t.Context(), s)
	require.NoError(d.t, err)
}

// running makes a module with a restart policy and starts it.
func (d *device) running(name string, policy RestartPolicy) string {
	d.t.Helper()
	s := spec(name)
	s.Image = "image-of-" + name
	d.engine.policy(s.Image, policy)
	d.create(s)
	require.NoError(d.t, d.s.Start(d.t.Context(), name))
	return ContainerID(name, 1)
}

func (d *device) state(name string) *State {
	d.t.Helper()
	st, err := d.s.Get(d.t.Context(), name)
	require.NoError(d.t, err)
	return st
}

func (d *device) absent(name string) {
	d.t.Helper()
	_, err := d.s.Get(d.t.Context(), name)
	require.True(d.t, errdefs.IsNotFound(err), "%v", err)
}

// after lets time pass and all that it brings happen.
func after(wait time.Duration) {
	time.Sleep(wait) // of the bubble
	synctest.Wait()
}

var (
	no     = RestartPolicy{Name: "no"}
	always = RestartPolicy{Name: "always"}
)
