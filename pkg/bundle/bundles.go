package bundle

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/sirupsen/logrus"

	"github.com/edged/edged/pkg/content"
	"github.com/edged/edged/pkg/work"
)

// Deadlines. What the framework is asked for has one each, so that a bundle that never ends
// its start holds up others for no longer.
const (
	operationTimeout = 10 * time.Minute // of what a request began, waiting for its turn included
	bytesTimeout     = 5 * time.Minute  // of an install, an update
	undoTimeout      = time.Minute      // of writing that an install is not to be
	pingTimeout      = 5 * time.Second
	noteTimeout      = 30 * time.Second // of what the framework only notes
	wiringTimeout    = 2 * time.Minute  // of a refresh, which stops and starts bundles
	// hostPatience is how long a change waits for the framework to come up, and lookPatience
	// how long a question does.
	hostPatience = 45 * time.Second
	lookPatience = 10 * time.Second
	// idleTime is how long the framework runs on without a bundle.
	idleTime = 10 * time.Second
	// compareEvery is between two comparisons of the framework with what is remembered.
	compareEvery = 5 * time.Minute
	// settleRetry is between two tries to bring a framework that runs to what is remembered.
	settleRetry = 30 * time.Second
)

// Config is what Bundles need.
type Config struct {
	Content *content.Store
	Store   Store
	Host    Host
	// MaxSize of a bundle, and FreeFloor, the free disk space that one must leave; in bytes.
	MaxSize, FreeFloor int64
	// StartTimeout is how long the start, or the stop, of one bundle is waited for; a minute
	// when it is zero.
	StartTimeout time.Duration
	// ServerVersion is what bundles that are made for a Jahia server find; empty for none.
	ServerVersion string
	Log           logrus.FieldLogger
}

// Bundles are those of the device. It is safe for concurrent use.
type Bundles struct {
	Config
	work *work.Group
	// turn is had by whoever changes bundles.
	turn chan struct{}

	mu       sync.Mutex
	rows     *rows
	session  *session
	last     *session      // the one before, until there is another
	wake     chan struct{} // closed by the next change of rows or session
	slots    int
	sequence int64
	ends     map[string]int // of frameworks, in a row, while they started the bundle of a location
}

// session is a framework that runs, as far as edged has come with it. Its fields are guarded
// by Bundles.mu.
type session struct {
	Framework
	// settled says that it was brought to what is remembered.
	settled bool
	// updated are the locations whose bundles were given other bytes and are not resolved since.
	updated map[string]bool
}

func (s *session) ended() bool {
	select {
	case <-s.Done():
		return true
	default:
		return false
	}
}

// rows are all bundles at a moment. They do not change.
type rows struct {
	all  []*Record // in the order in which they came
	byID map[[2]string]*Record
}

// Open reads what is there. Run does the rest.
func Open(ctx context.Context, cfg Config) (*Bundles, error) {
	cfg.StartTimeout = cmp.Or(cfg.StartTimeout, time.Minute)
	b := &Bundles{Config: cfg, work: work.NewGroup(ctx), turn: make(chan struct{}, 1), ends: map[string]int{}, wake: make(chan struct{})}
	all, err := cfg.Store.Bundles(ctx)
	if err != nil {
		return nil, err
	}
	var gone []Key
	kept := make([]*Record, 0, len(all))
	for i := range all {
		r := &all[i]
		b.sequence = max(b.sequence, r.Sequence)
		has, err := cfg.Content.Has(ctx, r.Digest)
		if err != nil {
			return nil, err
		}
		if !has {
			cfg.Log.WithField("bundle", r.Key).Error("the bytes of the bundle are gone, and so it is")
			gone = append(gone, r.Key)
			continue
		}
		cfg.Content.Keep(r.Digest)
		kept = append(kept, r)
	}
	if len(gone) > 0 {
		if err := cfg.Store.SaveBundles(ctx, nil, gone); err != nil {
			return nil, err
		}
	}
	b.rows = newRows(kept)
	return b, nil
}

func newRows(all []*Record) *rows {
	slices.SortFunc(all, func(x, y *Record) int { return cmp.Compare(x.Sequence, y.Sequence) })
	r := &rows{all: all, byID: make(map[[2]string]*Record, len(all))}
	for _, row := range all {
		r.byID[row.unique()] = row
	}
	return r
}

// Close ends work under way and waits for it. What it did not end is settled by the next start.
func (b *Bundles) Close() { b.work.Close() }

// List returns all bundles as they are remembered, in the order in which they came. The
// slice is shared: do not write to it.
func (b *Bundles) List() []*Record { return b.current().all }

func (b *Bundles) current() *rows {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rows
}

// Changed returns a channel that is closed at the next change of the list, or earlier.
func (b *Bundles) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.wake
}

// woken wakes who waits for a change. The caller holds b.mu.
func (b *Bundles) woken() {
	close(b.wake)
	b.wake = make(chan struct{})
}

// save writes rows and removes others, in one step. The caller has the turn.
func (b *Bundles) save(ctx context.Context, put []*Record, remove ...Key) error {
	values := make([]Record, len(put))
	for i, r := range put {
		values[i] = *r
	}
	if err := b.Store.SaveBundles(ctx, values, remove); err != nil {
		return err
	}
	goes := map[[2]string]bool{}
	for _, k := range remove {
		goes[k.unique()] = true
	}
	for _, r := range put {
		goes[r.unique()] = true
	}
	old := b.current().all
	all := make([]*Record, 0, len(old)+len(put))
	for _, r := range old {
		if !goes[r.unique()] {
			all = append(all, r)
		}
	}
	all = append(all, put...)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rows = newRows(all)
	for _, k := range remove {
		delete(b.ends, k.Location()) // one that comes under its key is another
	}
	b.woken()
	return nil
}

// change runs what changes bundles, when it is its turn, to its end.
func (b *Bundles) change(ctx context.Context, f func(ctx context.Context) error) error {
	return b.work.Await(ctx, operationTimeout, func(ctx context.Context) error {
		if err := b.take(ctx); err != nil {
			return err
		}
		defer b.giveBack()
		return f(ctx)
	})
}

func (b *Bundles) take(ctx context.Context) error {
	select {
	case b.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("other changes of bundles take too long: %w", errdefs.ErrUnavailable)
	}
}

func (b *Bundles) giveBack() { <-b.turn }

// find returns the bundle that a key names: a whole one, or a name that only one has, with a
// version or without. The group of a key is not looked at, as frameworks do not.
func (b *Bundles) find(key string) (*Record, error) {
	rows := b.current()
	if k, ok := ParseKey(key); ok {
		if r := rows.byID[k.unique()]; r != nil {
			return r, nil
		}
		return nil, notFound(key)
	}
	var found *Record
	for _, r := range rows.all {
		if r.Name == key {
			if found != nil {
				return nil, notFound(key) // which of them, nobody said
			}
			found = r
		}
	}
	if found == nil {
		return nil, notFound(key)
	}
	return found, nil
}
