package network

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
)

func TestTheBridgeIsTrustedWhereFirewalldRuns(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "firewall-cmd")
	write := func(text string) {
		require.NoError(t, os.WriteFile(program+".new", []byte("#!/bin/sh\necho \"$@\" >>"+dir+"/calls\n"+text+"\n"), 0o755))
		require.NoError(t, os.Rename(program+".new", program))
	}
	calls := func() string {
		text, err := os.ReadFile(filepath.Join(dir, "calls"))
		require.NoError(t, err)
		return string(text)
	}
	asks := func(want bool, why string) {
		changed, err := trust(t.Context(), nil, program, "edged0")
		require.NoError(t, err, why)
		require.Equal(t, want, changed, why)
	}
	asks(false, "none is installed")
	write("exit 252")
	asks(false, "not running")
	require.Equal(t, "--get-zone-of-interface=edged0\n", calls())
	const zone = `[ "$1" = --zone=trusted ] || `
	write(zone + `{ echo "no zone" >&2; exit 2; }`)
	asks(true, "of no zone")
	require.Contains(t, calls(), "--zone=trusted --change-interface=edged0\n")
	write(zone + "echo public")
	asks(true, "of another zone")
	write("echo trusted")
	asks(false, "as it should be")
	write(`[ "$1" != --zone=trusted ] || { echo no such zone >&2; exit 1; }`)
	_, err := trust(t.Context(), nil, program, "edged0")
	require.True(t, errdefs.IsUnavailable(err), "%v", err)
	require.ErrorContains(t, err, "no such zone")

	log, hook := logtest.NewNullLogger()
	f := newFirewall(nil, "edged0", netip.MustParsePrefix("172.30.0.0/16"), netip.Prefix{}, log)
	f.firewallCmd = program
	f.families[0].program = "no-such-iptables"
	write("echo no bus >&2; exit 1")
	for range 2 {
		changed, err := f.trust(t.Context())
		require.NoError(t, err, "modules start all the same")
		require.False(t, changed)
	}
	require.Len(t, hook.AllEntries(), 1, "it is said once")
	require.ErrorContains(t, hook.LastEntry().Data["error"].(error), "no bus")

	// A restart of firewalld forgets the interface: the minute's check sees to it.
	write(zone + "echo public")
	before := strings.Count(calls(), "--change-interface")
	_, err = f.check(t.Context(), func() []published { return nil })
	require.ErrorContains(t, err, "no-such-iptables")
	require.Equal(t, before+1, strings.Count(calls(), "--change-interface"))
}
