package upload

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/edged/edged/pkg/image"
	"github.com/edged/edged/pkg/lazyregexp"
	"github.com/edged/edged/pkg/pack"
)

// job is a package that was found to be sound and has its intent row.
type job struct {
	upload *Upload
	pkg    Package
	image  *pack.Image // of an archive
	held   []digest.Digest
}

// unpackedRatio is how many times its largest size a package may have unpacked.
const unpackedRatio = 4

func (p *Packages) limits() pack.Limits { return pack.Limits{Unpacked: p.MaxSize * unpackedRatio} }

// prepare finds out what was received, and claims its place. With an error nothing is left.
func (u *Upload) prepare(ctx context.Context, later bool) (_ *job, err error) {
	p := u.p
	defer func() {
		if err != nil {
			u.drop(ctx)
		}
	}()
	if u.staged.Size() == 0 {
		return nil, refuse(NoModule, "the request has no package: its part \"module\" is missing or empty")
	}
	head := make([]byte, pack.SniffSize)
	n, err := u.staged.Blob(ctx).ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	format, err := pack.Sniff(head[:n])
	if err != nil {
		return nil, ofPack(err)
	}
	j := &job{upload: u, pkg: Package{Format: format, Size: u.staged.Size(), Digest: u.staged.Digest(), Kept: true, Created: time.Now().UTC()}}
	if j.pkg.Signed, err = p.verify(ctx, u.staged, format, u.signature); err != nil {
		return nil, err
	}
	if format == pack.RAMPFormat {
		err = j.readRAMP(ctx, later)
	} else {
		err = j.readImage(ctx)
	}
	if err != nil {
		return nil, err
	}
	return j, p.claim(ctx, &j.pkg)
}

func (j *job) readRAMP(ctx context.Context, later bool) error {
	p := j.upload.p
	unsupported := refuse(DependenciesUnsupported, "the package has dependencies, which /v1/modules does not take: use /v2/modules")
	ramp, err := pack.OpenRAMP(j.upload.staged.Blob(ctx), j.pkg.Size, p.limits())
	if reason, _ := pack.ReasonOf(err); reason == pack.Dependencies && !later {
		return unsupported // v1 has no word for what is wrong with them
	}
	if err != nil {
		return ofPack(err)
	}
	if err := p.Device.fits(ramp); err != nil {
		return err
	}
	if len(ramp.Dependencies) > 0 && !later {
		return unsupported
	}
	j.pkg.Name, j.pkg.SemanticVersion, j.pkg.Version = ramp.Name, ramp.SemanticVersion, ramp.Version
	j.pkg.UID = rampUID(ramp.Name, ramp.Version)
	j.pkg.SHA256, j.pkg.Metadata = ramp.SHA256, ramp.Metadata
	j.pkg.OS, j.pkg.Architecture = ramp.OS, ramp.Architecture
	for _, d := range ramp.Dependencies {
		if !ramp.Embedded(d.Name) {
			j.pkg.Dependencies = append(j.pkg.Dependencies, Blob{Name: d.Name})
		}
	}
	return nil
}

func (j *job) readImage(ctx context.Context) error {
	p := j.upload.p
	im, err := pack.ReadImage(j.upload.staged.Blob(ctx).Whole(), j.pkg.Size, p.Device.Platform, p.limits())
	if err != nil {
		return ofPack(err)
	}
	if strings.HasPrefix(im.Name.String(), image.LocalPrefix) || slices.Contains(p.Reserved, im.Name.String()) {
		return refuse(InvalidModule, "the image is called %s, which is a name of edged's own, as all under %s", im.Name, image.LocalPrefix)
	}
	j.image = im
	j.pkg.Name, j.pkg.SemanticVersion, j.pkg.Version = im.Name.Name(), im.Name.Tag(), pack.Version(im.Name.Tag())
	j.pkg.UID = uid(im.Name.Name(), im.Name.Tag())
	j.pkg.SHA256 = im.Manifest.Digest.Encoded()
	j.pkg.OS, j.pkg.Architecture = im.Platform.OS, im.Platform.Architecture
	j.pkg.Image = Image{Name: im.Name.String(), Pending: "it is not imported yet"}
	return nil
}

// claim writes the intent row, which nobody else can have for the same uid.
func (p *Packages) claim(ctx context.Context, pkg *Package) error {
	p.mu.Lock()
	if r := p.records[pkg.UID]; r != nil {
		p.mu.Unlock()
		return refuse(ModuleExists, "%s %s is on this device already", pkg.Name, pkg.SemanticVersion)
	}
	if pkg.Format == pack.RAMPFormat && p.RedisImage != "" {
		pkg.Image = p.rampImage(pkg)
	}
	r := &Record{*pkg, Storing}
	p.records[pkg.UID] = r
	p.mu.Unlock()
	if err := p.Store.SavePackage(ctx, r, nil); err != nil {
		p.forget(pkg.UID)
		return err
	}
	// gofail: var uploadAfterIntent struct{}
	return nil
}

// rampImage is the image that a RAMP package is to become. The caller holds p.mu.
func (p *Packages) rampImage(pkg *Package) Image {
	name := rampName(pkg)
	for _, r := range p.records {
		if r.Image.Name == name && r.UID != pkg.UID { // names that differ by case only, or a version given twice
			name += "-" + pkg.UID[:8]
			break
		}
	}
	return Image{Name: name, Pending: "it is not made yet"}
}

var (
	notInRepository = lazyregexp.New(`[^a-z0-9]+`)
	tagForm         = lazyregexp.New(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,110}$`)
)

func rampName(pkg *Package) string {
	tag := strings.ReplaceAll(pkg.SemanticVersion, "+", "-")
	if !tagForm().MatchString(tag) {
		tag = pack.SemanticVersion(pkg.Version)
	}
	name := image.LocalPrefix + "ramp/" + strings.ToLower(pkg.Name) + ":" + tag
	named, err := reference.ParseDockerRef(name)
	// "a@sha256" with a version that could be one would be a digest, and not its own.
	if _, digested := named.(reference.Digested); err == nil && !digested {
		return name
	}
	plain := strings.Trim(notInRepository().ReplaceAllString(strings.ToLower(pkg.Name), "-"), "-")
	return image.LocalPrefix + "ramp/" + strings.TrimPrefix(plain+"-"+pkg.UID[:8], "-") + ":" + tag
}
