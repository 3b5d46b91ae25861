package catalog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/sirupsen/logrus"

	"github.com/edged/edged/pkg/catalog/modulemd"
)

// Package is something that is on this device and worth a row: an image, or a package
// that was uploaded. Those of one name, stream and digest share a row: an image may have
// many names.
type Package struct {
	// Name, of which only what is behind the last slash is the row's; Tag of an image or
	// version of a package, as it says itself.
	Name, Tag string
	// Version is the row's, a number; 0 when there is nothing to make one of.
	Version uint64
	// Digest is "sha256:" and 64 hex digits: of the manifest, or of the package's bytes.
	Digest    string
	MediaType string
	// Arch as Go names it, or empty.
	Arch string
	// Reference is an image's name, empty for packages; Image is that of the image which
	// was made of a package, if one was.
	Reference, Image string
	// Deps are what it needs to run.
	Deps []Dep
	// Active says that a module's current generation uses it.
	Active bool
	// Known says that it has a row only when it has one already: an image that modules
	// used, and none does now.
	Known bool
	// Look is called before a row is made: it fills in what only a look at the package can
	// say, Version, MediaType and Arch among it, and lists what is installed inside. Nil when
	// there is nothing to look for. Errors: errdefs.Unavailable is for later, any other says
	// that what is inside cannot be read.
	Look func(ctx context.Context, p *Package) ([]RPM, error)
}

// Source lists all packages of one kind that are on the device: the row of one that is
// not in the list any more goes.
type Source interface {
	// Kind begins the keys of its rows: "image" or "package".
	Kind() string
	// Packages lists them all. Errors: Unavailable, and all rows stay as they are.
	Packages(ctx context.Context) ([]Package, error)
}

// IndexStore is what the index needs of a Store, beside what all need.
type IndexStore interface {
	// Roomy is Unavailable while nothing could be written: nothing has to be read then.
	Roomy() error
	// Indexed lists the rows of the index: ID, UID, Active and Source of each.
	Indexed(ctx context.Context) ([]Row, error)
}

// NoStream is the stream of what has none, or needs none of another.
const NoStream = "none"

// indexVersion is of how rows are made: when a newer edged makes them otherwise, it
// makes all of them anew.
const indexVersion = 1

const (
	// settle is how long changes are gathered before they are looked at.
	settle = time.Second
	// lookEvery is how often the index looks by itself, for what nobody told it.
	lookEvery = time.Hour
	retry     = time.Minute
)

// Indexer keeps the rows of what is on the device. It changes no row of the API.
type Indexer struct {
	store   Store
	sources []Source
	log     logrus.FieldLogger
	wake    chan struct{}
}

// NewIndexer returns one that does nothing until Run.
func NewIndexer(store Store, log logrus.FieldLogger, sources ...Source) *Indexer {
	return &Indexer{store: store, sources: sources, log: log, wake: make(chan struct{}, 1)}
}

// Wake makes it look again, soon.
func (x *Indexer) Wake() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// Run keeps the index until ctx ends.
func (x *Indexer) Run(ctx context.Context) {
	said := ""
	for {
		next := lookEvery
		if err := x.Look(ctx); err != nil && ctx.Err() == nil {
			said = x.complain(err, said)
			next = retry
		}
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-x.wake:
			timer.Reset(settle)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// complain says once of each error in a row that a search may miss something; what is away for
// a while, as containerd while it starts anew, is worth no word.
func (x *Indexer) complain(err error, said string) string {
	log := x.log.WithError(err)
	if text := err.Error(); text != said && !errdefs.IsUnavailable(err) {
		log.Warn(incomplete)
		return text
	}
	log.Debug(incomplete)
	return said
}

const incomplete = "the index of what is on the device is not complete"

// Look compares what is on the device with the rows, once. Errors are of what is to be
// looked at again.
func (x *Indexer) Look(ctx context.Context) error {
	rows, err := x.store.Indexed(ctx)
	if err != nil {
		return err
	}
	bySource := map[string]*Row{}
	for i := range rows {
		bySource[rows[i].Source] = &rows[i]
	}
	var errs []error
	for _, s := range x.sources {
		packages, err := s.Packages(ctx)
		if err == nil {
			err = x.compare(ctx, s.Kind(), packages, bySource)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (x *Indexer) compare(ctx context.Context, kind string, packages []Package, rows map[string]*Row) error {
	var errs []error
	here := map[string]*Package{}
	for i := range packages {
		p := &packages[i]
		source := p.source(kind)
		if other := here[source]; other != nil {
			p = merge(other, p)
		}
		here[source] = p
	}
	// What goes first: a row that is made otherwise now may have the uid of its predecessor.
	for source, r := range rows {
		if here[source] == nil && strings.HasPrefix(source, kind+"/") {
			errs = append(errs, x.change(ctx, r, func(tx Tx, full *Row) error { return tx.Delete(full) }))
		}
	}
	for _, source := range slices.Sorted(maps.Keys(here)) {
		p := here[source]
		switch r := rows[source]; {
		case ctx.Err() != nil:
			return ctx.Err()
		case r == nil && p.Known:
		case r == nil:
			errs = append(errs, x.add(ctx, source, p))
		case r.Active != p.Active:
			errs = append(errs, x.change(ctx, r, func(tx Tx, full *Row) error {
				full.Active = p.Active
				return tx.Save(full, Parts{})
			}))
		}
	}
	return errors.Join(errs...)
}

// source is what a row is known by over restarts.
func (p *Package) source(kind string) string {
	return strings.TrimSpace(fmt.Sprintf("%s/%d:%s:%s@%s %s", kind, indexVersion, p.rowName(), stream(p.Tag), p.Digest, p.Image))
}

// rowName is what is behind the last slash of the name.
func (p *Package) rowName() string { return p.Name[strings.LastIndexByte(p.Name, '/')+1:] }

// merge makes one of two names of the same: the row has the one that is in use.
func merge(a, b *Package) *Package {
	if a.Active != b.Active && b.Active || a.Active == b.Active && b.Reference < a.Reference {
		a, b = b, a
	}
	one := *a
	one.Active, one.Known = a.Active || b.Active, a.Known && b.Known
	return &one
}

// change does something with a row of the index, if it still is one.
func (x *Indexer) change(ctx context.Context, r *Row, do func(Tx, *Row) error) error {
	return x.store.Write(ctx, func(tx Tx) error {
		full, err := tx.Find(r.UID, nil)
		if errdefs.IsNotFound(err) || err == nil && full.Source != r.Source {
			return nil
		}
		if err != nil {
			return err
		}
		return do(tx, full)
	})
}

// add makes the row of a package. What is inside is read first: that takes a while.
func (x *Indexer) add(ctx context.Context, source string, p *Package) error {
	if err := x.store.Roomy(); err != nil {
		return err
	}
	var contents []RPM
	unread := ""
	if p.Look != nil {
		var err error
		switch contents, err = p.Look(ctx, p); {
		case errdefs.IsUnavailable(err) || ctx.Err() != nil:
			return err
		case err != nil:
			unread = short(err.Error())
			x.log.WithError(err).WithField("source", source).Warn("cannot read which packages are installed in it")
		}
	}
	r, err := newIndexRow(source, p)
	if err != nil {
		x.log.WithError(err).WithField("source", source).Warn("cannot put into the catalog what is on the device")
		return nil // the next look would find the same
	}
	if err := x.rename(ctx, r); err != nil {
		return err
	}
	if r.ModuleMD, err = describe(r, p, contents, unread); err != nil {
		return err
	}
	return x.store.Write(ctx, func(tx Tx) error {
		parts := Parts{RuntimeDeps: &p.Deps, BuildDeps: &[]Dep{}, RPMs: &[]int64{}}
		nevras := make([]NEVRA, len(contents))
		for i := range contents {
			id, err := tx.SeenRPM(&contents[i])
			if err != nil {
				return err
			}
			nevras[i] = contents[i].NEVRA
			*parts.RPMs = append(*parts.RPMs, id)
		}
		r.RuntimeDeps, r.BuildDeps, r.RPMs = encodeDeps(p.Deps), encodeDeps(nil), encodeRPMs(nevras)
		return tx.Add(r, parts)
	})
}

// rename gives a row another uid when its own is taken: whoever may write, or makes an image
// whose digest begins in the same way, could else keep what is here out of the catalog. The row
// that has it stays, and the new one nobody can guess.
func (x *Indexer) rename(ctx context.Context, r *Row) error {
	_, err := x.store.Find(ctx, r.UID, nil)
	switch {
	case errdefs.IsNotFound(err):
		return nil
	case err != nil:
		return err
	}
	taken := r.UID
	r.Context += "-" + strings.ToLower(rand.Text()[:8])
	r.SetUID()
	x.log.WithFields(logrus.Fields{"build": taken, "instead": r.UID}).Warn("the catalog has a row of this uid already; it stays, and what is on the device gets another uid")
	return nil
}

// newIndexRow names the row of a package.
func newIndexRow(source string, p *Package) (*Row, error) {
	_, hex, ok := strings.Cut(p.Digest, ":")
	if !ok || len(hex) < 16 {
		return nil, fmt.Errorf("its digest is %q", p.Digest)
	}
	r := &Row{
		Name: p.rowName(), Stream: stream(p.Tag), Version: fmt.Sprint(p.Version), Context: hex[:8], KojiTag: "module-" + hex[:16],
		Active: p.Active, Source: source,
	}
	for _, f := range []struct {
		value *string
		text  text
	}{{&r.Name, text{max: maxName}}, {&r.Stream, text{max: maxPart}}} {
		s, problem := f.text.read(*f.value)
		if problem != "" {
			return nil, fmt.Errorf("%q: %s", *f.value, problem)
		}
		*f.value = s
	}
	r.SetUID()
	return r, nil
}

// stream is major.minor of a version that has them, and else the whole tag. What has
// none, as an image that is named by its digest, is in the stream "none". What is longer
// than a row takes is cut.
func stream(tag string) string {
	if tag = strings.TrimSpace(tag); tag == "" {
		return NoStream
	}
	if r := []rune(tag); len(r) > maxPart {
		tag = strings.TrimSpace(string(r[:maxPart]))
	}
	parts := strings.SplitN(strings.TrimPrefix(tag, "v"), ".", 3)
	if len(parts) < 3 {
		return tag
	}
	for _, part := range parts[:2] {
		if part == "" || strings.Trim(part, "0123456789") != "" {
			return tag
		}
	}
	return parts[0] + "." + parts[1]
}

// describe writes the modulemd of a row of the index.
func describe(r *Row, p *Package, contents []RPM, unread string) (string, error) {
	m := modulemd.Made{
		Name: r.Name, Stream: r.Stream, Context: r.Context, Arch: p.Arch, Version: p.Version, Requires: map[string]string{},
		Edge: modulemd.Edge{
			Digest: p.Digest, MediaType: p.MediaType, Arch: p.Arch, Reference: p.Reference, Image: p.Image, Components: map[string][]string{}, Unread: unread,
		},
	}
	m.Summary = "Package " + p.Name
	if p.Reference != "" {
		m.Summary = "Image " + p.Reference
	} else {
		m.Edge.PackageVersion = p.Tag
	}
	m.Description = "Written by edged, of what is on this device."
	for _, d := range p.Deps {
		if m.Requires[d.Dependency] = d.Stream; d.Stream == NoStream {
			m.Requires[d.Dependency] = "" // any, in a description
		}
	}
	for i := range contents {
		c := &contents[i]
		m.Edge.Components[c.SRPMName] = append(m.Edge.Components[c.SRPMName], strings.TrimSuffix(c.String(), ".rpm"))
	}
	return modulemd.Write(&m)
}
