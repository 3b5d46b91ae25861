package osgi

import (
	"archive/zip"
	"io"
	"strings"

	"github.com/edged/edged/pkg/pack"
)

// Limits of an archive of classes.
const (
	maxFiles     = 32_768
	maxDirectory = 6 << 20
	// manifestFile is where frameworks look for the manifest; Java finds it whatever the case.
	manifestFile = "META-INF/MANIFEST.MF"
	metaFolder   = "META-INF/"
)

// jar is an archive that was found to be one: names that stay inside and are there once, and a
// manifest that was read.
type jar struct {
	*pack.Zip
	file     *zip.File // the manifest's
	manifest *Manifest
}

// openJar reads the directory and the manifest.
func openJar(r io.ReaderAt, size int64, limits pack.Limits) (*jar, error) {
	z, err := pack.OpenZip(&ahead{r: r}, size, maxFiles, maxDirectory)
	if err != nil {
		return nil, err
	}
	j := &jar{Zip: z}
	if err := j.check(size, limits); err != nil {
		return nil, j.Told(err)
	}
	in, err := j.file.Open()
	if err != nil {
		return nil, j.Told(invalid("its manifest cannot be read: %w", err))
	}
	defer in.Close()
	if j.manifest, err = ReadManifest(in, MaxManifest); err != nil {
		return nil, j.Told(asInvalid("its manifest cannot be read", err))
	}
	return j, nil
}

// asInvalid is for what comes of an archive: its own error, or that of bytes that are broken.
func asInvalid(what string, err error) error {
	if _, ok := pack.ReasonOf(err); ok {
		return err
	}
	return invalid("%s: %w", what, err)
}

func (j *jar) check(size int64, limits pack.Limits) error {
	seen := make(map[string]bool, len(j.Files))
	for _, f := range j.Files {
		if err := pack.CheckFile(f); err != nil {
			return err
		}
		switch {
		case isFolder(f) && f.UncompressedSize64 > 0:
			return invalid("its folder %q has bytes of its own", f.Name)
		case seen[f.Name] && !isFolder(f):
			return invalid("it has the file %q twice", f.Name)
		}
		seen[f.Name] = true
		if !strings.EqualFold(f.Name, manifestFile) {
			continue
		}
		if j.file != nil {
			return invalid("it has two manifests: %q and %q", j.file.Name, f.Name)
		}
		j.file = f
	}
	if j.file == nil {
		return invalid("it has no %s", manifestFile)
	}
	if err := limits.CheckUnpacked(j.Files, size); err != nil {
		return err
	}
	return j.checkPlaces(size)
}

// checkPlaces refuses files that are not whole in the archive, or share what is in it: thousands of them could be
// the same few bytes.
func (j *jar) checkPlaces(size int64) error {
	left := uint64(size)
	for _, f := range j.Files {
		at, err := f.DataOffset()
		if err != nil {
			return invalid("cannot read its file %q: %w", f.Name, err)
		}
		if at < 0 || at > size || f.CompressedSize64 > uint64(size-at) {
			return invalid("its file %q goes on after the end of the archive", f.Name)
		}
		if f.CompressedSize64 > left {
			return invalid("its files are larger than the archive that they are in")
		}
		left -= f.CompressedSize64
	}
	return nil
}

func isFolder(f *zip.File) bool { return strings.HasSuffix(f.Name, "/") }

// inMeta is the rest of a name in META-INF, in capital letters; false if it is elsewhere.
func inMeta(name string) (string, bool) {
	return strings.CutPrefix(strings.ToUpper(name), metaFolder)
}
