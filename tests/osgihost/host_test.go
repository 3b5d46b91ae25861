// Package osgihost drives the OSGi host without edged: its image's own root file system, read-only and as its own user, with a socket on which the test listens
// as edged would.
package osgihost

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

// image is what make osgi-host puts together.
const image = "../../build/osgi-host/" + runtime.GOARCH + "/image"

// confined runs the JVM in the image's root: IMAGE FOLDER ARGUMENTS, where the folder has root, storage and run.
const confined = `set -e
image=$1 folder=$2; shift 2
mount -t tmpfs none "$folder/root"
mkdir "$folder/root/upper" "$folder/root/work" "$folder/root/all"
mount -t overlay -o "lowerdir=$image,upperdir=$folder/root/upper,workdir=$folder/root/work" none "$folder/root/all"
cd "$folder/root/all"
mkdir -p proc dev storage run/edged
mount -t proc none proc
mount --bind /dev dev
mount --bind "$folder/storage" storage
mount --bind "$folder/run" run/edged
mount -o remount,bind,ro "$folder/root/all" || mount -o remount,ro "$folder/root/all"
exec unshare --root "$PWD" --wd /opt/osgi --setgid 65532 --setuid 65532 /opt/java/bin/java "$@"`

// rig is a folder that outlives the host's runs, and where edged would listen.
type rig struct {
	t      testing.TB
	folder string
	listen *net.UnixListener
	// env and flags are further variables of the environment, and of the JVM.
	env, flags []string
}

func newRig(t testing.TB) *rig {
	_, err := os.Stat(image + "/opt/java/bin/java")
	require.NoError(t, err, "make osgi-host puts it together")
	// The path of a socket is at most 107 bytes long, and those of tests are long.
	folder, err := os.MkdirTemp("", "osgi")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	require.NoError(t, os.Chmod(folder, 0o755))
	for _, name := range []string{"root", "storage", "run"} {
		require.NoError(t, os.Mkdir(filepath.Join(folder, name), 0o755))
	}
	require.NoError(t, os.Chown(filepath.Join(folder, "storage"), 65532, 65532))
	r := &rig{t: t, folder: folder}
	r.open()
	t.Cleanup(func() { _ = r.listen.Close() })
	return r
}

// open listens where the host looks for edged.
func (r *rig) open() {
	path := filepath.Join(r.folder, "run", "osgi.sock")
	var err error
	r.listen, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(r.t, err)
	require.NoError(r.t, os.Chmod(path, 0o666))
}

// host is one run of the JVM.
type host struct {
	*rig
	cmd    *exec.Cmd
	stderr *lockedBuffer
	exited chan struct{}
}

// lockedBuffer has no more than Write: what a bytes.Buffer can do besides would go past the lock.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start runs the host and takes its first connection.
func (r *rig) start() (*host, *link) {
	h := r.run()
	return h, r.accept()
}

func (r *rig) run() *host {
	top, err := filepath.Abs(image)
	require.NoError(r.t, err)
	args := []string{
		"--mount", "--propagation", "private", "bash", "-c", confined, "bash", top, r.folder, "@java.args",
	}
	args = append(append(args, r.flags...), "-cp", "agent.jar:lib/eclipse-osgi.jar:lib/osgi.cmpn.jar", "edged.osgi.Main")
	h := &host{rig: r, cmd: exec.Command("unshare", args...), stderr: &lockedBuffer{}, exited: make(chan struct{})}
	h.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "JDK_JAVA_OPTIONS=-Xmx32m"}, r.env...)
	h.cmd.Stderr, h.cmd.Stdout = h.stderr, h.stderr
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(r.t, h.cmd.Start())
	go func() {
		_ = h.cmd.Wait()
		close(h.exited)
	}()
	r.t.Cleanup(h.kill)
	return h
}

func (h *host) kill() {
	_ = h.cmd.Process.Kill()
	<-h.exited
	if h.t.Failed() {
		h.t.Logf("the host printed:\n%s", h.stderr)
	}
}

// stop asks the host to end, and gives its exit status.
func (h *host) stop() int {
	require.NoError(h.t, h.cmd.Process.Signal(syscall.SIGTERM))
	return h.status()
}

func (h *host) status() int {
	select {
	case <-h.exited:
	case <-time.After(patience):
		require.Fail(h.t, "the host does not end")
	}
	return h.cmd.ProcessState.ExitCode()
}

// says waits until the host has printed a text.
func (h *host) says(text string) {
	require.Eventually(h.t, func() bool { return strings.Contains(h.stderr.String(), text) }, patience, 10*time.Millisecond, "the host never says %q", text)
}

// link is a connection of the host's, as edged has it.
type link struct {
	t      testing.TB
	conn   *net.UnixConn
	hello  map[string]any
	mu     sync.Mutex
	last   int
	calls  map[int]chan answer
	events []event
	lost   chan answer
	closed chan struct{}
}

type answer struct {
	ID    *int            `json:"id"`
	OK    json.RawMessage `json:"ok"`
	Error *failure        `json:"error"`
}

type failure struct {
	Class   string `json:"class"`
	Type    int    `json:"type"`
	Message string `json:"message"`
	Cause   string `json:"cause"`
}

type event struct {
	Event  string `json:"event"`
	Type   string `json:"type"`
	Bundle bundle `json:"bundle"`
	Text   string `json:"text"`
}

type bundle struct {
	ID           int    `json:"id"`
	Location     string `json:"location"`
	SymbolicName string `json:"symbolicName"`
	Version      string `json:"version"`
	State        string `json:"state"`
	Persistent   bool   `json:"persistent"`
	StartLevel   int    `json:"startLevel"`
	Fragment     bool   `json:"fragment"`
	Digest       string `json:"digest"`
	Lazy         bool   `json:"lazy"`
}

// accept takes the host's next connection and reads what it sends.
func (r *rig) accept() *link {
	l := r.silent()
	go l.read(bufio.NewReader(l.conn))
	r.t.Cleanup(l.close)
	require.Eventually(r.t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.hello != nil
	}, patience, 2*time.Millisecond, "the host says no hello")
	return l
}

// silent takes the next connection and reads nothing.
func (r *rig) silent() *link {
	require.NoError(r.t, r.listen.SetDeadline(time.Now().Add(patience)))
	conn, err := r.listen.AcceptUnix()
	require.NoError(r.t, err)
	return &link{t: r.t, conn: conn, calls: map[int]chan answer{}, lost: make(chan answer, 100), closed: make(chan struct{})}
}

func (l *link) close() {
	_ = l.conn.Close()
	<-l.closed
}

func (l *link) read(from *bufio.Reader) {
	defer close(l.closed)
	for {
		line, err := from.ReadBytes('\n')
		if err != nil {
			return
		}
		l.take(line)
	}
}

func (l *link) take(line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hello == nil {
		_ = json.Unmarshal(line, &l.hello)
		return
	}
	var e event
	if json.Unmarshal(line, &e) == nil && e.Event != "" {
		l.events = append(l.events, e)
		return
	}
	var a answer
	if json.Unmarshal(line, &a) != nil || a.ID == nil || l.calls[*a.ID] == nil {
		l.lost <- a
		return
	}
	l.calls[*a.ID] <- a
	delete(l.calls, *a.ID)
}

type members map[string]any

// send sends a request, with the bytes that follow it, and gives where its answer comes.
func (l *link) send(op string, m members, data []byte) chan answer {
	l.mu.Lock()
	l.last++
	request := members{"id": l.last, "op": op}
	for k, v := range m {
		request[k] = v
	}
	if data != nil {
		request["size"] = len(data)
	}
	line, err := json.Marshal(request)
	come := make(chan answer, 1)
	l.calls[l.last] = come
	l.mu.Unlock()
	require.NoError(l.t, err)
	_, err = l.conn.Write(append(append(line, '\n'), data...))
	require.NoError(l.t, err)
	return come
}

func (l *link) wait(come chan answer) answer {
	l.t.Helper()
	select {
	case a := <-come:
		return a
	case <-time.After(patience):
		require.Fail(l.t, "no answer")
	case <-l.closed:
		require.Fail(l.t, "the connection ended")
	}
	return answer{}
}

func (l *link) call(op string, m members) answer {
	l.t.Helper()
	return l.wait(l.send(op, m, nil))
}

func (l *link) do(op string, m members, into any) {
	l.t.Helper()
	l.done(l.call(op, m), into)
}

func (l *link) done(a answer, into any) {
	l.t.Helper()
	require.Nil(l.t, a.Error)
	require.NoError(l.t, json.Unmarshal(a.OK, into))
}

// fails is the error of a request that has to fail.
func (l *link) fails(op string, m members) failure {
	l.t.Helper()
	a := l.call(op, m)
	require.NotNil(l.t, a.Error, "%s", a.OK)
	return *a.Error
}

func (l *link) install(location string, data []byte) (b bundle) {
	l.t.Helper()
	l.done(l.wait(l.send("install", members{"location": location}, data)), &b)
	return b
}

func (l *link) on(op string, id int) (b bundle) {
	l.t.Helper()
	l.do(op, members{"bundle": id}, &b)
	return b
}

func (l *link) update(id int, data []byte) (b bundle) {
	l.t.Helper()
	l.done(l.wait(l.send("update", members{"bundle": id}, data)), &b)
	return b
}

func (l *link) refresh(ids ...int) {
	l.t.Helper()
	var none []int
	l.do("refresh", members{"bundles": ids}, &none)
	require.Empty(l.t, none)
}

func (l *link) list() (all []bundle) {
	l.t.Helper()
	l.do("list", nil, &all)
	return all
}

// get is a bundle as the list has it.
func (l *link) get(id int) bundle {
	l.t.Helper()
	for _, b := range l.list() {
		if b.ID == id {
			return b
		}
	}
	require.Fail(l.t, "no such bundle")
	return bundle{}
}

// named is the bundle of a symbolic name, of which there is one.
func (l *link) named(name string) (found bundle) {
	l.t.Helper()
	count := 0
	for _, b := range l.list() {
		if b.SymbolicName == name {
			found = b
			count++
		}
	}
	require.Equal(l.t, 1, count, name)
	return found
}

// seen are the types of a bundle's events so far.
func (l *link) seen(id int) (types []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e.Event == "bundle" && e.Bundle.ID == id {
			types = append(types, e.Type)
		}
	}
	return types
}
