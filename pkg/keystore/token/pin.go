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

// secret is the PIN, with what tells whether it was written anew.
type secret struct{ pin, state string }

// readPIN reads the PIN's file: what the URI names, or else the credential.
func (s *Store) readPIN() (*secret, error) {
	path := s.where.PINSource
	if path == "" && s.credentials != "" {
		path = filepath.Join(s.credentials, pinCredential)
	}
	if path == "" {
		return nil, fmt.Errorf("cannot log in: name the file with the PIN in pin-source of [keystore] uri, or pass the credential %s: %w", pinCredential, errdefs.ErrFailedPrecondition)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot log in: there is no file %s with the token's PIN, which pin-source names: %w", path, errdefs.ErrFailedPrecondition)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read PIN: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot read PIN: %w", err)
	}
	if st.Mode().Perm()&0o037 != 0 {
		s.warn("%s holds the token's PIN and can be read by others (mode %04o): chmod it to 0600, and change the PIN", path, st.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, 256))
	if err != nil {
		return nil, fmt.Errorf("cannot read PIN: %w", err)
	}
	defer clear(b)
	secret := &secret{pin: string(bytes.TrimRight(b, "\r\n")), state: string(b)}
	if s.where.PINSource != "" {
		// A credential is written anew at each start, so its time says nothing.
		secret.state += st.ModTime().String()
	}
	return secret, nil
}

// A token locks itself after some PINs that are wrong, and a service manager starts
// edged again and again. So a PIN that was refused is not tried twice, until its file
// is written again.

// checkRefused fails when the PIN was refused before.
func (s *Store) checkRefused(ctx context.Context, secret *secret) error {
	text, err := s.notes.Note(ctx, refusedNote)
	if err != nil {
		return err
	}
	salt, print, ok := strings.Cut(text, ":")
	if ok && shortPrint(salt, secret.state) == print {
		return fmt.Errorf("cannot log in to %s: the token refused this PIN before, and is not asked with it again so that it does not lock itself; write the right one, or the same anew: %w",
			s.where, errdefs.ErrFailedPrecondition)
	}
	return nil
}

func (s *Store) rememberRefused(ctx context.Context, secret *secret) error {
	salt := rand.Text()
	return s.notes.SetNote(ctx, refusedNote, salt+":"+shortPrint(salt, secret.state))
}

// shortPrint tells a PIN from most others, and says too little to find it: it may be
// that of another token.
func shortPrint(salt, state string) string {
	sum := sha256.Sum256([]byte(salt + state))
	return hex.EncodeToString(sum[:2])
}
