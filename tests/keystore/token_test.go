package keystore

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

// helpers are the ids of the processes of edged-pkcs11 that this process started.
func helpers(t *testing.T) (pids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	require.NoError(t, err)
	for _, e := range entries {
		stat, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		_, rest, _ := strings.Cut(string(stat), "(edged-pkcs11) ")
		if f := strings.Fields(rest); len(f) > 1 && f[0] != "Z" && f[1] == strconv.Itoa(os.Getpid()) {
			pid, _ := strconv.Atoi(e.Name())
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestATokenKeepsKeys(t *testing.T) {
	h := newHome(t, newToken(t).uri())
	keeps(t, h)
	require.NoDirExists(t, h.folder, "everything is in the token")
	require.Empty(t, h.said())
	require.Empty(t, helpers(t), "the helper ends with the keystore")
}

func TestThePINIsNowhereToBeSeen(t *testing.T) {
	h := newHome(t, newToken(t).uri())
	h.open()
	pids := helpers(t)
	require.Len(t, pids, 1)
	for file, control := range map[string]string{"cmdline": "edged-pkcs11", "environ": "SOFTHSM2_CONF"} {
		b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pids[0]), file))
		require.NoError(t, err)
		require.Contains(t, string(b), control, "the search would find it in %s", file)
		require.NotContains(t, string(b), pin)
	}
	fds, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pids[0]), "fd"))
	require.NoError(t, err)
	for _, fd := range fds {
		to, _ := os.Readlink(filepath.Join("/proc", strconv.Itoa(pids[0]), "fd", fd.Name()))
		require.NotContains(t, to, h.folder)
	}
}

func TestAHelperThatDiesIsStartedAgain(t *testing.T) {
	h := newHome(t, newToken(t).uri())
	s := h.open()
	want, err := s.Derive(t.Context(), "x")
	require.NoError(t, err)
	signer, err := s.Signer(t.Context(), "device-ca")
	require.NoError(t, err)
	for range 3 {
		pid := helpers(t)[0]
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				got, err := s.Derive(t.Context(), "x")
				if err != nil || got != want {
					t.Errorf("%x, %v", got, err)
				}
			})
		}
		wg.Wait()
		signs(t, signer)
		require.Len(t, helpers(t), 1)
		require.NotEqual(t, pid, helpers(t)[0])
	}
}

func TestAHelperThatHangsIsKilled(t *testing.T) {
	h := newHome(t, newToken(t).uri())
	s := h.open()
	pid := helpers(t)[0]
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := s.Derive(ctx, "x")
	require.ErrorIs(t, err, errdefs.ErrUnavailable)
	require.ErrorContains(t, err, `token "edge" does not answer`)
	require.Empty(t, helpers(t), "it is gone, hung as it was")
	_, err = s.Derive(t.Context(), "x")
	require.NoError(t, err)

	// The same while edged closes: it does not wait for ever.
	require.NoError(t, syscall.Kill(helpers(t)[0], syscall.SIGSTOP))
	require.NoError(t, s.Close())
	require.Empty(t, helpers(t))
	_, err = s.Derive(t.Context(), "x")
	require.ErrorIs(t, err, errdefs.ErrUnavailable)
}

func TestAClientThatLeavesCostsNoHelper(t *testing.T) {
	s := newHome(t, newToken(t).uri()).open()
	pid := helpers(t)[0]
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := s.Derive(ctx, "x")
		done <- err
	}()
	time.Sleep(20 * time.Millisecond) // so that it is the helper that it waits for; the outcome is the same without
	cancel()
	require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
	<-done
	_, err := s.Derive(t.Context(), "x")
	require.NoError(t, err)
	require.Equal(t, []int{pid}, helpers(t))
}

func TestNoHelperIsSaid(t *testing.T) {
	h := newHome(t, newToken(t).uri())
	h.helper = "/nonexistent/edged-pkcs11"
	_, err := h.try()
	require.ErrorIs(t, err, errdefs.ErrUnavailable)
	require.ErrorContains(t, err, "cannot start edged-pkcs11")
	// A program that is not the helper says nothing that is understood.
	for _, other := range []string{"/bin/true", "/bin/echo"} {
		h.helper = other
		_, err = h.try()
		require.ErrorIs(t, err, errdefs.ErrUnavailable, other)
		require.ErrorContains(t, err, "ended")
	}
}

// TestAWrongPINIsTriedOnce: a token locks itself after some, and edged is started
// again and again.
func TestAWrongPINIsTriedOnce(t *testing.T) {
	token := newToken(t)
	h := newHome(t, token.uri())
	token.writePIN("0000-0000")
	_, err := h.try()
	require.ErrorIs(t, err, errdefs.ErrFailedPrecondition)
	require.ErrorContains(t, err, "the token refuses the PIN")
	require.NotContains(t, err.Error(), "0000-0000")
	h.helper = "/nonexistent" // not even started
	_, err = h.try()
	require.ErrorContains(t, err, "refused this PIN before")
	h.helper = program("edged-pkcs11")
	require.NoError(t, os.Chtimes(token.pinFile, time.Now(), time.Now().Add(time.Minute)))
	_, err = h.try()
	require.ErrorContains(t, err, "the token refuses the PIN", "written anew, it is tried again: the token's may have been set to it")
	token.writePIN(pin)
	require.NoError(t, h.open().Close())

	require.NoError(t, os.Remove(token.pinFile))
	_, err = h.try()
	require.ErrorContains(t, err, "there is no file "+token.pinFile)
}

func TestAnotherTokenIsRefused(t *testing.T) {
	one, two := newToken(t), newToken(t)
	one.use()
	h := newHome(t, one.uri())
	keeps(t, h)
	two.use()
	_, err := h.try()
	require.ErrorIs(t, err, errdefs.ErrFailedPrecondition)
	require.ErrorContains(t, err, `the root key object "edged-master" of token "edge" is not there, and this device had one`)
	// Another device's keys are in it.
	require.NoError(t, newHome(t, two.uri()).open().Close())
	_, err = h.try()
	require.ErrorIs(t, err, errdefs.ErrFailedPrecondition)
	require.ErrorContains(t, err, "is not the one that this device had")
	one.use()
	keeps(t, h)
}

func TestATokenThatIsNotThereIsSaid(t *testing.T) {
	token := newToken(t)
	for uri, want := range map[string]string{
		strings.Replace(token.uri(), "token=edge", "token=other", 1):             `cannot open token "other"`,
		strings.Replace(token.uri(), module(t), "/nonexistent/module.so", 1):     "cannot open token",
		strings.Replace(token.uri(), "token=edge", "serial=0000000000000001", 1): "cannot open token with serial number",
	} {
		_, err := newHome(t, uri).try()
		require.ErrorIs(t, err, errdefs.ErrUnavailable, uri)
		require.ErrorContains(t, err, want)
	}
}
