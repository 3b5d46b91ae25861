package token

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// pinCredential is the name of the service manager's credential with the PIN.
const pinCredential = "pkcs11-pin"

// refusedNote is the name of the note of a PIN that was refused.
const refusedNote = "keystore refused pin"

// readPIN reads the PIN's file: what the URI names, or else the credential.
func (s *Store) readPIN() (string, error) {
	path := s.where.PINSource
	if path == "" && s.credentials != "" {
		path = filepath.Join(s.credentials, pinCredential)
	}
	if path == "" {
		return "", fmt.Errorf("cannot log in: name the file with the PIN in pin-source of [keystore] uri, or pass the credential %s: %w", pinCredential, errdefs.ErrFailedPrecondition)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("cannot log in: there is no file %s, which pin-source of [keystore] uri names: %w", path, errdefs.ErrFailedPrecondition)
	}
	if err != nil {
		return "", fmt.Errorf("cannot read PIN: %w", err)
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Mode().Perm()&0o037 != 0 {
		s.warn("%s holds the token's PIN and can be read by others (mode %04o): chmod it to 0600, and change the PIN", path, st.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, 256))
	if err != nil {
		return "", fmt.Errorf("cannot read PIN: %w", err)
	}
	defer clear(b)
	return string(bytes.TrimRight(b, "\r\n")), nil
}

// A token locks itself after some PINs that are wrong, and a service manager starts
// edged again and again. So a PIN that was refused is not tried twice.

// checkRefused fails when the PIN was refused before.
func (s *Store) checkRefused(ctx context.Context, pin string) error {
	text, err := s.notes.Note(ctx, refusedNote)
	if err != nil {
		return err
	}
	salt, print, ok := strings.Cut(text, ":")
	if ok && shortPrint(salt, pin) == print {
		return fmt.Errorf("cannot log in to %s: the token refused this PIN before, and is not asked with it again so that it does not lock itself; write the right one: %w",
			s.where, errdefs.ErrFailedPrecondition)
	}
	return nil
}

func (s *Store) rememberRefused(ctx context.Context, pin string) error {
	salt := rand.Text()
	return s.notes.SetNote(ctx, refusedNote, salt+":"+shortPrint(salt, pin))
}

// shortPrint tells a PIN from most others, and says too little to find it: it may be
// that of another token.
func shortPrint(salt, pin string) string {
	sum := sha256.Sum256([]byte(salt + pin))
	return hex.EncodeToString(sum[:2])
}
