package pack

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// Limits of a RAMP package's zip.
const (
	maxFiles     = 2 + maxDependencies + 1
	maxDirectory = 1 << 20
	metadataFile = "module.json"
	depsFolder   = "deps/"
)

// RAMP is a package of a Redis module that was found to be sound: all of it was read
// once, and what it says of its library and dependencies is so.
type RAMP struct {
	*Metadata
	// LibraryArch is what the library is built for, in the word of GOARCH.
	LibraryArch string
	// LibrarySize is the library's in bytes. The directory's word for it was compared with
	// what came out.
	LibrarySize int64

	library *zip.File
	deps    map[string]*zip.File
}

// OpenRAMP reads a package of a size and refuses one that is not sound. Errors: *Error
// (Invalid, Dependencies), else the reader's.
func OpenRAMP(r io.ReaderAt, size int64, limits Limits) (*RAMP, error) {
	in := &watched{r: r, quota: maxDirectory, files: maxFiles}
	p, err := openRAMP(in, size, limits)
	if in.err != nil {
		return nil, fmt.Errorf("cannot read package: %w", in.err)
	}
	return p, err
}

// ReopenRAMP opens a package that OpenRAMP has taken before, without reading all of it.
func ReopenRAMP(r io.ReaderAt, size int64) (*RAMP, error) {
	in := &watched{r: r, quota: maxDirectory, files: maxFiles}
	p, err := readDirectory(in, size, &meter{limit: size + freeUnpacked})
	if in.err != nil {
		return nil, fmt.Errorf("cannot read package: %w", in.err)
	}
	return p, err
}

func openRAMP(in *watched, size int64, limits Limits) (*RAMP, error) {
	count := limits.meter(size)
	p, err := readDirectory(in, size, count)
	if err != nil {
		return nil, err
	}
	if err := p.checkLibrary(count); err != nil {
		return nil, err
	}
	return p, p.checkEmbedded(count)
}

// readDirectory reads what a package says it has, and module.json.
func readDirectory(in *watched, size int64, count *meter) (*RAMP, error) {
	all, err := directory(in, size)
	if err != nil {
		return nil, err
	}
	p := &RAMP{deps: map[string]*zip.File{}}
	files, err := plainFiles(all)
	if err != nil {
		return nil, err
	}
	description, ok := files[metadataFile]
	if !ok {
		return nil, invalid("it has no module.json")
	}
	if err := read(description, count, func(r io.Reader) error {
		p.Metadata, err = readMetadata(r)
		return err
	}); err != nil {
		return nil, err
	}
	for name, file := range files {
		dep, isDep := strings.CutPrefix(name, depsFolder)
		switch {
		case name == metadataFile:
		case name == p.File:
			p.library = file
		case isDep && fileForm().MatchString(dep) && strings.HasSuffix(dep, ".tgz"):
			p.deps[strings.TrimSuffix(dep, ".tgz")] = file
		default:
			return nil, invalid("it has a file that does not belong there: %q", name)
		}
	}
	if p.library == nil {
		return nil, invalid("its module_file %s is not in it", p.File)
	}
	p.LibrarySize = int64(p.library.UncompressedSize64)
	return p, nil
}

// plainFiles are an archive's files by name: no folder but deps, nothing twice, nothing
// encrypted, nothing that is no file.
func plainFiles(all []*zip.File) (map[string]*zip.File, error) {
	if len(all) > maxFiles {
		return nil, invalid("it has %d files, %d at most belong there", len(all), maxFiles)
	}
	files := map[string]*zip.File{}
	for _, f := range all {
		if err := CheckFile(f); err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(f.Name, "./")
		switch dir := f.Mode().IsDir(); {
		case dir && name == depsFolder && f.UncompressedSize64 == 0:
			continue
		case dir:
			return nil, invalid("its entry %q is no plain file", f.Name)
		case path.Clean(name) != name:
			return nil, invalid("it has a file of the name %q", f.Name)
		case files[name] != nil:
			return nil, invalid("it has the file %q twice", f.Name)
		}
		files[name] = f
	}
	return files, nil
}

// read gives all of a file to a function, counted; what it leaves is read as well, so that
// the checksum at the end is compared.
func read(f *zip.File, count *meter, fn func(io.Reader) error) error {
	r, err := f.Open()
	if err != nil {
		return invalid("cannot read its file %q: %w", f.Name, err)
	}
	defer r.Close()
	counted := io.TeeReader(r, count)
	if err := fn(counted); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, counted); err != nil {
		return readError(f.Name, err)
	}
	return nil
}

func readError(name string, err error) error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	return invalid("cannot read its file %q: %w", name, err)
}

func (p *RAMP) checkLibrary(count *meter) error {
	sum, head := sha256.New(), new(bytes.Buffer)
	if err := read(p.library, count, func(r io.Reader) error {
		if _, err := io.CopyN(io.MultiWriter(sum, head), r, elfHeader); err != nil && !errors.Is(err, io.EOF) {
			return readError(p.File, err)
		}
		if _, err := io.CopyBuffer(onlyWriter{sum}, r, make([]byte, 256<<10)); err != nil {
			return readError(p.File, err)
		}
		return nil
	}); err != nil {
		return err
	}
	arch, err := checkELF(head.Bytes())
	if err != nil {
		return err
	}
	p.LibraryArch = arch
	if said := Architecture(p.Architecture); said != arch {
		return invalid("its architecture is %s, and its library is built for %s", p.Architecture, arch)
	}
	is := hex.EncodeToString(sum.Sum(nil))
	if p.SHA256 == "" {
		p.SHA256 = is
	}
	if p.SHA256 != is {
		return invalid("its sha256 is not that of its library, which is %s", is)
	}
	return nil
}

// checkEmbedded holds the dependencies that are in the package to what it says of them.
func (p *RAMP) checkEmbedded(count *meter) error {
	for _, d := range p.Dependencies {
		file := p.deps[d.Name]
		if file == nil {
			if d.URL == "" {
				return fault(Dependencies, "the dependency %s is not in the package, and has no URL", d.Name)
			}
			continue
		}
		if err := read(file, count, func(r io.Reader) error { return checkDependency(d, r, count) }); err != nil {
			return err
		}
	}
	for name := range p.deps {
		if !p.declares(name) {
			return fault(Dependencies, "deps/%s.tgz is in the package, and among its dependencies it is not", name)
		}
	}
	return nil
}

func (p *RAMP) declares(name string) bool {
	for _, d := range p.Dependencies {
		if d.Name == name {
			return true
		}
	}
	return false
}

// Library opens the library.
func (p *RAMP) Library() (io.ReadCloser, error) { return p.library.Open() }

// Embedded says whether a dependency is in the package.
func (p *RAMP) Embedded(name string) bool { return p.deps[name] != nil }

// Dependency opens a dependency that is in the package.
func (p *RAMP) Dependency(name string) (io.ReadCloser, error) { return p.deps[name].Open() }

// onlyWriter keeps io.CopyBuffer from using another buffer than the one it is given.
type onlyWriter struct{ io.Writer }
