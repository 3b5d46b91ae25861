package listen

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func itoa(n int) string { return strconv.Itoa(n) }

const (
	moduleA = "edged.m.0123456789abcdef0123456789abcdef"
	moduleB = "edged.m.ffffffffffffffffffffffffffffffff"
)

// fakeFD is what the fake kernel says of a descriptor.
type fakeFD struct {
	domain, kind, listening int
	optionErr               error
	path                    string
	file                    inode
	fileErr                 error
}

func socketFD(path string) fakeFD {
	return fakeFD{domain: unix.AF_UNIX, kind: unix.SOCK_STREAM, listening: 1, path: path}
}

// fakeKernel records what was done to descriptors.
type fakeKernel struct {
	env     map[string]string
	fds     map[int]fakeFD
	closed  map[int]bool
	cloexec map[int]bool
}

func (f *fakeKernel) kernel() kernel {
	f.closed, f.cloexec = make(map[int]bool), make(map[int]bool)
	return kernel{
		pid:       func() int { return 100 },
		lookupEnv: func(key string) (string, bool) { v, ok := f.env[key]; return v, ok },
		unsetEnv:  func(key string) error { delete(f.env, key); return nil },
		closeOnExec: func(fd int) error {
			if _, ok := f.fds[fd]; !ok {
				return unix.EBADF
			}
			f.cloexec[fd] = true
			return nil
		},
		option: func(fd, option int) (int, error) {
			s := f.fds[fd]
			return map[int]int{unix.SO_DOMAIN: s.domain, unix.SO_TYPE: s.kind, unix.SO_ACCEPTCONN: s.listening}[option], s.optionErr
		},
		name:     func(fd int) (string, error) { return f.fds[fd].path, nil },
		file:     func(fd int) (inode, error) { return f.fds[fd].file, f.fds[fd].fileErr },
		listener: func(int, string) (*net.UnixListener, error) { return new(net.UnixListener), nil },
		close:    func(fd int) { f.closed[fd] = true },
	}
}

func TestActivationEnvironment(t *testing.T) {
	both := []fakeFD{socketFD("/m"), socketFD("/w")}
	datagram, connected, inet := socketFD(""), socketFD(""), socketFD("")
	datagram.kind, connected.listening, inet.domain = unix.SOCK_DGRAM, 0, unix.AF_INET6
	file := fakeFD{optionErr: unix.ENOTSOCK}
	names := ManagementSocket + ":" + WorkloadSocket

	for name, tc := range map[string]struct {
		pid, count, names string // "-" is unset
		fds               []fakeFD
		want              []string // names to take
		stored            int
		err               string
	}{
		"both sockets":              {"100", "2", names, both, []string{ManagementSocket, WorkloadSocket}, 0, ""},
		"one socket":                {"100", "1", WorkloadSocket, both[:1], []string{WorkloadSocket}, 0, ""},
		"nothing passed":            {"-", "-", "-", nil, nil, 0, ""},
		"no descriptors":            {"100", "0", "", nil, nil, 0, ""},
		"another process's":         {"101", "2", names, both, nil, 0, ""},
		"only a count":              {"-", "2", names, both, nil, 0, ""},
		"only a pid":                {"100", "-", "-", both, nil, 0, ""},
		"pid that is none":          {"x", "2", names, both, nil, 0, `LISTEN_PID is "x"`},
		"negative pid":              {"-100", "2", names, both, nil, 0, "LISTEN_PID"},
		"count that is none":        {"100", "2x", names, both, nil, 0, `LISTEN_FDS is "2x"`},
		"negative count":            {"100", "-1", names, both, nil, 0, "LISTEN_FDS"},
		"endless count":             {"100", "99999999", names, both, nil, 0, "LISTEN_FDS"},
		"more counted than passed":  {"100", "3", names + ":" + leftover, both, nil, 0, "descriptor 5 is not usable"},
		"fewer names":               {"100", "2", ManagementSocket, both, nil, 0, "has 1 names for 2 descriptors"},
		"more names":                {"100", "1", names, both[:1], nil, 0, "has 2 names for 1 descriptors"},
		"no names at all":           {"100", "2", "-", both, nil, 0, "descriptor 3 has no name: set FileDescriptorName=, or --fdname=edged.mgmt.socket:edged.workload.socket"},
		"empty name":                {"100", "2", ManagementSocket + ":", both, nil, 0, "descriptor 4 has no name"},
		"unknown name":              {"100", "2", ManagementSocket + ":other.socket", both, nil, 0, `descriptor 4: the name "other.socket" is unknown`},
		"doubled name":              {"100", "2", ManagementSocket + ":" + ManagementSocket, both, nil, 0, "the name edged.mgmt.socket was passed twice"},
		"datagram socket":           {"100", "1", ManagementSocket, []fakeFD{datagram}, nil, 0, "descriptor 3 (edged.mgmt.socket): not a stream socket"},
		"connected socket":          {"100", "1", ManagementSocket, []fakeFD{connected}, nil, 0, "not a listening socket"},
		"internet socket":           {"100", "1", ManagementSocket, []fakeFD{inet}, nil, 0, "not a Unix socket"},
		"regular file":              {"100", "1", ManagementSocket, []fakeFD{file}, nil, 0, "not a socket"},
		"module listeners":          {"100", "4", names + ":" + moduleA + ":" + moduleA, append(both, both...), []string{ManagementSocket, WorkloadSocket}, 2, ""},
		"broken module listener":    {"100", "2", ManagementSocket + ":" + moduleA, []fakeFD{both[0], file}, []string{ManagementSocket}, 0, ""},
		"nameless leftovers":        {"100", "3", leftover + ":" + leftover + ":" + ManagementSocket, []fakeFD{file, both[0], both[1]}, []string{ManagementSocket}, 0, ""},
		"module name that is short": {"100", "1", "edged.m.0123", both[:1], nil, 0, "is unknown"},
		"module name not in hex":    {"100", "1", moduleA[:39] + "G", both[:1], nil, 0, "is unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeKernel{env: map[string]string{"LISTEN_PIDFDID": "7"}, fds: make(map[int]fakeFD)}
			for key, value := range map[string]string{"LISTEN_PID": tc.pid, "LISTEN_FDS": tc.count, "LISTEN_FDNAMES": tc.names} {
				if value != "-" {
					f.env[key] = value
				}
			}
			for i, s := range tc.fds {
				f.fds[firstFD+i] = s
			}
			act, err := activate(f.kernel())
			require.Empty(t, f.env, "the environment is cleared on every path")
			if tc.err != "" {
				require.ErrorContains(t, err, "cannot take sockets from the service manager: ")
				require.ErrorContains(t, err, tc.err)
				require.Nil(t, act)
				return
			}
			require.NoError(t, err)
			require.ElementsMatch(t, tc.want, act.Untaken())
			require.Len(t, act.stored, tc.stored)
			if len(tc.want) > 0 {
				for fd := range f.fds {
					require.True(t, f.cloexec[fd], "descriptor %d is closed on exec", fd)
				}
			}
			if name == "another process's" {
				require.Empty(t, f.closed)
				require.Empty(t, f.cloexec)
			}
		})
	}
}

func TestActivationErrorsAreInvalidArguments(t *testing.T) {
	f := &fakeKernel{env: map[string]string{"LISTEN_PID": "100", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x"}, fds: map[int]fakeFD{3: socketFD("")}}
	_, err := activate(f.kernel())
	require.True(t, errdefs.IsInvalidArgument(err))
	require.True(t, f.closed[3])
	require.NotContains(t, err.Error(), "invalid argument")
}

func TestEachSocketIsTakenOnce(t *testing.T) {
	f := &fakeKernel{env: map[string]string{"LISTEN_PID": "100", "LISTEN_FDS": "2", "LISTEN_FDNAMES": ManagementSocket + ":" + WorkloadSocket}, fds: map[int]fakeFD{3: socketFD(""), 4: socketFD("")}}
	act, err := activate(f.kernel())
	require.NoError(t, err)
	_, err = act.Take(ManagementSocket)
	require.NoError(t, err)
	_, err = act.Take(ManagementSocket)
	require.True(t, errdefs.IsNotFound(err))
	require.EqualError(t, err, "the service manager passed no socket edged.mgmt.socket (left to take: edged.workload.socket)")
	require.Equal(t, []string{WorkloadSocket}, act.Untaken())
}

func TestNoActivationHoldsNothing(t *testing.T) {
	var act *Activation
	_, err := act.Take(ManagementSocket)
	require.True(t, errdefs.IsNotFound(err))
	require.Empty(t, act.Untaken())
	require.Empty(t, act.CloseStale())
	require.Nil(t, act.takeStored(moduleA, "/x", inode{1, 2}))
	act.Close()
}

func TestStaleModuleListenersAreClosedAndNamed(t *testing.T) {
	f := &fakeKernel{env: map[string]string{"LISTEN_PID": "100", "LISTEN_FDS": "4", "LISTEN_FDNAMES": strings.Join([]string{moduleB, moduleA, moduleA, moduleB}, ":")}, fds: map[int]fakeFD{}}
	for fd := 3; fd < 7; fd++ {
		s := socketFD("/x")
		s.file = inode{1, uint64(fd)}
		f.fds[fd] = s
	}
	act, err := activate(f.kernel())
	require.NoError(t, err)
	require.Nil(t, act.takeStored(moduleA, "/x", inode{1, 3}), "the file is another module's")
	require.NotNil(t, act.takeStored(moduleA, "/x", inode{1, 4}))
	require.Nil(t, act.takeStored(moduleA, "/x", inode{1, 4}), "taken already")
	require.Equal(t, []string{moduleB}, act.CloseStale(), "of A one is in use, so A must not be forgotten")
	require.Empty(t, act.CloseStale())
}

// TestRealActivation starts a real process with real descriptors, as systemd
// does: LISTEN_PID is known only after the fork, so a shell sets it.
func TestRealActivation(t *testing.T) {
	dir := t.TempDir()
	paths := []string{filepath.Join(dir, "mgmt.sock"), filepath.Join(dir, "workload.sock"), filepath.Join(dir, "m.sock")}
	start := func(t *testing.T, names string, sockets int) (childReport, func() string) {
		t.Helper()
		cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"=1", "LISTEN_FDS="+itoa(sockets), "LISTEN_FDNAMES="+names)
		cmd.Stderr = os.Stderr
		for _, path := range paths[:sockets] {
			os.Remove(path)
			f, err := listenAt(t, path).File()
			require.NoError(t, err)
			defer f.Close()
			cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		}
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { cmd.Process.Kill() }) // a child that a failed test left
		var r childReport
		require.NoError(t, json.NewDecoder(out).Decode(&r))
		return r, func() string {
			answer := ""
			if r.Management != "" {
				c, err := net.Dial("unix", r.Management)
				require.NoError(t, err)
				defer c.Close()
				b, err := io.ReadAll(c)
				require.NoError(t, err)
				answer = string(b)
			}
			require.NoError(t, cmd.Wait())
			return answer
		}
	}

	t.Run("serves what it was passed", func(t *testing.T) {
		r, finish := start(t, strings.Join([]string{ManagementSocket, WorkloadSocket, moduleA}, ":"), 3)
		require.Equal(t, childReport{Management: paths[0], Stored: 1}, r)
		require.Equal(t, "served", finish())
	})
	t.Run("says what is wrong", func(t *testing.T) {
		r, finish := start(t, ManagementSocket+":"+ManagementSocket, 2)
		require.Contains(t, r.Err, "passed twice")
		require.Empty(t, r.Environment)
		require.Empty(t, r.Inheritable)
		require.Empty(t, finish())
	})
}
