package upload

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/edged/edged/pkg/content"
	"github.com/edged/edged/pkg/pack"
	"github.com/edged/edged/pkg/work"
)

// Deadlines of work that an accepted upload began. It goes on when its client leaves.
const (
	addTimeout    = 2 * time.Hour
	deleteTimeout = 5 * time.Minute
)

// uploadsAtOnce bounds uploads under way: each has buffers of some MiB.
const uploadsAtOnce = 4

// Config is what Packages need.
type Config struct {
	// Content has the bytes of packages, among others; whoever opened it sweeps it.
	Content *content.Store
	Store   Store
	Images  Images
	Guard   Guard
	// Users are parts of edged, beside modules, that use packages.
	Users   []User
	Fetcher Fetcher
	Device  Device
	// Trust reads the keys that are trusted, and Policy is that of each format.
	Trust  func() ([]pack.Key, error)
	Policy map[pack.Format]Policy
	// MaxSize of a package, and FreeFloor, the free disk space that it must leave; in bytes.
	MaxSize, FreeFloor int64
	// Reserved are images, by their whole names, that no package may be.
	Reserved []string
	// RedisImage is what RAMP packages are made images on; empty for none.
	RedisImage string
	Log        logrus.FieldLogger
}

// Packages are those of the device. It is safe for concurrent use.
type Packages struct {
	Config
	work *work.Group // it outlives the request that began it

	mu       sync.Mutex
	records  map[string]*Record // by uid, in every phase
	snapshot *Snapshot
	changed  chan struct{}
	actions  map[string]*Action
	slots    int

	locks  map[string]*uidLock
	saving sync.Mutex         // one counter is compared and written at a time
	making sync.Mutex         // one image is made at a time
	wake   chan struct{}      // what is pending may be made now
	unsure atomic.Bool        // containerd may have less than is recorded
	failed map[string]attempt // by uid; Run's alone
}

// Snapshot is all packages that are whole, by name and then by version. It does not change.
type Snapshot struct{ Packages []*Package }

// Open reads what is there and removes what a crash left. Images are looked after by Run.
func Open(ctx context.Context, cfg Config) (*Packages, error) {
	p := &Packages{
		Config: cfg, records: map[string]*Record{}, changed: make(chan struct{}), actions: map[string]*Action{}, locks: map[string]*uidLock{}, work: work.NewGroup(ctx), wake: make(chan struct{}, 1),
	}
	if err := p.load(ctx); err != nil {
		return nil, err
	}
	return p, p.loadActions(ctx)
}

// load reads the rows, and settles those that were cut.
func (p *Packages) load(ctx context.Context) error {
	records, err := p.Store.Packages(ctx)
	if err != nil {
		return err
	}
	for i := range records {
		r := &records[i]
		keep := r.Phase == Deleting // Run ends it
		if r.Phase == Ready {
			if keep, err = p.whole(ctx, &r.Package); err != nil {
				return err
			}
			if !keep {
				p.Log.WithField("package", r.UID).Errorf("the bytes of package %s %s are gone, and so it is", r.Name, r.SemanticVersion)
			}
		}
		if !keep {
			if err := p.Store.DeletePackage(ctx, r.UID); err != nil {
				return err
			}
			continue
		}
		p.records[r.UID] = r
		p.Content.Keep(r.blobs()...)
	}
	p.publish()
	return nil
}

// whole says whether all bytes of a package are there.
func (p *Packages) whole(ctx context.Context, pkg *Package) (bool, error) {
	for _, d := range pkg.blobs() {
		if ok, err := p.Content.Has(ctx, d); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// Close ends work under way and waits for it. What it did not end is settled by the next start.
func (p *Packages) Close() { p.work.Close() }

// publish makes the snapshot anew. The caller holds p.mu, or is alone.
func (p *Packages) publish() {
	s := &Snapshot{Packages: []*Package{}}
	for _, r := range p.records {
		if r.Phase == Ready {
			s.Packages = append(s.Packages, &r.Package)
		}
	}
	slices.SortFunc(s.Packages, func(a, b *Package) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), strings.Compare(a.SemanticVersion, b.SemanticVersion), strings.Compare(a.UID, b.UID))
	})
	p.snapshot = s
	close(p.changed)
	p.changed = make(chan struct{})
}

// List returns all packages.
func (p *Packages) List() *Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.snapshot
}

// Changed returns a channel that is closed at the next change of the list: take it, look
// at the list, then wait.
func (p *Packages) Changed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed
}

// Get returns one package. The error is ModuleNotFound.
func (p *Packages) Get(uid string) (*Package, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.records[uid]; r != nil && r.Phase == Ready {
		return &r.Package, nil
	}
	return nil, refuse(ModuleNotFound, "there is no package %q", uid)
}

// put makes a record the current one of its package.
func (p *Packages) put(r *Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records[r.UID] = r
	p.publish()
}

// forget takes a record out.
func (p *Packages) forget(uid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.records, uid)
	p.publish()
}

// uidLock is held by whoever makes or removes the image of one package.
type uidLock struct {
	sync.Mutex
	users int
}

// lock waits for a package's lock and returns what gives it back.
func (p *Packages) lock(uid string) (unlock func()) {
	p.mu.Lock()
	l := p.locks[uid]
	if l == nil {
		l = &uidLock{}
		p.locks[uid] = l
	}
	l.users++
	p.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		p.mu.Lock()
		defer p.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(p.locks, uid)
		}
	}
}

// poke makes Run look at what is pending.
func (p *Packages) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// cleanly is for what has to be done although the work's context has ended.
func cleanly(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
}

func (p *Packages) warn(err error, what string) {
	if err != nil && !errors.Is(err, context.Canceled) {
		p.Log.WithError(err).Warn(what)
	}
}
