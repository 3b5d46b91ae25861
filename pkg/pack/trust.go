package pack

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxKeyFile is the most bytes of a public key's file.
const maxKeyFile = 4 << 10

// ReadTrust reads the public keys, *.pub, of a folder. One that others than its owner may
// write is an error: whoever can change it decides what is trusted. A folder that is not
// there has none.
func ReadTrust(folder string) ([]Key, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read trusted keys: %w", err)
	}
	var keys []Key
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".pub") {
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
	f, err := os.Open(file) // #nosec G304 -- the operator's
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
