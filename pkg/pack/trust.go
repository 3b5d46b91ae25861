package pack

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxKeyFile is the most bytes of a public key's file.
const maxKeyFile = 4 << 10

// ReadTrust reads the public keys, *.pub, of a folder. One that others than its owner may
// write is an error, and such a folder too: whoever can change it decides what is trusted. A
// folder that is not there has none. Hidden files are no keys: editors leave them.
func ReadTrust(folder string) ([]Key, error) {
	info, err := os.Stat(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("cannot trust the keys in %s: others than its owner may put one there (chmod go-w)", folder)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("cannot read trusted keys: %w", err)
	}
	var keys []Key
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".pub") || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		key, err := ReadKey(filepath.Join(folder, e.Name()))
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// ReadKey reads one public key from a file.
func ReadKey(file string) (Key, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0) // #nosec G304 -- the operator's; nobody waits for a pipe's other end
	if err != nil {
		return Key{}, fmt.Errorf("cannot read public key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Key{}, fmt.Errorf("cannot read public key: %w", err)
	}
	switch {
	case !info.Mode().IsRegular():
		return Key{}, fmt.Errorf("cannot read public key %s: it is no file", file)
	case info.Mode().Perm()&0o022 != 0:
		return Key{}, fmt.Errorf("cannot trust public key %s: others than its owner may write it (chmod go-w)", file)
	case info.Size() > maxKeyFile:
		return Key{}, fmt.Errorf("cannot read public key %s: it is larger than %d bytes", file, maxKeyFile)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return Key{}, fmt.Errorf("cannot read public key: %w", err)
	}
	return ParseKey(file, text)
}
