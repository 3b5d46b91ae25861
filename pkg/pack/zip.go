package pack

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// zipEncrypted is the flag of a file that is (APPNOTE.TXT, 4.4.4).
const zipEncrypted = 1

// Zip is an archive whose directory was read, within limits.
type Zip struct {
	Files []*zip.File
	in    *watched
}

// OpenZip reads the directory of an archive of a size: of at most so many files, and at most so
// many bytes. Errors: *Error (Invalid), else the reader's.
func OpenZip(r io.ReaderAt, size int64, files int, bytes int64) (*Zip, error) {
	z := &Zip{in: &watched{r: r, quota: bytes, files: files}}
	var err error
	if z.Files, err = directory(z.in, size); err == nil && len(z.Files) > files {
		err = limited("it has more than %d files", files)
	}
	if err := z.Told(err); err != nil {
		return nil, err
	}
	return z, nil
}

// Told is err, unless it came about because the archive could not be read: then it is that.
func (z *Zip) Told(err error) error {
	if z.in.err != nil {
		return fmt.Errorf("cannot read package: %w", z.in.err)
	}
	return err
}

// CheckFile refuses a file that is encrypted, that is no plain file or folder, whose name could
// leave a folder, or that is compressed in a way that not everybody knows.
func CheckFile(f *zip.File) error {
	if err := CheckName(f.Name); err != nil {
		return err
	}
	switch mode := f.Mode(); {
	case f.Flags&zipEncrypted != 0:
		return invalid("its file %q is encrypted", f.Name)
	case mode&fs.ModeType&^fs.ModeDir != 0:
		return invalid("its entry %q is no plain file", f.Name)
	case f.Method != zip.Store && f.Method != zip.Deflate:
		return invalid("its file %q is compressed in a way that is not known (%d)", f.Name, f.Method)
	}
	return nil
}

// CheckUnpacked refuses files that say they unpack to more than the limits of an archive of a size allow.
// That they say the truth is compared when they are read (archive/zip).
func (l Limits) CheckUnpacked(files []*zip.File, size int64) error {
	count := l.meter(size)
	for _, f := range files {
		if err := count.add(int64(f.UncompressedSize64)); err != nil {
			return err
		}
	}
	return nil
}

// directory reads the directory of an archive. The quota is for it: it is read into memory
// whole and does not say truly how large it is.
func directory(in *watched, size int64) ([]*zip.File, error) {
	archive, err := zip.NewReader(in, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, invalid("its zip archive cannot be read: %w", err)
	}
	in.quota = -1
	return archive.File, nil
}
