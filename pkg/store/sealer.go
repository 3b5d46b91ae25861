package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/module"
)

// Sealer keeps secrets that the database must hold. context binds a sealed value
// to its place: moved to another row it does not open. The first byte of a sealed
// value is the version of its form; oldVersion is not the Sealer's.
type Sealer interface {
	Seal(plain []byte, context string) ([]byte, error)
	Open(sealed []byte, context string) ([]byte, error)
}

// SealWith sets the sealer, before anything that is sealed is read or written. What an
// edged of before the keystore sealed, with the key in the file old, is sealed anew,
// and the file removed. Errors: errdefs.FailedPrecondition where that key is needed
// and gone.
func (s *Store) SealWith(ctx context.Context, sealer Sealer, old string) error {
	s.sealer = sealer
	legacy, err := openFileSealer(old)
	if err != nil {
		return err
	}
	if err := s.reseal(ctx, legacy, old); err != nil {
		return err
	}
	return legacy.remove(old)
}

// reseal seals anew what has the old form, all of it or nothing.
func (s *Store) reseal(ctx context.Context, legacy *fileSealer, old string) error {
	sealed, err := s.oldAuths(ctx)
	if err != nil || len(sealed) == 0 {
		return err
	}
	if legacy == nil {
		return fmt.Errorf("cannot open registry credentials: they were sealed with the key in %s, which is not there; restore it from a backup, %s: %w", old, giveUp, errdefs.ErrFailedPrecondition)
	}
	return s.tx(ctx, "registry credentials", func(tx *sql.Tx) error {
		for key, value := range sealed {
			plain, err := legacy.Open(value, authContext(key.module, key.number))
			if err != nil {
				return unsealable(key.module, fmt.Errorf("%w (key file %s)", err, old))
			}
			anew, err := s.sealer.Seal(plain, authContext(key.module, key.number))
			clear(plain)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `UPDATE generations SET auth = ? WHERE module = ? AND number = ?`, anew, key.module, key.number); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) oldAuths(ctx context.Context) (map[generationKey][]byte, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT module, number, auth FROM generations WHERE auth IS NOT NULL`)
	if err != nil {
		return nil, fmt.Errorf("cannot read generations: %w", err)
	}
	defer rows.Close()
	old := map[generationKey][]byte{}
	for rows.Next() {
		var (
			key   generationKey
			value []byte
		)
		if err := rows.Scan(&key.module, &key.number, &value); err != nil {
			return nil, fmt.Errorf("cannot read generation: %w", err)
		}
		if len(value) > 0 && value[0] == oldVersion {
			old[key] = value
		}
	}
	return old, rows.Err()
}

// ForgetSealed removes what is sealed, and returns of how many generations: their
// images are then fetched without credentials, until the modules are made anew.
func (s *Store) ForgetSealed(ctx context.Context) (int64, error) {
	var n int64
	err := s.tx(ctx, "registry credentials", func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE generations SET auth = NULL WHERE auth IS NOT NULL`)
		if err == nil {
			n, err = res.RowsAffected()
		}
		return err
	})
	return n, err
}

func authContext(name string, generation int64) string {
	return fmt.Sprintf("auth/%d/%s", generation, name)
}

func (s *Store) sealAuth(name string, generation int64, auth *module.Auth) ([]byte, error) {
	if auth == nil {
		return nil, nil
	}
	plain, err := json.Marshal(auth)
	if err != nil {
		return nil, err
	}
	return s.sealer.Seal(plain, authContext(name, generation))
}

func (s *Store) openAuth(name string, generation int64, sealed []byte) (*module.Auth, error) {
	if sealed == nil {
		return nil, nil
	}
	plain, err := s.sealer.Open(sealed, authContext(name, generation))
	if err != nil {
		return nil, unsealable(name, err)
	}
	auth := new(module.Auth)
	return auth, json.Unmarshal(plain, auth)
}

// giveUp is the way out where there is no backup.
const giveUp = `or give the credentials up with "edged --new-keys"`

func unsealable(name string, cause error) error {
	return fmt.Errorf("cannot open registry credentials of module %q: %w; restore keys and database from one backup, %s", name, cause, giveUp)
}
