// Package reconciletest has a device for tests of the agent: what edged would answer,
// held in memory.
package reconciletest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/client/wire"
)

// Device is a reconcile.API. The zero value has no modules.
type Device struct {
	// Word, when set, changes how the device tells a module, as an edged of another
	// version may.
	Word func(m *wire.Module)

	mu      sync.Mutex
	fail    func(ctx context.Context, call string) error
	modules map[string]*wire.Module
	ids     map[string]wire.Identity
	calls   []string
}

// Fail sets what is asked before each call, "list" among them; an error is the
// answer. Nil is no failures.
func (d *Device) Fail(fail func(ctx context.Context, call string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = fail
}

func (d *Device) failure(ctx context.Context, call string) error {
	d.mu.Lock()
	fail := d.fail
	d.mu.Unlock()
	if fail == nil {
		return nil
	}
	return fail(ctx, call)
}

// Calls returns the changes that were asked for, such as "update m start", and forgets them.
func (d *Device) Calls() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	calls := d.calls
	d.calls = nil
	return calls
}

// State returns what each module does: "a=running b=stopped".
func (d *Device) State() string {
	list, _ := d.List(context.Background())
	var states []string
	for _, m := range list {
		states = append(states, m.Name+"="+m.Status.RuntimeStatus.Status)
	}
	return strings.Join(states, " ")
}

// Become makes a module do something by itself, or makes it when it is absent.
func (d *Device) Become(name, status string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.modules == nil {
		d.modules = map[string]*wire.Module{}
	}
	if d.modules[name] == nil {
		d.modules[name] = &wire.Module{Name: name}
	}
	run(d.modules[name], status)
}

// run gives a module a status; a start has its time.
func run(m *wire.Module, status string) {
	m.Status.RuntimeStatus.Status = status
	if status == "running" {
		m.Status.StartTime = time.Now().UTC().Format(time.RFC3339Nano)
	}
}

func (d *Device) call(ctx context.Context, call string) error {
	d.mu.Lock()
	d.calls = append(d.calls, call)
	d.mu.Unlock()
	if err := d.failure(ctx, call); err != nil {
		return err
	}
	return ctx.Err()
}

func (d *Device) set(spec wire.ModuleSpec, status string) *wire.Module {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.modules == nil {
		d.modules = map[string]*wire.Module{}
	}
	m := &wire.Module{ID: spec.Name, Name: spec.Name, Type: spec.Type, Config: spec.Config}
	m.Config.Env = slices.Clone(spec.Config.Env)
	if a := m.Config.Settings.Auth; a != nil {
		m.Config.Settings.Auth = &wire.Auth{Username: a.Username, ServerAddress: a.ServerAddress}
	}
	run(m, status)
	if d.Word != nil {
		d.Word(m)
	}
	d.modules[spec.Name] = m
	answer := *m
	return &answer
}

// List implements reconcile.API.
func (d *Device) List(ctx context.Context) ([]wire.Module, error) {
	if err := d.failure(ctx, "list"); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []wire.Module
	for _, m := range d.modules {
		list = append(list, *m)
	}
	slices.SortFunc(list, func(a, b wire.Module) int { return strings.Compare(a.Name, b.Name) })
	return list, ctx.Err()
}

// Prepare implements reconcile.API.
func (d *Device) Prepare(ctx context.Context, spec wire.ModuleSpec) error {
	return d.call(ctx, "prepare "+spec.Name)
}

// Create implements reconcile.API.
func (d *Device) Create(ctx context.Context, spec wire.ModuleSpec) (*wire.Module, error) {
	if err := d.call(ctx, "create "+spec.Name); err != nil {
		return nil, err
	}
	return d.set(spec, "stopped"), nil
}

// Update implements reconcile.API.
func (d *Device) Update(ctx context.Context, spec wire.ModuleSpec, start bool) (*wire.Module, error) {
	call, status := "update "+spec.Name, "stopped"
	if start {
		call, status = call+" start", "running"
	}
	if err := d.call(ctx, call); err != nil {
		return nil, err
	}
	return d.set(spec, status), nil
}

// Delete implements reconcile.API.
func (d *Device) Delete(ctx context.Context, name string) error {
	if err := d.call(ctx, "delete "+name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.modules, name)
	return nil
}

// Start implements reconcile.API.
func (d *Device) Start(ctx context.Context, name string) error {
	return d.become(ctx, "start", name, "running")
}

// Stop implements reconcile.API.
func (d *Device) Stop(ctx context.Context, name string) error {
	return d.become(ctx, "stop", name, "stopped")
}

// Identities implements reconcile.API.
func (d *Device) Identities(ctx context.Context) ([]wire.Identity, error) {
	if err := d.failure(ctx, "identities"); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.SortedFunc(maps.Values(d.ids), func(a, b wire.Identity) int { return strings.Compare(a.ModuleID, b.ModuleID) }), ctx.Err()
}

// CreateIdentity implements reconcile.API. It is not among the Calls.
func (d *Device) CreateIdentity(ctx context.Context, moduleID, managedBy string) (*wire.Identity, error) {
	if err := d.failure(ctx, "identity "+moduleID); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ids == nil {
		d.ids = map[string]wire.Identity{}
	}
	id := wire.Identity{ModuleID: moduleID, ManagedBy: managedBy, GenerationID: fmt.Sprint(len(d.ids)), AuthType: "sas"}
	d.ids[moduleID] = id
	return &id, nil
}

// DeleteIdentity implements reconcile.API. It is not among the Calls.
func (d *Device) DeleteIdentity(ctx context.Context, moduleID string) error {
	if err := d.failure(ctx, "no identity "+moduleID); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.ids, moduleID)
	return nil
}

// Healthy sets what a module's health check says.
func (d *Device) Healthy(name, health string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.modules[name].Status.RuntimeStatus.Health = health
}

// End makes a module end with an exit code.
func (d *Device) End(name, status, code string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.modules[name].Status.RuntimeStatus.Status = status
	d.modules[name].Status.ExitStatus = &wire.ExitStatus{StatusCode: code}
}

func (d *Device) become(ctx context.Context, call, name, status string) error {
	if err := d.call(ctx, call+" "+name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.modules[name] == nil {
		return fmt.Errorf("module %q: %w", name, errdefs.ErrNotFound)
	}
	run(d.modules[name], status)
	return nil
}
