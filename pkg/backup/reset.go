package backup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/edged/edged/pkg/file"
)

// Reset removes what a home holds but for what is kept: the lock, the operator's image
// archives, and keys and volumes where they are asked for. The caller holds the Lock.
func Reset(home string, keep ...string) error {
	entries, err := os.ReadDir(home)
	if err != nil {
		return fmt.Errorf("cannot reset: %w", err)
	}
	kept := map[string]bool{"edged.lock": true, "images": true}
	for _, name := range keep {
		kept[name] = true
	}
	var errs []error
	for _, e := range entries {
		if !kept[e.Name()] {
			errs = append(errs, os.RemoveAll(filepath.Join(home, e.Name())))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cannot reset: %w", err)
	}
	return file.SyncFolder(home)
}
