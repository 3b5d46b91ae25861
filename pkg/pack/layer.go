package pack

import (
	"archive/tar"
	"fmt"
	"io"
	"path"
	"strconv"
	"time"
)

// Where a layer has what a RAMP package brings: the library is where Debian has modules,
// and dependencies are where modules with some look for them.
const (
	libraryFolder    = "/usr/lib/redis/modules"
	dependencyFolder = "/var/opt/redislabs/modules"
)

// LibraryPath is where the library is in an image made of the package.
func (p *RAMP) LibraryPath() string { return path.Join(libraryFolder, p.File) }

// Command is what redis-server is to be told besides, to load the module.
func (p *RAMP) Command() ([]string, error) {
	args, err := Arguments(p.CommandLineArgs)
	return append([]string{"--loadmodule", p.LibraryPath()}, args...), err
}

// WriteLayer writes a layer with the library and what is in the dependencies, as a tar.
// The same package gives the same bytes. Folders have no entry: one would take the place
// of a link that the image below has there.
func (p *RAMP) WriteLayer(w io.Writer, open func(Dependency) (io.ReadCloser, error)) error {
	out := tar.NewWriter(w)
	library, err := p.Library()
	if err != nil {
		return fmt.Errorf("cannot open library: %w", err)
	}
	defer library.Close()
	// Redis loads nothing that is not executable.
	if err := write(out, &tar.Header{Typeflag: tar.TypeReg, Name: p.LibraryPath()[1:], Mode: 0o755, Size: p.LibrarySize}, library); err != nil {
		return err
	}
	for _, d := range p.Dependencies {
		if err := p.writeDependency(out, d, open); err != nil {
			return fmt.Errorf("cannot write dependency %s: %w", d.Name, err)
		}
	}
	return out.Close()
}

func (p *RAMP) writeDependency(out *tar.Writer, d Dependency, open func(Dependency) (io.ReadCloser, error)) error {
	in, err := open(d)
	if err != nil {
		return err
	}
	defer in.Close()
	folder := path.Join(dependencyFolder, p.Name, strconv.FormatInt(p.Version, 10), "deps", d.Name)[1:]
	return DependencyFiles(in, func(h *tar.Header, body io.Reader) error {
		to := &tar.Header{Typeflag: h.Typeflag, Name: path.Join(folder, h.Name), Mode: h.Mode & 0o777} // #nosec G305 -- DependencyFiles gives names that stay in a folder, for an archive
		switch h.Typeflag {
		case tar.TypeReg:
			to.Size = h.Size
		case tar.TypeDir:
			to.Name += "/"
		case tar.TypeLink:
			to.Linkname = path.Join(folder, h.Linkname) // #nosec G305 -- DependencyFiles gives names that stay in a folder, for an archive
		case tar.TypeSymlink:
			to.Linkname = h.Linkname
		}
		return write(out, to, body)
	})
}

func write(out *tar.Writer, h *tar.Header, body io.Reader) error {
	h.ModTime = time.Unix(0, 0).UTC()
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	_, err := io.CopyBuffer(onlyWriter{out}, body, make([]byte, 256<<10))
	return err
}
