// Package image owns the images of the device: it says what there is and who uses
// it, fetches what an operator asks for, and removes what nobody needs any more.
//
// Its one promise is about removal: an image that any generation of any module
// names, that an operation under way is about to use, that the configuration names or
// that was made on the device, stays. All else is a matter of age and of space.
package image

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"

	"github.com/edged/edged/pkg/module"
)

// LocalPrefix is the reserved prefix of images that are made on the device; no
// registry is ever asked for them, and so nothing could bring one back.
const LocalPrefix = "edged.local/"

// agentPrefix is of the images that packages bring along, one a version of edged: those of
// versions that are gone would else add up over the years.
const agentPrefix = LocalPrefix + "agent:"

// Normalize gives a reference the form under which images are kept: with its
// registry, and with a tag or a digest. The error is errdefs.InvalidArgument.
func Normalize(ref string) (reference.Named, error) {
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return nil, fmt.Errorf("invalid image %q: %w: %w", ref, err, errdefs.ErrInvalidArgument)
	}
	return named, nil
}

// Image is one image that is on the device, under one name.
type Image struct {
	Name, Digest string
	// Size is what it has on the disk, in bytes: its file system and what is left of its
	// blobs. What images share counts for each of them.
	Size int64
	// Changed is when the name last came to mean this digest.
	Changed time.Time
	// Owned says that edged fetched it. What others put into edged's namespace is theirs.
	Owned bool
	// Package says that it is of an uploaded package, which removes it when it goes itself.
	Package bool
	// Preloaded says that an archive in a preload folder has it: removed, it would come
	// back with the next start.
	Preloaded bool
}

// Layer is how far one layer of a pull has come, in bytes.
type Layer struct {
	Digest        string
	Offset, Total int64
}

// Phase is what a pull does at the moment.
type Phase string

// The phases of a pull, in their order. A pull waits when too many are under way.
const (
	Waiting     Phase = "waiting"
	Resolving   Phase = "resolving"
	Downloading Phase = "downloading"
	Unpacking   Phase = "unpacking"
)

// Progress is a picture of a pull. Layers are those that have to be fetched as far
// as that is known; one that is on the device already is left out, or complete.
type Progress struct {
	Phase  Phase
	Layers []Layer
}

// Bytes sums the layers.
func (p *Progress) Bytes() (offset, total int64) {
	for _, l := range p.Layers {
		offset += l.Offset
		total += l.Total
	}
	return offset, total
}

// Disk is the file system of the images, in bytes. Free is what is left to use.
type Disk struct{ Used, Free uint64 }

// Percent is the part in use, as df(1) counts it.
func (d Disk) Percent() int {
	if d.Used+d.Free == 0 {
		return 0
	}
	return int((d.Used*100 + d.Used + d.Free - 1) / (d.Used + d.Free)) //nolint:gosec // at most 100
}

// Engine has the images. All errors carry an errdefs class, as those of module.Engine.
type Engine interface {
	// Images lists the images in edged's own namespace.
	Images(ctx context.Context) ([]Image, error)
	// RemoveImage removes a name that still means this digest, with all that no other
	// image and no container needs of it, and returns the bytes won. NotFound is success.
	RemoveImage(ctx context.Context, name, digest string) (int64, error)
	// PullImage fetches and unpacks an image, whatever is here. It calls report, if there
	// is one, as the pull goes on, from the calling goroutine.
	PullImage(ctx context.Context, ref string, auth *module.Auth, report func(Progress)) (module.Image, error)
	// ImageDisk measures the file system that the images are on.
	ImageDisk(ctx context.Context) (Disk, error)
}

// Named is an image as a generation of a module names it.
type Named struct {
	Module string
	// Ref is the module's own text; Digest is what it meant when the generation was made.
	Ref, Digest string
}

// Store remembers uses over restarts.
type Store interface {
	// NamedImages lists what every generation in the database names, whatever its
	// module's phase.
	NamedImages(ctx context.Context) ([]Named, error)
	// ImageUses is the time of the last use of each name.
	ImageUses(ctx context.Context) (map[string]time.Time, error)
	// TouchImage notes that an image is in use now.
	TouchImage(ctx context.Context, ref, digest string) error
	// ForgetImage removes the note of a use.
	ForgetImage(ctx context.Context, ref string) error
}

// Entry is an image as an operator sees it.
type Entry struct {
	Image
	// Used is the last time that a module was made of it, or stopped being so; or it came.
	Used time.Time
	// Modules are those whose generations name it, by name.
	Modules []string
	// Kept says why it is not removed, whatever its age and the disk; empty: it is by Used alone.
	Kept Reason
}

// Reason says why an image is never removed.
type Reason string

// The reasons, the strongest first.
const (
	KeptModule    Reason = "module"        // a generation of a module names it
	KeptOperation Reason = "operation"     // a pull, create or update under way names it
	KeptConfig    Reason = "configuration" // edged's configuration names it
	KeptPackage   Reason = "package"       // it is of an uploaded package
	KeptLocal     Reason = "local"         // it was made on this device
	KeptPreload   Reason = "preload"       // an archive in a preload folder has it
	KeptNotEdged  Reason = "foreign"       // edged did not fetch it
)

// users finds the modules that name an image. It is by name, and by digest: a
// generation goes on with what its name meant when it was made.
func users(named []Named, im *Image) []string {
	var names []string
	for _, n := range named {
		ref := n.Ref
		if parsed, err := Normalize(ref); err == nil {
			ref = parsed.String()
		}
		if ref == im.Name || n.Digest != "" && n.Digest == im.Digest {
			names = append(names, n.Module)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
