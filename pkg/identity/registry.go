package identity

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/work"
)

// DefaultManager is who manages an identity when nobody says so.
const DefaultManager = "iotedge"

const maxManager = 255

// writeTimeout bounds a write, which goes on to its end when the client leaves.
const writeTimeout = time.Minute

// Identity is who a module is.
type Identity struct {
	// Module is the canonical name.
	Module string
	// ModuleID is the name as it was registered, with a '$' where clients put one: tokens are made for it.
	ModuleID string
	// ManagedBy is whoever the creator named; it means nothing here.
	ManagedBy string
	// GenerationID is opaque and URL-safe.
	GenerationID string
}

// Store keeps identities over power cuts. DeleteIdentity of a missing one is no error.
type Store interface {
	Identities(ctx context.Context) ([]Identity, error)
	SaveIdentity(ctx context.Context, id Identity) error
	DeleteIdentity(ctx context.Context, module string) error
}

// Registry holds all identities in memory, since every call of the workload API asks for one; what changes is on the disk first.
type Registry struct {
	store Store

	writing sync.Mutex // one change at a time, over the store and the map

	mu  sync.RWMutex
	all map[string]Identity
}

// Open reads the identities.
func Open(ctx context.Context, store Store) (*Registry, error) {
	list, err := store.Identities(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot read identities: %w", err)
	}
	r := &Registry{store: store, all: make(map[string]Identity, len(list))}
	for _, id := range list {
		r.all[id.Module] = id
	}
	return r, nil
}

// List returns all identities by module.
func (r *Registry) List() []Identity {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.SortedFunc(maps.Values(r.all), func(a, b Identity) int { return strings.Compare(a.Module, b.Module) })
}

// Get returns a module's identity. The error is errdefs.NotFound.
func (r *Registry) Get(name string) (Identity, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	id, ok := r.all[name]
	if !ok {
		return Identity{}, fmt.Errorf("module %q has no identity: %w", name, errdefs.ErrNotFound)
	}
	return id, nil
}

// Current returns a module's identity if its generation id is the one given; else
// errdefs.NotFound, which tells nothing of the id that would be right.
func (r *Registry) Current(name, generationID string) (Identity, error) {
	id, err := r.Get(name)
	if err == nil && id.GenerationID != generationID {
		return Identity{}, fmt.Errorf("module %q has no such generation id: %w", name, errdefs.ErrNotFound)
	}
	return id, err
}

// Create makes an identity, or returns the one that is there, as it is. moduleID
// is a module's name, with or without a leading '$'. Errors: InvalidArgument.
func (r *Registry) Create(ctx context.Context, moduleID, managedBy string) (Identity, error) {
	name, err := module.CanonicalName(moduleID)
	if err != nil {
		return Identity{}, err
	}
	if managedBy == "" {
		managedBy = DefaultManager
	}
	if err := checkManager(managedBy); err != nil {
		return Identity{}, err
	}
	r.writing.Lock()
	defer r.writing.Unlock()
	if id, err := r.Get(name); err == nil {
		return id, nil
	}
	return r.save(ctx, Identity{Module: name, ModuleID: moduleID, ManagedBy: managedBy, GenerationID: rand.Text()})
}

// Update changes who manages an identity; empty leaves it. Errors: NotFound, InvalidArgument.
func (r *Registry) Update(ctx context.Context, name, managedBy string) (Identity, error) {
	if err := checkManager(managedBy); err != nil {
		return Identity{}, err
	}
	r.writing.Lock()
	defer r.writing.Unlock()
	id, err := r.Get(name)
	if err != nil || managedBy == "" || managedBy == id.ManagedBy {
		return id, err
	}
	id.ManagedBy = managedBy
	return r.save(ctx, id)
}

// Delete removes an identity. A module that runs as it is nobody to the workload
// API from then on. The error is errdefs.NotFound for one that is not there.
func (r *Registry) Delete(ctx context.Context, name string) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if _, err := r.Get(name); err != nil {
		return err
	}
	ctx, cancel := work.Lasting(ctx, writeTimeout)
	defer cancel()
	if err := r.store.DeleteIdentity(ctx, name); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, name)
	return nil
}

// EnsureIdentity returns the id and the generation id of a module, making its
// identity when there is none.
func (r *Registry) EnsureIdentity(ctx context.Context, name string) (moduleID, generationID string, err error) {
	id, err := r.Get(name)
	if err != nil {
		registered := name
		if name == module.AgentName {
			registered = "$" + name // as its clients everywhere have it
		}
		id, err = r.Create(ctx, registered, "")
	}
	return id.ModuleID, id.GenerationID, err
}

// save is called with writing held.
func (r *Registry) save(ctx context.Context, id Identity) (Identity, error) {
	ctx, cancel := work.Lasting(ctx, writeTimeout)
	defer cancel()
	if err := r.store.SaveIdentity(ctx, id); err != nil {
		return Identity{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[id.Module] = id
	return id, nil
}

func checkManager(s string) error {
	if len(s) > maxManager || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Errorf("managedBy is longer than %d bytes or has control characters: %w", maxManager, errdefs.ErrInvalidArgument)
	}
	return nil
}
