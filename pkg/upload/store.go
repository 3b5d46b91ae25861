package upload

import (
	"context"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Store remembers packages over restarts. Errors: Unavailable (the disk is full), else the disk's.
type Store interface {
	// Packages reads every row.
	Packages(ctx context.Context) ([]Record, error)
	// SavePackage writes a package's row. A counter that is not nil is written in the same
	// transaction.
	SavePackage(ctx context.Context, r *Record, counter *Counter) error
	// DeletePackage removes a row. One that is not there is success.
	DeletePackage(ctx context.Context, uid string) error
	// PackageCounter is the highest counter that was signed for a name; false when there is none.
	PackageCounter(ctx context.Context, name string) (int64, bool, error)
	// Actions reads every action, the oldest first.
	Actions(ctx context.Context) ([]Action, error)
	// SaveAction writes an action and forgets all but the newest of them.
	SaveAction(ctx context.Context, a *Action, keep int) error
}

// Counter is how far the signed packages of a name have come.
type Counter struct {
	Name  string
	Value int64
}

// Images makes images of packages. All errors carry an errdefs class: InvalidArgument
// (the package cannot be an image here), NotFound (the base is not here), Unavailable.
type Images interface {
	// ImportPackage makes an image of an archive's blobs, which were verified, and keeps it
	// for the package, whoever else takes its name later.
	ImportPackage(ctx context.Context, a *Archive) error
	// DerivePackage makes an image of another and one more layer, and keeps it as well. It
	// returns the digest of its manifest.
	DerivePackage(ctx context.Context, d *Derived) (string, error)
	// HavePackage says whether a package's image is here, and gives it its name again when
	// nothing else has it.
	HavePackage(ctx context.Context, uid, name, digest string) (bool, error)
	// PackageImages lists the packages that there are images of: those of a package that
	// nobody knows are for removal.
	PackageImages(ctx context.Context) ([]PackageImage, error)
	// RemovePackage gives a package's image up, and removes its name where it still means it.
	RemovePackage(ctx context.Context, uid, name, digest string) error
	// FetchBase fetches an image that others are made on, when it is not here.
	FetchBase(ctx context.Context, ref string) error
}

// PackageImage is an image that was made of a package.
type PackageImage struct {
	UID, Name, Digest string
}

// Archive is an image whose blobs are in a package.
type Archive struct {
	UID, Name        string
	Manifest, Config ocispec.Descriptor
	// Text and ConfigText are those blobs.
	Text, ConfigText []byte
	// Blobs gives all others, in any order.
	Blobs func(each func(ocispec.Descriptor, io.Reader) error) error
}

// Derived is an image on another.
type Derived struct {
	UID, Name, Base string
	// Layer writes what is added, as a tar.
	Layer func(w io.Writer) error
	// Command is added to what the base runs.
	Command []string
}

// Guard keeps modules from being made of an image while it is removed, and the other way round.
type Guard interface {
	// WithoutUsers calls remove while no generation of a module names the image, and none
	// can come to. The error is FailedPrecondition, and names who does.
	WithoutUsers(ctx context.Context, name, digest string, remove func(ctx context.Context) error) error
}

// User is a part of edged that uses packages without being a module.
type User interface {
	// UsersOf names what uses a package, empty when nothing does.
	UsersOf(ctx context.Context, p *Package) ([]string, error)
}

// Fetcher gets dependencies.
type Fetcher interface {
	// Fetch opens what is at a URL, of a size that is not more than max. Errors: NotFound,
	// InvalidArgument (a host that is not allowed, no URL, too large), Unavailable.
	Fetch(ctx context.Context, url string, max int64) (io.ReadCloser, error)
}
