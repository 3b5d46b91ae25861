package keystore

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/keystore/files"
	"github.com/edged/edged/pkg/keystore/token"
	"github.com/edged/edged/pkg/keystore/tpm"
	"github.com/edged/edged/pkg/keystore/uri"
	"github.com/edged/edged/pkg/mountns"
)

// Config says where the keys are.
type Config struct {
	// URI as [keystore] uri has it.
	URI string
	// Folder keeps what a TPM makes: <home>/keys.
	Folder string
	// Helper is the path of the program edged-pkcs11.
	Helper string
	// Credentials is the folder of the service manager's credentials,
	// $CREDENTIALS_DIRECTORY, or empty.
	Credentials string
	// MountNS is where that program runs.
	MountNS *mountns.Namespace
	Notes   Notes
	// Warn is told of what was mended and of what edged-pkcs11 says.
	Warn func(format string, args ...any)
}

// Open opens the keystore of a device, and makes it at the first start. Errors: of
// New, and errdefs.InvalidArgument.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	where, err := uri.Parse(cfg.URI)
	if err != nil {
		return nil, fmt.Errorf("cannot use [keystore] uri: %w", err)
	}
	return New(ctx, where.Kind, cfg.backend(where), cfg.Notes)
}

func (c *Config) backend(where *uri.URI) Backend {
	switch where.Kind {
	case uri.TPM:
		return tpm.New(where.Path, c.Folder, c.Warn)
	case uri.Token:
		return c.token(where)
	}
	return files.New(where.Path, c.Credentials, c.Warn)
}

func (c *Config) token(where *uri.URI) *token.Store {
	return token.New(token.Config{Where: where, Program: c.Helper, Credentials: c.Credentials, MountNS: c.MountNS, Notes: c.Notes, Warn: c.Warn})
}

// External opens a key pair that is not edged's own: the operator's device CA, in a
// TPM (tpm2:...?handle=0x81...) or a token (pkcs11:...;object=...). close ends what
// was opened for it. Errors: errdefs.InvalidArgument, NotFound, Unavailable.
func External(ctx context.Context, cfg Config) (signer crypto.Signer, closeIt func() error, err error) {
	where, err := uri.Parse(cfg.URI)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case where.Kind == uri.TPM && where.Handle != 0:
		s := tpm.New(where.Path, cfg.Folder, cfg.Warn)
		if err := s.Connect(); err != nil {
			return nil, nil, err
		}
		if signer, err = s.External(ctx, where.Handle); err != nil {
			return nil, nil, errors.Join(err, s.Close())
		}
		return signer, s.Close, nil
	case where.Kind == uri.Token && (where.Object != "" || len(where.ID) > 0):
		s := cfg.token(where)
		if signer, err = s.External(ctx, where.Object, where.ID); err != nil {
			return nil, nil, errors.Join(err, s.Close())
		}
		return signer, s.Close, nil
	}
	return nil, nil, fmt.Errorf("%s names no key: want tpm2:...?handle=, or pkcs11: with object or id: %w", where, errdefs.ErrInvalidArgument)
}

// GiveUp makes the next start the device's first, as far as keys go: what the
// database remembers is forgotten, and the key files are put aside, not removed. It
// returns where they are, empty where there were none. A token keeps its keys, and
// they are used again.
func GiveUp(ctx context.Context, cfg Config, now time.Time) (string, error) {
	where, err := uri.Parse(cfg.URI)
	if err != nil {
		return "", fmt.Errorf("cannot use [keystore] uri: %w", err)
	}
	folder := cfg.Folder
	if where.Kind == uri.File {
		folder = where.Path
	}
	first := folder + ".given-up-" + now.UTC().Format("20060102-150405")
	aside := first
	err = os.Rename(folder, aside)
	for n := 2; errors.Is(err, os.ErrExist); n++ { // given up twice in a second
		aside = fmt.Sprintf("%s-%d", first, n)
		err = os.Rename(folder, aside)
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		aside = ""
	case err != nil:
		return "", fmt.Errorf("cannot put key files aside: %w", err)
	}
	return aside, cfg.Notes.SetNote(ctx, Note, "")
}
