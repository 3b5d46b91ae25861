package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/audit"
	"github.com/edged/edged/pkg/config"
	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/peer"
	"github.com/edged/edged/pkg/store"
	"github.com/edged/edged/pkg/store/builds"
)

// What edgectl needs of the database is done by edged, which alone knows its schema:
// one program that links a database is enough for a small device.

// printSchema is --schema: by it a backup of a newer edged is refused. The catalog's is
// the second line.
func printSchema(out io.Writer) error {
	for _, schema := range []func() (int64, error){store.Schema, builds.Schema} {
		n, err := schema()
		if err == nil {
			_, err = fmt.Fprintln(out, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// backUp is --backup-database. The catalog is copied beside it, and its schema is the
// second line, 0 when there is none: a catalog that is broken is no reason to have no
// backup of the rest.
func backUp(ctx context.Context, cfg *config.Config, to string, out, complaints io.Writer) error {
	n, err := store.BackUp(ctx, cfg.Home, to)
	if err != nil {
		return err
	}
	catalog, err := builds.BackUp(ctx, cfg.Home, filepath.Join(filepath.Dir(to), builds.File))
	if err != nil {
		if !errdefs.IsNotFound(err) {
			fmt.Fprintln(complaints, "edged: the catalog is not in the backup:", err)
		}
		catalog = 0
	}
	_, err = fmt.Fprintf(out, "%d\n%d\n", n, catalog)
	return err
}

// recoveryNote remembers an offline recovery until the next edged has put it into the
// audit log: the uid of who did it.
const recoveryNote = "recovered-by"

// forgetAgent is --recover-agent: whatever edgeAgent made of itself, the next start
// makes it as the configuration has it. It fails while edged runs.
func forgetAgent(ctx context.Context, cfg *config.Config) error {
	s, err := store.Open(ctx, cfg.Home, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.SetNote(ctx, recoveryNote, strconv.Itoa(os.Getuid())); err != nil {
		return err
	}
	return module.ForgetAgent(ctx, s)
}

// auditRecovery writes an offline recovery down as what it is, a change of the agent.
func (d *daemon) auditRecovery(ctx context.Context) error {
	by, err := d.store.Note(ctx, recoveryNote)
	if err != nil || by == "" {
		return err
	}
	uid, err := strconv.ParseUint(by, 10, 32)
	if err != nil {
		return fmt.Errorf("cannot read who recovered the device: %w", err)
	}
	d.audit.Change(audit.Event{Caller: peer.Caller{Kind: peer.Host, UID: uint32(uid)}, Method: "RECOVER", Route: "offline", Module: module.AgentName})
	return d.store.SetNote(ctx, recoveryNote, "")
}

// restored says that the database was brought back from a backup.
func (d *daemon) restored(ctx context.Context) (bool, error) {
	note, err := d.store.Note(ctx, store.RestoredNote)
	return note != "", err
}

// endRestore writes a restore, which root alone can do, into the audit log and forgets it,
// once every module was made anew.
func (d *daemon) endRestore(ctx context.Context) error {
	if again, err := d.restored(ctx); err != nil || !again {
		return err
	}
	d.audit.Change(audit.Event{Caller: peer.Caller{Kind: peer.Host}, Method: "RESTORE", Route: "offline"})
	return d.store.SetNote(ctx, store.RestoredNote, "")
}
