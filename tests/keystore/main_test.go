// Package keystore tests where keys can be kept, against a TPM 2.0 emulator (swtpm)
// and a software token (SoftHSM2), alone and under a whole edged.
package keystore

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/pkg/keystore"
	"github.com/edged/edged/tests/device"
)

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "system tests run as root: use the Makefile")
		os.Exit(1)
	}
	for _, program := range []string{"swtpm", "softhsm2-util"} {
		if _, err := exec.LookPath(program); err != nil {
			fmt.Fprintln(os.Stderr, err, "(make deps-test installs it)")
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m)
}

// notes is a database of notes.
type notes struct {
	mu  sync.Mutex
	all map[string]string
}

func (n *notes) Note(_ context.Context, key string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.all[key], nil
}

func (n *notes) SetNote(_ context.Context, key, value string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all[key] = value
	return nil
}

// home is what of a device a keystore uses.
type home struct {
	t      *testing.T
	uri    string
	folder string
	notes  *notes
	mu     sync.Mutex
	warned []string
	helper string
}

func newHome(t *testing.T, uri string) *home {
	return &home{t: t, uri: uri, folder: filepath.Join(t.TempDir(), "keys"), notes: &notes{all: map[string]string{}}, helper: program("edged-pkcs11")}
}

// program is one that make build left.
func program(name string) string { return filepath.Join(device.Repository(), "bin", name) }

func (h *home) config() keystore.Config {
	return keystore.Config{URI: h.uri, Folder: h.folder, Helper: h.helper, Notes: h.notes, Warn: func(format string, args ...any) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.warned = append(h.warned, fmt.Sprintf(format, args...))
	}}
}

func (h *home) said() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.warned...)
}

func (h *home) try() (*keystore.Store, error) { return keystore.Open(h.t.Context(), h.config()) }

func (h *home) open() *keystore.Store {
	h.t.Helper()
	s, err := h.try()
	require.NoError(h.t, err)
	h.t.Cleanup(func() { _ = s.Close() })
	return s
}
