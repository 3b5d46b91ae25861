package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/edged/edged/pkg/content"
	"github.com/edged/edged/pkg/work"
)

// Overhead is what a request may have besides the package, in bytes: its parts' headers
// and a signature.
const Overhead = 64 << 10

// Upload is a package on its way. Whoever began it ends it with Add, AddLater or Abort.
type Upload struct {
	p         *Packages
	staged    *content.Staged
	signature []byte
	promised  int64
	release   func()
}

// Receive begins an upload whose request has so many bytes, negative when nobody knows.
// Whatever can be refused before a byte is read is refused here. Errors: ModuleTooLarge,
// InsufficientStorage, TooManyUploads, the disk's.
func (p *Packages) Receive(ctx context.Context, size int64) (*Upload, error) {
	if size > p.MaxSize+Overhead {
		return nil, p.tooLarge()
	}
	u := &Upload{p: p, promised: max(size, 0)}
	p.mu.Lock()
	switch {
	case p.work.Closed():
		p.mu.Unlock()
		return nil, work.ErrStopping
	case p.slots == uploadsAtOnce:
		p.mu.Unlock()
		return nil, refuse(TooManyUploads, "%d uploads are under way already: try again later", uploadsAtOnce)
	}
	p.slots++
	p.mu.Unlock()
	p.Content.Promise(u.promised)
	u.release = sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.slots--
		p.Content.Promise(-u.promised)
	})
	err := p.room()
	if err == nil {
		u.staged, err = p.Content.Stage(ctx)
	}
	if err != nil {
		u.release()
		return nil, outOfSpace(err)
	}
	return u, nil
}

func (p *Packages) tooLarge() error {
	return refuse(ModuleTooLarge, "the package is larger than the %d bytes that this device takes ([uploads] max_size)", p.MaxSize)
}

// room says whether the disk has more than what is promised to uploads and the floor.
func (p *Packages) room() error {
	free, promised, err := p.Content.Room()
	if err != nil {
		return err
	}
	if free-promised < p.FreeFloor {
		return refuse(InsufficientStorage, "the disk has %d bytes free, uploads under way need %d of them, and %d have to stay free ([uploads] free_floor)", free, promised, p.FreeFloor)
	}
	return nil
}

// outOfSpace gives a full disk its code.
func outOfSpace(err error) error {
	if content.Full(err) {
		return refuse(InsufficientStorage, "%v", err)
	}
	return err
}

// ReadFrom takes the package's bytes. Errors: ModuleTooLarge, InsufficientStorage, r's
// own, the disk's. After one the upload is to be aborted.
func (u *Upload) ReadFrom(r io.Reader) (int64, error) {
	if u.staged.Size() > 0 {
		return 0, refuse(InvalidModule, "the request has two packages")
	}
	var counted int64
	err := u.staged.ReadAll(r, func(size int64) error {
		if size > u.p.MaxSize {
			return u.p.tooLarge()
		}
		// What is written is in what the disk says, so it is promised no more.
		kept := min(size-counted, u.promised)
		u.promised -= kept
		u.p.Content.Promise(-kept)
		counted = size
		return u.p.room()
	})
	var source *content.SourceError
	if errors.As(err, &source) {
		return u.staged.Size(), source.Unwrap()
	}
	return u.staged.Size(), outOfSpace(err)
}

// Sign gives the package a signature in minisign's format.
func (u *Upload) Sign(signature []byte) { u.signature = signature }

// Abort forgets it. After Add or AddLater it does nothing.
func (u *Upload) Abort() {
	if u.staged == nil {
		return
	}
	u.drop(context.Background())
}

// drop forgets what was staged.
func (u *Upload) drop(ctx context.Context) {
	ctx, cancel := cleanly(ctx)
	defer cancel()
	u.staged.Abort(ctx)
	u.staged = nil
	u.release()
}

// Add makes it a package, and an image if it can. Errors: every code there is for a
// package; Unavailable.
func (u *Upload) Add(ctx context.Context) (*Package, error) {
	p := u.p
	var pkg *Package
	own := u.own()
	err := p.work.Await(ctx, addTimeout, func(ctx context.Context) error {
		j, err := own.prepare(ctx, false)
		if err == nil {
			pkg, err = p.finish(ctx, j, nil)
		}
		return err
	})
	if errors.Is(err, work.ErrStopping) {
		own.drop(ctx)
	}
	if err != nil {
		return nil, outOfSpace(err)
	}
	return pkg, nil
}

// AddLater is Add for packages with dependencies: what concerns the package itself is
// decided at once, the rest by an action.
func (u *Upload) AddLater(ctx context.Context) (*Package, *Action, error) {
	p := u.p
	type answer struct {
		pkg    *Package
		action *Action
		err    error
	}
	answered := make(chan answer, 1)
	own := u.own()
	if !p.work.Go(addTimeout, func(ctx context.Context) {
		j, err := own.prepare(ctx, true)
		if err != nil {
			answered <- answer{err: outOfSpace(err)}
			return
		}
		action, err := p.begin(ctx, addAction, j.pkg.UID)
		if err != nil {
			p.undo(ctx, j)
			answered <- answer{err: outOfSpace(err)}
			return
		}
		pkg := j.pkg
		answered <- answer{pkg: &pkg, action: action}
		_, err = p.finish(ctx, j, func(percent int) { p.progress(action.UID, percent) })
		p.end(ctx, action.UID, outOfSpace(err))
	}) {
		own.drop(ctx)
		return nil, nil, work.ErrStopping
	}
	select {
	case a := <-answered:
		return a.pkg, a.action, a.err
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("the client left, the work goes on: %w", context.Cause(ctx))
	}
}

// own hands the upload over to the work that goes on with it, so that a later Abort of
// the request's does nothing.
func (u *Upload) own() *Upload {
	mine := *u
	u.staged = nil
	return &mine
}
