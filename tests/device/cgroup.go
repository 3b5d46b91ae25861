package device

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// RemoveCgroups removes the groups of containers that were killed, their parent's
// among them, and what modules made below: each is a folder of the kernel's that
// holds memory until the machine restarts.
func RemoveCgroups(tb testing.TB, namespace string) {
	tb.Helper()
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		places, _ := filepath.Glob(pattern + namespace)
		for _, place := range places {
			var groups []string
			_ = filepath.WalkDir(place, func(path string, entry fs.DirEntry, err error) error {
				if err == nil && entry.IsDir() {
					groups = append(groups, path)
				}
				return nil
			})
			for _, group := range slices.Backward(groups) {
				// Busy while its last process ends.
				for deadline := time.Now().Add(5 * time.Second); os.Remove(group) != nil; time.Sleep(10 * time.Millisecond) {
					if time.Now().After(deadline) {
						tb.Errorf("cannot remove cgroup %s", group)
						break
					}
				}
			}
		}
	}
}
