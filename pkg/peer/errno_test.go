package peer

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// No errno of any kernel ends Accept: it costs the one connection, and the next is served.
func TestErrnosCostOneConnection(t *testing.T) {
	pidfd := func(errno unix.Errno) func(*sys) {
		return func(s *sys) { s.peerPIDFD = func(int) (int, error) { return -1, errno } }
	}
	for _, tc := range []struct {
		name   string
		change func(*sys)
		want   string
	}{
		{"reaped, Linux 6.5 to 6.15", pidfd(unix.EINVAL), ReasonGone},
		{"reaped, some 6.12 and 6.16-rc", pidfd(unix.ESRCH), ReasonGone},
		{"no peer pid", pidfd(unix.ENODATA), "errno_enodata"},
		{"no descriptors for the process", pidfd(unix.EMFILE), "errno_emfile"},
		{"no descriptors for the machine", pidfd(unix.ENFILE), "errno_enfile"},
		{"a policy that does not know pidfs", pidfd(unix.EACCES), "errno_eacces"},
		{"the option is gone", pidfd(unix.ENOPROTOOPT), "errno_enoprotoopt"},
		{"an errno without a name", pidfd(unix.Errno(4000)), "errno_4000"},
		{"exited at the poll", func(s *sys) { s.exited = func(int) (bool, error) { return true, nil } }, ReasonGone},
		{"poll fails", func(s *sys) { s.exited = func(int) (bool, error) { return false, unix.ENOMEM } }, "errno_enomem"},
		{"no credentials", func(s *sys) { s.peerCred = func(int) (unix.Ucred, error) { return unix.Ucred{}, unix.EINVAL } }, "errno_einval"},
		{"pid of another namespace", func(s *sys) { s.peerCred = func(int) (unix.Ucred, error) { return unix.Ucred{}, nil } }, ReasonForeignPIDNS},
		{"no pid at all", func(s *sys) { s.peerCred = func(int) (unix.Ucred, error) { return unix.Ucred{Pid: -1}, nil } }, ReasonForeignPIDNS},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := newKernel(t)
			var told []string
			p := newPeers(t, Config{Kernel: k, OnReject: func(s Scope, reason string, _ uint32) { told = append(told, s.Name+" "+reason) }})
			l, path := listen(t, p, Scope{Name: "workload"})
			good := k.sys
			before := descriptors(t)
			tc.change(&k.sys)

			first, err := dial([]string{path})
			require.NoError(t, err)
			require.Equal(t, tc.want, refused(t, l))
			require.Equal(t, []string{"workload " + tc.want}, told)
			require.Equal(t, []RejectStat{{"workload", tc.want, 1}}, p.Stats().Rejects)
			n, err := unix.Read(first, make([]byte, 1))
			require.NoError(t, err)
			require.Zero(t, n, "it was closed")
			require.NoError(t, unix.Close(first))
			require.Equal(t, before, descriptors(t))

			// The next one waits behind another that is refused, and Accept gets to it.
			second, err := dial([]string{path})
			require.NoError(t, err)
			defer unix.Close(second) //nolint:errcheck // a test
			third, err := dial([]string{path})
			require.NoError(t, err)
			defer unix.Close(third) //nolint:errcheck // a test
			p.cfg.OnReject = func(Scope, string, uint32) { k.sys = good }
			require.Equal(t, Host, who(t, accept(t, l)).Kind)
			require.Equal(t, uint64(2), p.Stats().Rejects[0].Count)
		})
	}
}

// refused has the listener judge the connection that waits, and returns why it was turned away.
func refused(t *testing.T, l net.Listener) string {
	t.Helper()
	inner := l.(*listener)
	before := len(inner.peers.Stats().Rejects)
	uc, err := inner.inner.AcceptUnix()
	require.NoError(t, err)
	require.Nil(t, inner.capture(uc))
	stats := inner.peers.Stats().Rejects
	require.Len(t, stats, before+1)
	return stats[before].Reason
}

// Kernels before 5.3 have neither option: the descriptor of /proc/<pid> is all there is.
func TestWithoutAnyPIDFDTheProcDirectoryPins(t *testing.T) {
	k := newKernel(t)
	k.sys.peerPIDFD = func(int) (int, error) { return -1, unix.ENOPROTOOPT }
	k.sys.pidfdOpen = func(int) (int, error) { return -1, unix.ENOSYS }
	k.sys.exited = func(int) (bool, error) { return false, unix.EBADF }
	p := newPeers(t, Config{Kernel: k})
	l, path := listen(t, p, Scope{Name: "management"})
	before := descriptors(t)
	for _, reap := range []bool{false, true} {
		c := startChild(t, nil)
		c.do("dial", path)
		conn := accept(t, l)
		require.Equal(t, Host, who(t, conn).Kind)
		require.Equal(t, Host, who(t, conn).Kind)
		c.kill()
		if reap {
			c.reap()
		}
		require.Equal(t, ReasonGone, who(t, conn).Reason)
		require.NoError(t, conn.Close())
		c.reap()
	}
	require.Equal(t, before, descriptors(t))
}

func TestWeakProofPinsAtAcceptWhoeverHasThePID(t *testing.T) {
	pidfd := func(errno unix.Errno) func(*sys) {
		return func(s *sys) { s.pidfdOpen = func(int) (int, error) { return -1, errno } }
	}
	open := func(errno unix.Errno) func(*sys) {
		return func(s *sys) { s.openat = func(int, string, int) (int, error) { return -1, errno } }
	}
	for _, tc := range []struct {
		name   string
		change func(*sys)
		want   string
	}{
		{"pid is nobody's", pidfd(unix.ESRCH), ReasonGone},
		{"pid is no process's any more, Linux 6.1", pidfd(unix.EINVAL), ReasonGone},
		{"no descriptors for a pidfd", pidfd(unix.EMFILE), "errno_emfile"},
		{"/proc/<pid> is not there", open(unix.ENOENT), ReasonGone},
		{"/proc/<pid> is going", open(unix.ESRCH), ReasonGone},
		{"no descriptors for /proc/<pid>", open(unix.EMFILE), "errno_emfile"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := newKernel(t)
			p := newPeers(t, Config{Kernel: k, ForcePIDProof: true})
			l, path := listen(t, p, Scope{Name: "workload"})
			before := descriptors(t)
			tc.change(&k.sys)
			fd, err := dial([]string{path})
			require.NoError(t, err)
			require.Equal(t, tc.want, refused(t, l))
			require.NoError(t, unix.Close(fd))
			require.Equal(t, before, descriptors(t))
		})
	}
}
