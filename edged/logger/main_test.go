package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/modulelog/segment"
)

// asLogger in its environment makes the test binary the logger itself.
const asLogger = "EDGED_LOGGER_UNDER_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(asLogger) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// run is one logger, started the way the shim does it.
type run struct {
	cmd      *exec.Cmd
	out, err *os.File // the module's ends
	ready    *os.File
}

func startLogger(t testing.TB, exe string, args ...string) *run {
	t.Helper()
	pipe := func() (r, w *os.File) {
		r, w, err := os.Pipe()
		require.NoError(t, err)
		return r, w
	}
	outR, outW := pipe()
	errR, errW := pipe()
	readyR, readyW := pipe()
	cmd := exec.Command(exe, args...)
	cmd.Env = []string{"CONTAINER_ID=x", "CONTAINER_NAMESPACE=edged", asLogger + "=1", "GORACE=atexit_sleep_ms=0"}
	cmd.ExtraFiles = []*os.File{outR, errR, readyW}
	require.NoError(t, cmd.Start())
	for _, f := range cmd.ExtraFiles {
		require.NoError(t, f.Close())
	}
	l := &run{cmd: cmd, out: outW, err: errW, ready: readyR}
	t.Cleanup(func() {
		_ = l.out.Close()
		_ = l.err.Close()
		_ = l.ready.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	require.NoError(t, readyR.SetReadDeadline(time.Now().Add(10*time.Second)))
	b := make([]byte, 2)
	n, err := readyR.Read(b)
	require.NoError(t, err)
	require.Equal(t, 1, n, "one byte says that it is ready")
	_, err = readyR.Read(b)
	require.Error(t, err, "and it closes the pipe")
	return l
}

// finish closes the module's ends and waits until the logger has ended by itself.
func (l *run) finish(t testing.TB) {
	t.Helper()
	_ = l.out.Close()
	_ = l.err.Close()
	require.NoError(t, l.cmd.Wait())
}

func write(t testing.TB, f *os.File, text string) {
	t.Helper()
	_, err := f.WriteString(text)
	require.NoError(t, err)
}

// texts is what a folder's segments hold, without their time stamps, in order.
func texts(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	for seq := int64(0); ; seq++ {
		f, err := os.Open(filepath.Join(dir, segment.Name(seq)))
		if os.IsNotExist(err) {
			return out
		}
		require.NoError(t, err)
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			line := s.Text()
			if len(line) > segment.StampLen {
				line = line[segment.StampLen+1:]
			}
			out = append(out, line)
		}
	}
}

func eventually(t testing.TB, why string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, 10*time.Second, 5*time.Millisecond, why)
}

func TestStoresBothStreams(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "m", "1")
	l := startLogger(t, os.Args[0], "--dir", dir)
	for i := range 5 {
		write(t, l.out, fmt.Sprintf("out %d\n", i))
		eventually(t, "stored at once", func() bool { return len(texts(t, dir)) == 2*i+1 })
		write(t, l.err, fmt.Sprintf("err %d\n", i))
		eventually(t, "stored at once", func() bool { return len(texts(t, dir)) == 2*i+2 })
	}
	write(t, l.out, "unfinished")
	l.finish(t)
	got := texts(t, dir)
	require.Equal(t, "stdout F out 0", got[0])
	require.Equal(t, "stderr F err 0", got[1])
	require.Equal(t, "stdout P unfinished", got[10])
}

func TestArgumentsInAnyOrder(t *testing.T) {
	uri, err := url.Parse("binary:///x?--dir=/var/lib/edged/logs/m/1&--max-size=1000&--max-file=2")
	require.NoError(t, err)
	for range 50 { // what the shim does: a map's order
		var args []string
		for k, v := range uri.Query() {
			args = append(args, k, v[0])
		}
		require.Equal(t, segment.Config{Dir: "/var/lib/edged/logs/m/1", MaxSize: 1000, MaxFile: 2}, config(args))
	}
	pairs := [][2]string{{"--dir", "/d"}, {"--max-size", "no"}, {"--max-file", "-1"}, {"--unknown", "--dir"}}
	rand.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
	var args []string
	for _, p := range pairs {
		args = append(args, p[0], p[1])
	}
	require.Equal(t, segment.Config{Dir: "/d"}, config(args), args)
	require.Equal(t, segment.Config{}, config([]string{"--dir"}))
	require.Equal(t, segment.Config{}, config(nil))
}

func TestIsReadyWithoutAFolder(t *testing.T) {
	for _, args := range [][]string{nil, {"--dir", "relative"}, {"--dir", "/proc/no/such"}, {"--dir", "/dev/null/x"}} {
		l := startLogger(t, os.Args[0], args...)
		for range 100 { // more than a pipe holds: somebody reads it
			write(t, l.out, strings.Repeat("x", 4000)+"\n")
		}
		l.finish(t)
	}
}

func TestSignalsDoNotEndItBeforeTheStreamsDo(t *testing.T) {
	dir := t.TempDir()
	l := startLogger(t, os.Args[0], "--dir", dir)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE} {
		require.NoError(t, l.cmd.Process.Signal(sig))
		write(t, l.out, sig.String()+"\n")
	}
	write(t, l.err, "tail")
	require.NoError(t, l.cmd.Process.Signal(syscall.SIGTERM))
	l.finish(t)
	require.ElementsMatch(t, []string{"stdout F terminated", "stdout F interrupt", "stdout F hangup", "stdout F broken pipe", "stderr P tail"}, texts(t, dir))
}

func TestOneStreamMayEndFirst(t *testing.T) {
	dir := t.TempDir()
	l := startLogger(t, os.Args[0], "--dir", dir)
	require.NoError(t, l.err.Close())
	write(t, l.out, "still here\n")
	l.finish(t)
	require.Equal(t, []string{"stdout F still here"}, texts(t, dir))
}

func locked(t testing.TB, dir string) bool {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, segment.LockName))
	require.NoError(t, err)
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
}

func TestHoldsTheLockWhileItLives(t *testing.T) {
	dir := t.TempDir()
	l := startLogger(t, os.Args[0], "--dir", dir)
	require.True(t, locked(t, dir))
	l.finish(t)
	require.False(t, locked(t, dir))
}

func TestTakesTheLockLaterWhenSomebodyLooks(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, segment.LockName))
	require.NoError(t, err)
	require.NoError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_SH))
	l := startLogger(t, os.Args[0], "--dir", dir)
	require.NoError(t, f.Close())
	eventually(t, "the lock is taken", func() bool { return locked(t, dir) })
	l.finish(t)
}

func TestRunAfterAKilledOne(t *testing.T) {
	dir := t.TempDir()
	for i := range 5 {
		l := startLogger(t, os.Args[0], "--dir", dir)
		write(t, l.out, fmt.Sprintf("run %d\n", i))
		eventually(t, "stored", func() bool {
			got := texts(t, dir)
			return len(got) > 0 && got[len(got)-1] == fmt.Sprintf("stdout F run %d", i)
		})
		require.NoError(t, l.cmd.Process.Kill())
		_ = l.cmd.Wait()
		require.False(t, locked(t, dir))
		f, err := os.OpenFile(filepath.Join(dir, "0.log"), os.O_WRONLY|os.O_APPEND, 0)
		require.NoError(t, err)
		write(t, f, "2026-11-22T0") // as if it died within a write
		require.NoError(t, f.Close())
	}
	l := startLogger(t, os.Args[0], "--dir", dir)
	write(t, l.out, "last\n")
	l.finish(t)
	var whole []string
	for _, line := range texts(t, dir) {
		if strings.HasPrefix(line, "stdout F ") {
			whole = append(whole, strings.TrimPrefix(line, "stdout F "))
		}
	}
	require.Equal(t, []string{"run 0", "run 1", "run 2", "run 3", "run 4", "last"}, whole)
}

func TestMemoryGoesBackWhenTheModuleIsSilent(t *testing.T) {
	b := newBuffer(64 << 10)
	for i := range b {
		b[i] = 1
	}
	b.release()
	require.Equal(t, make([]byte, len(b)), []byte(b), "its pages are new")
}

// config is what the arguments come to for two streams.
func config(args []string) segment.Config {
	cfg, streams := parse(args)
	if streams != 2 {
		panic("there are two streams unless the arguments say otherwise")
	}
	return cfg
}

func TestATerminalIsOneStream(t *testing.T) {
	for value, want := range map[string]int{"1": 1, "2": 2, "": 2, "x": 2} {
		cfg, streams := parse([]string{"--streams", value, "--dir", "/d"})
		require.Equal(t, want, streams)
		require.Equal(t, "/d", cfg.Dir)
	}
}
