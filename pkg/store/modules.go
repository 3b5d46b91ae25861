package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/peer"
)

var _ module.Store = (*Store)(nil)

// Modules reads every record.
func (s *Store) Modules(ctx context.Context) ([]module.Record, error) {
	generations, err := s.generations(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, `SELECT name, phase, wanted, current, next, started_at, exit, restarts FROM modules ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("cannot read modules: %w", err)
	}
	defer rows.Close()
	var records []module.Record
	for rows.Next() {
		var (
			r       module.Record
			current int64
			next    sql.NullInt64
			started int64
			exit    sql.NullString
		)
		if err := rows.Scan(&r.Name, &r.Phase, &r.Wanted, &current, &next, &started, &exit, &r.Restarts); err != nil {
			return nil, fmt.Errorf("cannot read module: %w", err)
		}
		g, ok := generations[generationKey{r.Name, current}]
		if !ok {
			return nil, fmt.Errorf("cannot read module %q: its generation %d is missing", r.Name, current)
		}
		r.Current = g
		if g, ok := generations[generationKey{r.Name, next.Int64}]; ok && next.Valid {
			r.Next = &g
		}
		if started != 0 {
			r.Start = time.Unix(0, started).UTC()
		}
		if exit.Valid {
			r.Exit = new(module.Exit)
			if err := json.Unmarshal([]byte(exit.String), r.Exit); err != nil {
				return nil, fmt.Errorf("cannot read exit of module %q: %w", r.Name, err)
			}
		}
		records = append(records, r)
	}
	return records, rows.Err()
}

type generationKey struct {
	module string
	number int64
}

func (s *Store) generations(ctx context.Context) (map[generationKey]module.Generation, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT module, number, spec, auth, image_digest, created_at FROM generations`)
	if err != nil {
		return nil, fmt.Errorf("cannot read generations: %w", err)
	}
	defer rows.Close()
	all := map[generationKey]module.Generation{}
	for rows.Next() {
		var (
			name    string
			g       module.Generation
			spec    string
			sealed  []byte
			created int64
		)
		if err := rows.Scan(&name, &g.Number, &spec, &sealed, &g.ImageDigest, &created); err != nil {
			return nil, fmt.Errorf("cannot read generation: %w", err)
		}
		if err := json.Unmarshal([]byte(spec), &g.Spec); err != nil {
			return nil, fmt.Errorf("cannot read spec of module %q: %w", name, err)
		}
		if g.Spec.Auth, err = s.openAuth(name, g.Number, sealed); err != nil {
			return nil, err
		}
		g.Created = time.Unix(0, created).UTC()
		all[generationKey{name, g.Number}] = g
	}
	return all, rows.Err()
}

// SaveModule writes the record and the generations it names, and forgets the others.
func (s *Store) SaveModule(ctx context.Context, r *module.Record) error {
	return s.tx(ctx, "module", func(tx *sql.Tx) error { return s.putModule(ctx, tx, r, true) })
}

// SaveStart writes the record together with the instance that is about to run.
func (s *Store) SaveStart(ctx context.Context, r *module.Record, in *peer.Instance) error {
	facts, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("cannot write instance: %w", err)
	}
	return s.tx(ctx, "instance", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO instances (container_id, facts) VALUES (?1, ?2)
			ON CONFLICT DO UPDATE SET facts = ?2`, in.ContainerID, string(facts))
		if err != nil {
			return err
		}
		return s.putModule(ctx, tx, r, false)
	})
}

// SaveExit writes the record and forgets the instance whose run ended.
func (s *Store) SaveExit(ctx context.Context, r *module.Record, containerID string) error {
	return s.tx(ctx, "exit", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM instances WHERE container_id = ?`, containerID); err != nil {
			return err
		}
		return s.putModule(ctx, tx, r, false)
	})
}

func (s *Store) putModule(ctx context.Context, tx *sql.Tx, r *module.Record, specs bool) error {
	var next, exit, started any
	if r.Next != nil {
		next = r.Next.Number
	}
	if r.Exit != nil {
		b, err := json.Marshal(r.Exit)
		if err != nil {
			return err
		}
		exit = string(b)
	}
	started = int64(0)
	if !r.Start.IsZero() {
		started = r.Start.UnixNano()
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO modules (name, phase, wanted, current, next, started_at, exit, restarts)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
		ON CONFLICT DO UPDATE SET phase = ?2, wanted = ?3, current = ?4, next = ?5, started_at = ?6, exit = ?7, restarts = ?8`,
		r.Name, string(r.Phase), r.Wanted, r.Current.Number, next, started, exit, r.Restarts)
	if err != nil || !specs {
		return err
	}
	if err := leaveImages(ctx, tx, r.Name, r.Current.Number, next); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM generations WHERE module = ?1 AND number <> ?2 AND number IS NOT ?3`, r.Name, r.Current.Number, next); err != nil {
		return err
	}
	for _, g := range []*module.Generation{&r.Current, r.Next} {
		if g == nil {
			continue
		}
		if err := s.putGeneration(ctx, tx, r.Name, g); err != nil {
			return err
		}
	}
	return nil
}

// putGeneration writes a generation once: what it is never changes. A number comes
// again when the generation that had it was given up, and that could not be written:
// then it is another one, made at another time.
func (s *Store) putGeneration(ctx context.Context, tx *sql.Tx, name string, g *module.Generation) error {
	spec, err := json.Marshal(g.Spec)
	if err != nil {
		return err
	}
	sealed, err := s.sealAuth(name, g.Number, g.Spec.Auth)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO generations (module, number, spec, auth, image_digest, created_at)
		VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET spec = excluded.spec, auth = excluded.auth, image_digest = excluded.image_digest, created_at = excluded.created_at
		WHERE created_at <> excluded.created_at`, name, g.Number, string(spec), sealed, g.ImageDigest, g.Created.UnixNano())
	return err
}

// DeleteModule removes the record with its generations and instances.
func (s *Store) DeleteModule(ctx context.Context, name string) error {
	return s.tx(ctx, "module", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM instances WHERE facts ->> '$.Module' = ?`, name)
		if err == nil {
			err = leaveImages(ctx, tx, name, nil, nil)
		}
		if err == nil {
			_, err = tx.ExecContext(ctx, `DELETE FROM modules WHERE name = ?`, name)
		}
		return err
	})
}

// Instances reads what was recorded of the containers that ran.
func (s *Store) Instances(ctx context.Context) ([]peer.Instance, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT container_id, facts FROM instances`)
	if err != nil {
		return nil, fmt.Errorf("cannot read instances: %w", err)
	}
	defer rows.Close()
	var all []peer.Instance
	for rows.Next() {
		var id, facts string
		if err := rows.Scan(&id, &facts); err != nil {
			return nil, fmt.Errorf("cannot read instance: %w", err)
		}
		var in peer.Instance
		if err := json.Unmarshal([]byte(facts), &in); err != nil {
			return nil, fmt.Errorf("cannot read instance %s: %w", id, err)
		}
		all = append(all, in)
	}
	return all, rows.Err()
}
