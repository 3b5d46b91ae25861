package builds

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/catalog"
	"github.com/edged/edged/pkg/store/sqlite"
)

func opened(t *testing.T, home string) *Store {
	t.Helper()
	s, err := Open(t.Context(), home, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func row(name string) *catalog.Row {
	r := &catalog.Row{Name: name, Stream: "1", Version: "1", Context: "c", KojiTag: "k", ModuleMD: "m", RuntimeDeps: []byte("[]"), BuildDeps: []byte("[]"), RPMs: []byte("[]")}
	r.SetUID()
	return r
}

func add(t *testing.T, s *Store, names ...string) {
	t.Helper()
	require.NoError(t, s.Write(t.Context(), func(tx catalog.Tx) error {
		for _, n := range names {
			if err := tx.Add(row(n), catalog.Parts{}); err != nil {
				return err
			}
		}
		return nil
	}))
}

func count(t *testing.T, s *Store) int {
	t.Helper()
	p, err := s.Page(t.Context(), &catalog.Query{Page: 1, Size: 1})
	require.NoError(t, err)
	return p.Count
}

func TestWhatIsWrittenOutlivesARestartAndWhatFailsDoesNot(t *testing.T) {
	home := t.TempDir()
	s := opened(t, home)
	add(t, s, "a", "b")
	boom := errors.New("boom")
	require.ErrorIs(t, s.Write(t.Context(), func(tx catalog.Tx) error {
		require.NoError(t, tx.Add(row("c"), catalog.Parts{}))
		return boom
	}), boom)
	require.Equal(t, 2, count(t, s))
	info, err := os.Stat(filepath.Join(home, File))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.NoError(t, s.Close())
	s = opened(t, home)
	require.Equal(t, 2, count(t, s))
	_, err = s.Find(t.Context(), "c:1:1:c", nil)
	require.True(t, errdefs.IsNotFound(err))
}

func TestACopyIsWholeWhileTheCatalogIsInUse(t *testing.T) {
	home, to := t.TempDir(), t.TempDir()
	_, err := BackUp(t.Context(), home, filepath.Join(to, File))
	require.True(t, errdefs.IsNotFound(err))
	s := opened(t, home)
	add(t, s, "a")
	got, err := BackUp(t.Context(), home, filepath.Join(to, File))
	require.NoError(t, err)
	want, err := Schema()
	require.NoError(t, err)
	require.Equal(t, want, got)
	add(t, s, "later")
	require.Equal(t, 1, count(t, opened(t, to)))
}

func TestACatalogOfANewerEdgedIsRefused(t *testing.T) {
	home := t.TempDir()
	require.NoError(t, opened(t, home).Close())
	db, err := sqlite.Connect(filepath.Join(home, File), sqlite.Pool{Conns: 1, CacheKiB: 100})
	require.NoError(t, err)
	_, err = db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (1000, 1)`)
	require.NoError(t, errors.Join(err, db.Close()))
	_, err = Open(t.Context(), home, nil)
	require.True(t, errdefs.IsFailedPrecondition(err), "%v", err)
}

// TestTheCatalogLeavesTheDiskToModules: it takes nothing in when little is left.
func TestTheCatalogLeavesTheDiskToModules(t *testing.T) {
	home := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", home, "tmpfs", 0, "size=80m"))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(home, unix.MNT_DETACH)) })
	s, err := Open(t.Context(), home, nil)
	require.NoError(t, err)
	defer s.Close()
	add(t, s, "a")
	require.NoError(t, os.WriteFile(filepath.Join(home, "other"), make([]byte, 20<<20), 0o600))
	err = s.Write(t.Context(), func(catalog.Tx) error { return nil })
	require.True(t, errdefs.IsUnavailable(err), "%v", err)
	require.Equal(t, 1, count(t, s))
}

// TestReadersAndWritersDoNotDisturbEachOther: whatever is written meanwhile, a page is
// in order and no longer than asked for.
func TestReadersAndWritersDoNotDisturbEachOther(t *testing.T) {
	s := opened(t, t.TempDir())
	s.tune, s.positions.size, s.ranks.size = tuning{near: 2, peek: 4, few: 2}, 2, 2
	for i := range 50 {
		add(t, s, fmt.Sprintf("n%03d", 2*i))
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	var wg sync.WaitGroup
	fail := make(chan error, 4)
	for w := range 2 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				name := fmt.Sprintf("n%03d", 2*(i%50)+1)
				err := s.Write(context.WithoutCancel(ctx), func(tx catalog.Tx) error {
					if r, err := tx.Find(name+":1:1:c", nil); err == nil {
						return tx.Delete(r)
					}
					return tx.Add(row(name), catalog.Parts{RuntimeDeps: &[]catalog.Dep{{Dependency: "x", Stream: fmt.Sprint(w)}}})
				})
				if err != nil {
					fail <- err
					return
				}
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				q := &catalog.Query{Page: 1 + i%20, Size: 3}
				if i%3 == 0 {
					q.Filters = []catalog.Filter{{Kind: catalog.ByRuntimeDepName, Values: []string{"x"}}}
				}
				p, err := s.Page(context.WithoutCancel(ctx), q)
				if errors.Is(err, catalog.ErrNoPage) {
					continue
				}
				last := ""
				if err == nil {
					_, err = s.Rows(context.WithoutCancel(ctx), p.IDs, catalog.AllFields, func(r *catalog.Row) bool {
						if r.UID <= last {
							fail <- fmt.Errorf("%s after %s", r.UID, last)
						}
						last = r.UID
						return true
					})
				}
				if err != nil || len(p.IDs) > 3 {
					fail <- fmt.Errorf("%d rows: %w", len(p.IDs), err)
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-fail:
		require.NoError(t, err)
	default:
	}
	total := 0
	require.NoError(t, s.read.QueryRowContext(t.Context(), "SELECT count(*) FROM builds").Scan(&total))
	require.Equal(t, total, count(t, s))
}

// TestAWriterThatWaitsHeedsItsContext instead of the one before it.
func TestAWriterThatWaitsHeedsItsContext(t *testing.T) {
	s := opened(t, t.TempDir())
	require.NoError(t, s.Write(t.Context(), func(catalog.Tx) error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, s.Write(ctx, func(catalog.Tx) error { return nil }), context.DeadlineExceeded)
		return nil
	}))
}

// TestMemoryIsGivenBackAfterALargeWrite and not after a small one.
func TestMemoryIsGivenBackAfterALargeWrite(t *testing.T) {
	called := make(chan struct{}, 1)
	s, err := Open(t.Context(), t.TempDir(), func() { called <- struct{}{} })
	require.NoError(t, err)
	defer s.Close()
	names := make([]string, large)
	for i := range names {
		names[i] = fmt.Sprint(i)
	}
	add(t, s, names...)
	<-called
}

// TestQuestionsThatSortAllRowsAreAnsweredOneAtATime and leave a connection to quick ones.
func TestQuestionsThatSortAllRowsAreAnsweredOneAtATime(t *testing.T) {
	s := opened(t, t.TempDir())
	add(t, s, "a", "b")
	byVersion := &catalog.Query{Order: []catalog.Order{{Key: "version"}}, Page: 1, Size: 1}
	_, err := s.Page(t.Context(), byVersion)
	require.NoError(t, err)
	done, err := s.turn(t.Context())
	require.NoError(t, err)
	defer done()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = s.Page(ctx, byVersion)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, 2, count(t, s))
}

// TestRowsThatComeAndGoAreFoundInTheirPlace by a filter whose rows were put in order before.
func TestRowsThatComeAndGoAreFoundInTheirPlace(t *testing.T) {
	s := opened(t, t.TempDir())
	s.ranks.size = 1
	needing := catalog.Parts{RuntimeDeps: &[]catalog.Dep{{Dependency: "x", Stream: "1"}}}
	var names []string
	write := func(fn func(tx catalog.Tx) error) { require.NoError(t, s.Write(t.Context(), fn)) }
	come := func(name string) {
		names = append(names, name)
		write(func(tx catalog.Tx) error { return tx.Add(row(name), needing) })
	}
	check := func() {
		slices.Sort(names)
		q := &catalog.Query{Filters: []catalog.Filter{{Kind: catalog.ByRuntimeDepName, Values: []string{"x"}}}, Size: 2}
		var found []string
		for q.Page = 1; len(found) < len(names); q.Page++ {
			p, err := s.Page(t.Context(), q)
			require.NoError(t, err)
			require.Equal(t, len(names), p.Count)
			_, err = s.Rows(t.Context(), p.IDs, catalog.AllFields, func(r *catalog.Row) bool {
				found = append(found, r.Name)
				return true
			})
			require.NoError(t, err)
		}
		require.Equal(t, names, found)
	}
	for _, name := range []string{"h", "b", "t", "n"} {
		come(name)
	}
	check()
	for _, name := range []string{"c", "a", "z", "m", "d"} { // more than there were: all is looked at anew
		come(name)
		require.Equal(t, len(names) == 9, s.ranks.cuts == nil)
		check()
	}
	write(func(tx catalog.Tx) error {
		r, err := tx.Find("a:1:1:c", nil)
		require.NoError(t, err)
		r.Name = "o"
		r.SetUID()
		return tx.Save(r, catalog.Parts{})
	})
	names[slices.Index(names, "a")] = "o"
	check()
	write(func(tx catalog.Tx) error {
		r, err := tx.Find("h:1:1:c", nil)
		require.NoError(t, err)
		return tx.Delete(r)
	})
	names = slices.DeleteFunc(names, func(name string) bool { return name == "h" })
	check()
}

func TestRanksAreLeftOutWhereTheyWouldTakeMoreThanTheyGive(t *testing.T) {
	r := ranks{size: 256}
	ids := []int64{3, 1, 2}
	for _, c := range []struct {
		count int
		last  int64
	}{{1000, maxSparse + 4001}, {256 << 16, 256 << 16}} {
		got, err := r.first(t.Context(), nil, ids, 1, c.count, c.last)
		require.NoError(t, err)
		require.Equal(t, ids, got)
	}
	require.Nil(t, r.cuts)
}
