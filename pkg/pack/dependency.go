package pack

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// maxDependencyFiles bounds the files of one dependency: each is a file on the device.
const maxDependencyFiles = 100_000

// CheckDependency reads a dependency of a size: its digest is what was declared, and it
// is a tar archive in gzip whose files stay where they are put. Errors: *Error, else the
// reader's.
func CheckDependency(d Dependency, r io.Reader, size int64, limits Limits) error {
	in := &stream{r: r}
	err := checkDependency(d, in, limits.meter(size))
	if in.err != nil {
		return fmt.Errorf("cannot read dependency %s: %w", d.Name, in.err)
	}
	return err
}

func checkDependency(d Dependency, r io.Reader, count *meter) error {
	sum := sha256.New()
	hashed := io.TeeReader(r, sum)
	err := DependencyFiles(hashed, func(_ *tar.Header, body io.Reader) error {
		_, err := io.Copy(count, body)
		return err
	})
	if err != nil {
		var own *Error
		if errors.As(err, &own) {
			return own
		}
		return fault(Dependencies, "the dependency %s is no tar archive in gzip: %w", d.Name, err)
	}
	if _, err := io.Copy(io.Discard, hashed); err != nil {
		return readError(d.Name, err)
	}
	if is := hex.EncodeToString(sum.Sum(nil)); is != d.SHA256 {
		return fault(Dependencies, "the sha256 of the dependency %s is %s, not what the package says", d.Name, is)
	}
	return nil
}

// DependencyFiles calls each for every folder, file and link of a dependency's archive,
// under a name that stays in a folder. What is nothing of these is refused.
func DependencyFiles(r io.Reader, each func(h *tar.Header, body io.Reader) error) error {
	plain, err := gzip.NewReader(bufio.NewReaderSize(r, 64<<10))
	if err != nil {
		return err
	}
	defer plain.Close()
	files := tar.NewReader(plain)
	for n := 0; ; n++ {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			// What stands behind the end of a tar is filled up with zeros.
			_, err := io.Copy(io.Discard, io.LimitReader(plain, 1<<20))
			return err
		}
		if err != nil {
			return err
		}
		if n >= maxDependencyFiles {
			return fault(Dependencies, "a dependency has more than %d files", maxDependencyFiles)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		if err := checkDependencyFile(h); err != nil {
			return err
		}
		if h.Name == "." {
			continue
		}
		if err := each(h, files); err != nil {
			return err
		}
	}
}

func checkDependencyFile(h *tar.Header) error {
	if err := CheckName(h.Name); err != nil {
		return err
	}
	h.Name = path.Clean(h.Name)
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir:
		return nil
	case tar.TypeSymlink, tar.TypeLink:
		// Links stay in the dependency's own folder: from where the link is, or from the top.
		target := h.Linkname
		if h.Typeflag == tar.TypeSymlink {
			target = path.Join(path.Dir(h.Name), h.Linkname) // #nosec G305 -- it is looked at here, and nothing is written
		}
		if path.IsAbs(h.Linkname) || path.Clean(target) == ".." || strings.HasPrefix(path.Clean(target), "../") {
			return fault(Dependencies, "a dependency has a link out of its folder: %q", h.Name)
		}
		return nil
	}
	return fault(Dependencies, "a dependency has something that is neither file, folder nor link: %q", h.Name)
}
