package engine

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
)

const (
	opLease    = "edged-op-"
	opLeaseFor = time.Hour

	pullLease    = "edged-pull-"
	pullLeaseFor = 24 * time.Hour
	// labelExpires is containerd's, RFC 3339; WithExpiration writes it.
	labelExpires = "containerd.io/gc.expire"
)

// leasesOf is what the ids of the leases of an image's pull begin with.
func leasesOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	return pullLease + hex.EncodeToString(sum[:8])
}

// leaseFor takes, or takes up, the lease of an image's pull. It is given up only by success, of
// the last pull that has it: what a failed pull has fetched is kept for a day. One that has not
// half of its life before it hands what it holds to another, since containerd lengthens none: it
// would drop all of that in the middle of a pull.
func (e *Engine) leaseFor(ctx context.Context, name string) (context.Context, error) {
	prefix := leasesOf(name)
	// Two pulls of it, with other credentials, stand on one lease: while the last of them
	// gives it up, none may begin.
	if err := e.locks.Lock(ctx, prefix); err != nil {
		return ctx, err
	}
	defer e.locks.Unlock(prefix)
	held, err := e.leasesWith(ctx, prefix)
	if err != nil {
		return ctx, err
	}
	var lease leases.Lease
	if i := slices.IndexFunc(held, isFresh); i >= 0 {
		lease = held[i]
		held = slices.Delete(held, i, i+1)
	} else if lease, err = e.client.LeasesService().Create(ctx, leases.WithID(prefix+"-"+rand.Text()), leases.WithExpiration(pullLeaseFor), leases.WithLabels(map[string]string{labelOwner: owner})); err != nil {
		return ctx, err
	}
	for _, old := range held {
		if err := e.handOver(ctx, old, lease); err != nil {
			return ctx, fmt.Errorf("cannot renew the lease of a pull: %w", err)
		}
	}
	return leases.WithLease(ctx, lease.ID), nil
}

// isFresh says whether a lease has half of its life before it.
func isFresh(l leases.Lease) bool {
	expires, err := time.Parse(time.RFC3339, l.Labels[labelExpires])
	return err == nil && time.Until(expires) > pullLeaseFor/2
}

// handOver moves what a lease holds to another, which has it before the first is gone.
func (e *Engine) handOver(ctx context.Context, from, to leases.Lease) error {
	m := e.client.LeasesService()
	resources, err := m.ListResources(ctx, from)
	if err != nil {
		return ignoreNotFound(err) // it expired this moment
	}
	for _, r := range resources {
		if err := m.AddResource(ctx, to, r); err != nil {
			return err
		}
	}
	return ignoreNotFound(m.Delete(ctx, from))
}

// giveUpLease releases what a pull that succeeded stood on.
func (e *Engine) giveUpLease(ctx context.Context, name string) {
	ctx, cancel := e.call(context.WithoutCancel(ctx))
	defer cancel()
	prefix := leasesOf(name)
	if err := e.locks.Lock(ctx, prefix); err != nil {
		return
	}
	defer e.locks.Unlock(prefix)
	if !e.flights.alone(name) {
		return
	}
	held, err := e.leasesWith(ctx, prefix)
	for _, l := range held {
		if e := ignoreNotFound(e.client.LeasesService().Delete(ctx, l)); e != nil {
			err = e
		}
	}
	if err != nil {
		e.Log.WithError(err).Debug("cannot give up a pull lease; it expires")
	}
}

// leasesWith lists edged's leases whose ids begin with prefix.
func (e *Engine) leasesWith(ctx context.Context, prefix string) ([]leases.Lease, error) {
	list, err := e.client.LeasesService().List(ctx, fmt.Sprintf("labels.%q==%s", labelOwner, owner))
	if err != nil {
		return nil, fmt.Errorf("cannot list leases: %w", classify(err))
	}
	return slices.DeleteFunc(list, func(l leases.Lease) bool { return !strings.HasPrefix(l.ID, prefix) }), nil
}

// isLeaseGone knows containerd's word for a lease that expired under who works with it.
func isLeaseGone(err error) bool {
	return errdefs.IsNotFound(err) && strings.Contains(err.Error(), "lease does not exist")
}

// operationLease keeps what an operation makes from containerd's garbage collector
// until the record refers to it.
func (e *Engine) operationLease(ctx context.Context, id string) (context.Context, func(), error) {
	m := e.client.LeasesService()
	create := func() (leases.Lease, error) {
		return m.Create(ctx, leases.WithID(opLease+id), leases.WithExpiration(opLeaseFor), leases.WithLabels(map[string]string{labelOwner: owner}))
	}
	lease, err := create()
	if errdefs.IsAlreadyExists(err) { // of a try that a crash cut
		if err = ignoreNotFound(m.Delete(ctx, leases.Lease{ID: opLease + id})); err == nil {
			lease, err = create()
		}
	}
	if err != nil {
		return ctx, nil, fmt.Errorf("cannot make lease of container %s: %w", id, classify(err))
	}
	release := func() {
		ctx, cancel := e.call(context.WithoutCancel(ctx))
		defer cancel()
		if err := ignoreNotFound(m.Delete(ctx, lease)); err != nil {
			e.Log.WithError(err).Debug("cannot give up an operation's lease; it expires")
		}
	}
	return leases.WithLease(ctx, lease.ID), release, nil
}

// ownLease gives ctx a lease of an operation's, unless it has one: without, containerd's client
// makes one that nobody knows for edged's and that a kill leaves for a day.
func (e *Engine) ownLease(ctx context.Context, operation string) (context.Context, func(), error) {
	if _, ok := leases.FromContext(ctx); ok {
		return ctx, func() {}, nil
	}
	id := operation + "-" + rand.Text()
	e.setMaking(id, true)
	ctx, release, err := e.operationLease(ctx, id)
	if err != nil {
		e.setMaking(id, false)
		return ctx, nil, err
	}
	return ctx, func() {
		release()
		e.setMaking(id, false)
	}, nil
}
