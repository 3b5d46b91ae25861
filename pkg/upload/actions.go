package upload

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
)

// The names of actions.
const (
	addAction    = "add_module"
	removeAction = "remove_module"
)

// keptActions is how many actions are remembered.
const keptActions = 100

// Status is how far an action is, in the words of the contract.
type Status string

// The states of an action.
const (
	Running   Status = "running"
	Completed Status = "completed"
	Failed    Status = "failed"
)

// Action is work that goes on after its answer.
type Action struct {
	UID, Name string
	// Package is the uid of what it is about.
	Package string
	Status  Status
	// Progress in per cent.
	Progress int
	// Code and Message say why it failed.
	Code    Code
	Message string
	Begun   time.Time
}

// Action returns one action. The error is ActionNotFound.
func (p *Packages) Action(uid string) (*Action, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.actions[uid]; a != nil {
		known := *a
		return &known, nil
	}
	return nil, refuse(ActionNotFound, "there is no action %q", uid)
}

// loadActions reads what is remembered, and ends what edged did not.
func (p *Packages) loadActions(ctx context.Context) error {
	all, err := p.Store.Actions(ctx)
	if err != nil {
		return err
	}
	for i := range all {
		a := &all[i]
		if a.Status == Running {
			a.Status, a.Code, a.Message = Failed, Interrupted, "edged ended before it was done: upload the package again"
			if err := p.Store.SaveAction(ctx, a, keptActions); err != nil {
				return err
			}
		}
		p.actions[a.UID] = a
	}
	return nil
}

// begin makes an action.
func (p *Packages) begin(ctx context.Context, name, pkg string) (*Action, error) {
	a := Action{UID: uuid.NewString(), Name: name, Package: pkg, Status: Running, Begun: time.Now().UTC()}
	if err := p.Store.SaveAction(ctx, &a, keptActions); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := a
	p.actions[a.UID] = &kept
	if len(p.actions) > keptActions {
		var all []*Action
		for _, a := range p.actions {
			all = append(all, a)
		}
		slices.SortFunc(all, func(a, b *Action) int { return cmp.Or(a.Begun.Compare(b.Begun), cmp.Compare(a.UID, b.UID)) })
		for _, old := range all[:len(all)-keptActions] {
			delete(p.actions, old.UID)
		}
	}
	return &a, nil
}

// progress notes how far an action is, in memory alone.
func (p *Packages) progress(uid string, percent int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.actions[uid]; a != nil && a.Status == Running {
		a.Progress = percent
	}
}

// end ends an action.
func (p *Packages) end(ctx context.Context, uid string, err error) *Action {
	p.mu.Lock()
	a := p.actions[uid]
	if a == nil {
		p.mu.Unlock()
		return nil
	}
	a.Status, a.Progress = Completed, 100
	if err != nil {
		a.Status, a.Progress, a.Code, a.Message = Failed, 0, CodeOf(err), err.Error()
	}
	ended := *a
	p.mu.Unlock()
	ctx, cancel := cleanly(ctx)
	defer cancel()
	p.warn(p.Store.SaveAction(ctx, &ended, keptActions), "cannot note the end of an action")
	return &ended
}
