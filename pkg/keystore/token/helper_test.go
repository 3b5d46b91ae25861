package token

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/pkg/keystore/uri"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type notes struct{ value string }

func (n *notes) Note(context.Context, string) (string, error) { return n.value, nil }

func (n *notes) SetNote(_ context.Context, _, value string) error { n.value = value; return nil }

// scripted is a token whose helper is a shell script, and what was warned of.
func scripted(t *testing.T, script string) (*Store, func() []string) {
	dir := t.TempDir()
	program, pin := filepath.Join(dir, "helper"), filepath.Join(dir, "pin")
	require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\n"+script), 0o700))
	require.NoError(t, os.WriteFile(pin, []byte("4711\n"), 0o600))
	var mu sync.Mutex
	var warned []string
	s := New(Config{
		Where: &uri.URI{Kind: uri.Token, Path: "/m", TokenLabel: "t", PINSource: pin}, Program: program, Notes: &notes{},
		Warn: func(_ string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			for _, a := range args {
				if text, ok := a.(string); ok {
					warned = append(warned, text)
				}
			}
		},
	})
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return warned
	}
}

// TestWhatALibraryLeavesBehindHoldsUpNothing: those of smart cards start agents,
// which keep what they inherit.
func TestWhatALibraryLeavesBehindHoldsUpNothing(t *testing.T) {
	s, warned := scripted(t, "echo said\nsleep 5 3>&- &\n")
	began := time.Now()
	require.ErrorIs(t, s.Open(t.Context(), true), errdefs.ErrUnavailable)
	require.Less(t, time.Since(began), 4*time.Second)
	require.Equal(t, []string{"said"}, warned())
}

func TestAStartThatFailedIsNotRepeatedAtOnce(t *testing.T) {
	s, warned := scripted(t, "echo started\n")
	for range 50 {
		require.ErrorIs(t, s.Open(t.Context(), true), errdefs.ErrUnavailable)
	}
	require.Len(t, warned(), 1)
}

func TestAnswersThatAreNoneAreRefused(t *testing.T) {
	for name, script := range map[string]string{
		"text": `echo "not a message" >&3`, "endless": `printf '\377\377\377\377' >&3; cat /dev/zero >&3`, "half": `printf '\0\0\0\011{' >&3`,
	} {
		s, _ := scripted(t, script)
		require.ErrorIs(t, s.Open(t.Context(), true), errdefs.ErrUnavailable, name)
	}
}

func TestNoPINIsSaid(t *testing.T) {
	s, _ := scripted(t, "")
	s.where.PINSource = ""
	require.ErrorContains(t, s.Open(t.Context(), true), "name the file with the PIN in pin-source")
	s.credentials = t.TempDir()
	s.failed = nil
	require.ErrorContains(t, s.Open(t.Context(), true), "there is no file "+filepath.Join(s.credentials, "pkcs11-pin"))
}
