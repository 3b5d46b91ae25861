package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/identity"
	"github.com/edged/edged/pkg/keystore"
	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/peer"
	"github.com/edged/edged/pkg/store/sqlite"
)

const password = "correct-horse-battery-staple"

func open(t *testing.T, home string) *Store {
	t.Helper()
	s, err := tryOpen(home)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func tryOpen(home string) (*Store, error) {
	sealer, err := keystore.NewSealer([keystore.KeySize]byte{1})
	if err != nil {
		return nil, err
	}
	return Open(context.Background(), home, sealer)
}

func record(name string) *module.Record {
	return &module.Record{Name: name, Phase: module.PhaseReady, Current: generation(name, 1)}
}

func generation(name string, number int64) module.Generation {
	return module.Generation{
		Number: number, ImageDigest: "sha256:d", Created: time.Now().UTC(),
		Spec: module.Spec{
			Name: name, Type: "docker", Image: "r.example/i:1", ImageHash: "h", CreateOptions: json.RawMessage(`{"A":1}`), Management: true,
			Env: []module.EnvVar{{Key: "K", Value: "v"}}, PullPolicy: module.PullNever,
			Auth: &module.Auth{Username: "u", Password: password, Email: "e", ServerAddress: "r.example"},
		},
	}
}

func only(t *testing.T, s *Store) module.Record {
	t.Helper()
	all, err := s.Modules(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
	return all[0]
}

func TestARecordComesBackAsItWas(t *testing.T) {
	home := t.TempDir()
	s := open(t, home)
	r := record("temp")
	r.Phase, r.Wanted, r.Restarts = module.PhaseUpdating, true, 3
	r.Start = time.Now().UTC()
	r.Exit = &module.Exit{Time: time.Now().UTC(), Code: 137, OOM: true}
	next := generation("temp", 2)
	next.Spec.Auth = nil
	r.Next = &next
	require.NoError(t, s.SaveModule(t.Context(), r))
	require.Equal(t, *r, only(t, s))
	require.NoError(t, s.Close())
	require.Equal(t, *r, only(t, open(t, home)))
}

func TestAnEmptyDatabaseIsEmpty(t *testing.T) {
	s := open(t, t.TempDir())
	all, err := s.Modules(t.Context())
	require.NoError(t, err)
	require.Empty(t, all)
	instances, err := s.Instances(t.Context())
	require.NoError(t, err)
	require.Empty(t, instances)
	note, err := s.Note(t.Context(), "k")
	require.NoError(t, err)
	require.Empty(t, note)
}

func TestARecordForgetsTheGenerationsItDoesNotName(t *testing.T) {
	s := open(t, t.TempDir())
	r := record("temp")
	next := generation("temp", 2)
	r.Next = &next
	require.NoError(t, s.SaveModule(t.Context(), r))
	require.NoError(t, s.SaveModule(t.Context(), record("other")))
	r.Current, r.Next = next, nil
	require.NoError(t, s.SaveModule(t.Context(), r))
	var n int
	require.NoError(t, s.read.QueryRowContext(t.Context(), `SELECT count(*) FROM generations`).Scan(&n))
	require.Equal(t, 2, n)
}

// TestANumberThatComesAgainIsAnotherGeneration holds the bug that a generation that was
// given up, which could not be written, came back under the number of its successor.
func TestANumberThatComesAgainIsAnotherGeneration(t *testing.T) {
	s := open(t, t.TempDir())
	require.NoError(t, s.SaveModule(t.Context(), record("temp")))
	again := record("temp")
	again.Current.Spec.Image = "r.example/other:2"
	again.Current.Spec.Auth.Password = "other"
	again.Current.Created = again.Current.Created.Add(time.Second)
	require.NoError(t, s.SaveModule(t.Context(), again))
	require.Equal(t, *again, only(t, s))
}

func instance(name string) *peer.Instance {
	return &peer.Instance{Module: name, Generation: 1, ContainerID: name + "-g1", Paths: []string{"/edged/" + name}, PID: 42, StartTime: 7, NetNS: 9, BootID: "b"}
}

func TestAStartAndAnEndAreOneStep(t *testing.T) {
	s := open(t, t.TempDir())
	r := record("temp")
	require.NoError(t, s.SaveModule(t.Context(), r))
	r.Wanted, r.Start = true, time.Now().UTC()
	require.NoError(t, s.SaveStart(t.Context(), r, instance("temp")))
	all, err := s.Instances(t.Context())
	require.NoError(t, err)
	require.Equal(t, []peer.Instance{*instance("temp")}, all)
	require.True(t, only(t, s).Wanted)

	// One half that cannot be written takes the other along.
	wrong := *r
	wrong.Phase, wrong.Wanted = "nonsense", false
	require.Error(t, s.SaveExit(t.Context(), &wrong, "temp-g1"))
	all, err = s.Instances(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Error(t, s.SaveStart(t.Context(), &wrong, instance("other")))
	all, err = s.Instances(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)

	r.Exit = &module.Exit{Time: time.Now().UTC(), Code: 1}
	require.NoError(t, s.SaveExit(t.Context(), r, "temp-g1"))
	all, err = s.Instances(t.Context())
	require.NoError(t, err)
	require.Empty(t, all)
	require.Equal(t, 1, only(t, s).Exit.Code)
	require.Equal(t, password, only(t, s).Current.Spec.Auth.Password, "the generation stays")
}

func TestADeletedModuleLeavesItsIdentityAlone(t *testing.T) {
	s := open(t, t.TempDir())
	ctx := t.Context()
	id := identity.Identity{Module: "temp", ModuleID: "$temp", ManagedBy: "me", GenerationID: "g1"}
	require.NoError(t, s.SaveIdentity(ctx, id))
	for _, name := range []string{"temp", "temp2"} {
		require.NoError(t, s.SaveModule(ctx, record(name)))
		require.NoError(t, s.SaveStart(ctx, record(name), instance(name)))
	}
	require.NoError(t, s.DeleteModule(ctx, "temp"))
	require.Equal(t, "temp2", only(t, s).Name)
	all, err := s.Instances(ctx)
	require.NoError(t, err)
	require.Equal(t, []peer.Instance{*instance("temp2")}, all)
	var n int
	require.NoError(t, s.read.QueryRowContext(ctx, `SELECT count(*) FROM generations`).Scan(&n))
	require.Equal(t, 1, n)
	ids, err := s.Identities(ctx)
	require.NoError(t, err)
	require.Equal(t, []identity.Identity{id}, ids)
	require.NoError(t, s.DeleteModule(ctx, "temp"), "what is gone is gone")
}

func TestNotesAndImageUses(t *testing.T) {
	s := open(t, t.TempDir())
	ctx := t.Context()
	require.NoError(t, s.SetNote(ctx, "k", "1"))
	require.NoError(t, s.SetNote(ctx, "k", "2"))
	note, err := s.Note(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, "2", note)
	require.NoError(t, s.TouchImage(ctx, "r", "sha256:1"))
	require.NoError(t, s.TouchImage(ctx, "r", "sha256:2"))
	var digest string
	var at int64
	require.NoError(t, s.read.QueryRowContext(ctx, `SELECT digest, used_at FROM image_uses WHERE ref = 'r'`).Scan(&digest, &at))
	require.Equal(t, "sha256:2", digest)
	require.InDelta(t, time.Now().Unix(), at, 5)
}

func TestFilesAreForRootAlone(t *testing.T) {
	home := t.TempDir()
	require.NoError(t, open(t, home).SetNote(t.Context(), "k", "v"))
	for _, name := range []string{"edged.db", "edged.db-wal", "edged.lock", "ballast"} {
		info, err := os.Stat(filepath.Join(home, name))
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, name)
	}
}

func TestASecondProcessIsLockedOut(t *testing.T) {
	home := t.TempDir()
	s := open(t, home)
	_, err := tryOpen(home)
	require.True(t, errdefs.IsFailedPrecondition(err), "%v", err)
	require.ErrorContains(t, err, "another edged uses "+home)
	require.NoError(t, s.Close())
	open(t, home)
}

func TestANewerSchemaIsRefusedAndLeftAlone(t *testing.T) {
	home := t.TempDir()
	s := open(t, home)
	_, err := s.write.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	_, err = tryOpen(home)
	require.True(t, errdefs.IsFailedPrecondition(err), "%v", err)
	require.ErrorContains(t, err, "has schema 999")
	db, err := sql.Open("sqlite", filepath.Join(home, "edged.db"))
	require.NoError(t, err)
	defer db.Close()
	var n int
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT max(version_id) FROM goose_db_version`).Scan(&n))
	require.Equal(t, 999, n)
}

func TestBeforeAnUpgradeACopyIsMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "edged.db")
	db, err := sqlite.Connect(file, sqlite.Pool{Conns: 1, CacheKiB: cacheKiB})
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), `CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('kept')`)
	require.NoError(t, err)
	for range 2 { // also over one that is there
		require.NoError(t, sqlite.Copy(t.Context(), db, file+".v1"))
	}
	backup, err := sqlite.Connect(file+".v1", sqlite.Pool{Conns: 1, ReadOnly: true, CacheKiB: cacheKiB})
	require.NoError(t, err)
	defer backup.Close()
	var v string
	require.NoError(t, backup.QueryRowContext(t.Context(), `SELECT v FROM t`).Scan(&v))
	require.Equal(t, "kept", v)
	info, err := os.Stat(file + ".v1")
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&0o077, "it holds what the database holds")
}

func TestWhatIsWrittenIsWrittenDurably(t *testing.T) {
	s := open(t, t.TempDir())
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		var got string
		require.NoError(t, s.write.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
		require.Equal(t, want, got, pragma)
	}
	_, err := s.read.ExecContext(t.Context(), `DELETE FROM modules`)
	require.Error(t, err, "readers do not write")
}

func TestAHomeWithOddCharacters(t *testing.T) {
	for _, name := range []string{"with space", "a%41b", "ü"} {
		home := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.Mkdir(home, 0o700))
		require.NoError(t, open(t, home).SetNote(t.Context(), "k", "v"))
		_, err := os.Stat(filepath.Join(home, "edged.db"))
		require.NoError(t, err, "the database is in its home: %s", name)
	}
}

func TestEverybodyReadsWhileOneWrites(t *testing.T) {
	s := open(t, t.TempDir())
	require.NoError(t, s.SaveModule(t.Context(), record("temp")))
	errs := make(chan error, 4)
	for i := range 4 {
		go func() {
			var err error
			for j := 0; j < 10 && err == nil; j++ {
				if i%2 == 0 {
					err = s.SetNote(context.Background(), fmt.Sprint(i), strings.Repeat("x", j))
				} else {
					_, err = s.Modules(context.Background())
				}
			}
			errs <- err
		}()
	}
	for range 4 {
		require.NoError(t, <-errs)
	}
}
