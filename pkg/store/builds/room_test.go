package builds

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/catalog"
	"github.com/edged/edged/pkg/store/sqlite"
)

// small opens a catalog on a file system of its own of so many MiB.
func small(t *testing.T, mib int) *Store {
	t.Helper()
	home := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", home, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)), "the tests run as root")
	t.Cleanup(func() { require.NoError(t, unix.Unmount(home, unix.MNT_DETACH)) })
	return opened(t, home)
}

func free(t *testing.T, s *Store) int64 {
	t.Helper()
	var st unix.Statfs_t
	require.NoError(t, unix.Statfs(s.home, &st))
	return int64(st.Bavail) * int64(st.Bsize) //nolint:unconvert // the type differs between architectures
}

// addLarge writes rows of a MiB each in one transaction, and says the least that was free.
func addLarge(t *testing.T, s *Store, prefix string, n int) (least int64, err error) {
	t.Helper()
	least = math.MaxInt64
	err = s.Write(t.Context(), func(tx catalog.Tx) error {
		for i := range n {
			r := row(fmt.Sprintf("%s%04d", prefix, i))
			r.ModuleMD = strings.Repeat("m", 1<<20)
			if err := tx.Add(r, catalog.Parts{}); err != nil {
				return err
			}
			least = min(least, free(t, s))
		}
		return nil
	})
	return least, err
}

// TestAWriteThatDoesNotFitIsRefusedBeforeTheDiskIsFull and what it took is given back: what
// comes after it is not refused for it.
func TestAWriteThatDoesNotFitIsRefusedBeforeTheDiskIsFull(t *testing.T) {
	s := small(t, 160)
	add(t, s, "a")
	least, err := addLarge(t, s, "large", 1000)
	require.True(t, errdefs.IsUnavailable(err), "%v", err)
	require.Equal(t, errNoRoom.Error(), err.Error(), "as it is said to who begins on a full disk, and of no row")
	// The file of the database has to grow by as much as the log did.
	require.GreaterOrEqual(t, least, floor+(free(t, s)-least)-writeCacheKiB<<10-2*lookEvery)
	require.Equal(t, 1, count(t, s))
	require.Eventually(t, func() bool { return s.size().WAL <= sqlite.LogKept }, 10*time.Second, 10*time.Millisecond)
	add(t, s, "b")
	require.Equal(t, 2, count(t, s))
}

// TestAWriteThatFailsGivesTheDiskBack whatever it failed for.
func TestAWriteThatFailsGivesTheDiskBack(t *testing.T) {
	s := small(t, 160)
	require.ErrorIs(t, s.Write(t.Context(), func(tx catalog.Tx) error {
		for i := range 30 {
			r := row(fmt.Sprint(i))
			r.ModuleMD = strings.Repeat("m", 1<<20)
			require.NoError(t, tx.Add(r, catalog.Parts{}))
		}
		require.Greater(t, s.size().WAL, int64(10<<20))
		return os.ErrInvalid
	}), os.ErrInvalid)
	require.Eventually(t, func() bool { return s.size().WAL <= sqlite.LogKept }, 10*time.Second, 10*time.Millisecond)
}

// TestALargeWriteGivesTheDiskBack though nobody writes after it.
func TestALargeWriteGivesTheDiskBack(t *testing.T) {
	s := small(t, 160)
	_, err := addLarge(t, s, "large", 20)
	require.NoError(t, err)
	require.Greater(t, s.size().WAL, int64(10<<20))
	require.Eventually(t, func() bool { return s.size().WAL <= sqlite.LogKept }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, 20, count(t, s))
}

// TestTheLogIsNoReasonToRefuse: before it is said that there is no room, the room that the
// log has is taken from it.
func TestTheLogIsNoReasonToRefuse(t *testing.T) {
	s := small(t, 160)
	_, err := addLarge(t, s, "large", 30)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return s.size().File > 30<<20 }, 10*time.Second, time.Millisecond)
	require.NoError(t, os.WriteFile(filepath.Join(s.home, "other"), make([]byte, free(t, s)-floor+1<<20), 0o600))
	require.NoError(t, s.Roomy())
	add(t, s, "a")
	require.NoError(t, os.WriteFile(filepath.Join(s.home, "more"), make([]byte, free(t, s)-floor+1<<20), 0o600))
	require.True(t, errdefs.IsUnavailable(s.Roomy()))
}
