package store

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/audit"
	"github.com/edged/edged/pkg/module"
)

// write is the other process, in its home: it saves, and says what it has saved, until it is killed.
func write() {
	s, err := tryOpen(".")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for i := 1; ; i++ {
		r := record("temp")
		r.Restarts = i
		if err := s.SaveStart(context.Background(), r, instance("temp")); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(i)
	}
}

func TestWhatWasAnsweredOutlivesAKill(t *testing.T) {
	home := t.TempDir()
	s := open(t, home)
	require.NoError(t, s.SaveModule(t.Context(), record("temp")))
	require.NoError(t, s.Close())
	last := 0
	for range 2 {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env, child.Dir = append(os.Environ(), writerEnv+"=1"), home
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			n, err := strconv.Atoi(lines.Text())
			require.NoError(t, err, lines.Text())
			if last = n; last == 20 {
				require.NoError(t, child.Process.Kill())
			}
		}
		require.Error(t, child.Wait())
		s := open(t, home) // the lock went with the process
		require.GreaterOrEqual(t, only(t, s).Restarts, last)
		require.LessOrEqual(t, only(t, s).Restarts, last+1)
		all, err := s.Instances(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 1)
		require.NoError(t, s.Close())
	}
}

// small mounts a file system of 24 MiB.
func small(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

// fill leaves not a byte.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "other-peoples-data"))
	require.NoError(t, err)
	defer f.Close()
	for _, block := range []int{1 << 20, 4096, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, block))
		}
		require.ErrorIs(t, err, unix.ENOSPC)
	}
}

func TestOnAFullDiskModulesCanBeStoppedAndDeleted(t *testing.T) {
	home := small(t)
	s := open(t, home)
	for i := range 8 {
		r := record(fmt.Sprintf("m%d", i))
		require.NoError(t, s.SaveModule(t.Context(), r))
		require.NoError(t, s.SaveStart(t.Context(), r, instance(r.Name)))
	}
	info, err := os.Stat(filepath.Join(home, "ballast"))
	require.NoError(t, err)
	require.EqualValues(t, ballastSize, info.Size())
	fill(t, home)
	for i := range 8 {
		r := record(fmt.Sprintf("m%d", i))
		r.Exit = &module.Exit{Code: 143}
		require.NoError(t, s.SaveModule(t.Context(), r))
		require.NoError(t, s.SaveExit(t.Context(), r, r.Name+"-g1"))
		require.NoError(t, s.DeleteModule(t.Context(), r.Name))
	}
	_, err = os.Stat(filepath.Join(home, "ballast"))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, s.Close())
	// A start does not need room either, and takes the ballast back when there is some.
	s = open(t, home)
	require.NoError(t, s.Close())
	require.NoError(t, os.Remove(filepath.Join(home, "other-peoples-data")))
	open(t, home)
	info, err = os.Stat(filepath.Join(home, "ballast"))
	require.NoError(t, err)
	require.EqualValues(t, ballastSize, info.Size())
}

func TestADiskThatIsFullAltogetherIsSaidToBe(t *testing.T) {
	home := small(t)
	s := open(t, home)
	require.NoError(t, s.SaveModule(t.Context(), record("temp")))
	fill(t, home)
	require.NoError(t, s.SetNote(t.Context(), "k", "v"))
	fill(t, home) // the ballast's room, too
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		err = s.SetNote(t.Context(), fmt.Sprint(i), string(make([]byte, 64<<10)))
	}
	require.True(t, errdefs.IsUnavailable(err), "%v", err)
	require.ErrorContains(t, err, "the disk is full")
	require.Equal(t, "temp", only(t, s).Name, "what is there can be read")
	require.NoError(t, os.Remove(filepath.Join(home, "other-peoples-data")))
	require.NoError(t, s.SetNote(t.Context(), "k", "again"), "and all is well when there is room")
}

// TestTheAuditTableLeavesTheBallastAlone: a loop of refusals must not take what an operator
// frees the disk with.
func TestTheAuditTableLeavesTheBallastAlone(t *testing.T) {
	home := small(t)
	s := open(t, home)
	fill(t, home)
	row := changed(0, "edgeAgent", "x")
	row.Comment = string(make([]byte, 64<<10))
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		err = s.WriteAudit(t.Context(), []audit.Entry{row})
	}
	require.True(t, errdefs.IsUnavailable(err), "%v", err)
	require.True(t, s.Stats().Ballast)
	before := brief(t, s, audit.Query{Limit: 1000})
	require.NoError(t, s.SetNote(t.Context(), "k", string(make([]byte, 64<<10))), "an operator's own change has the ballast")
	require.False(t, s.Stats().Ballast)
	require.NoError(t, s.WriteAudit(t.Context(), []audit.Entry{row}), "and its row has room then")
	require.Len(t, brief(t, s, audit.Query{Limit: 1000}), len(before)+1)
}
