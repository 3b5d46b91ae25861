package network

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAFilterThatCouldNotBeWrittenIsWrittenSoon: iptables fails while another holds its lock.
func TestAFilterThatCouldNotBeWrittenIsWrittenSoon(t *testing.T) {
	m, _, log := running(t, member("a", "172.30.0.2"))
	m.present["a"].Attached = []attachment{{Network: DefaultNetwork, Builtin: true}}
	m.firewall, m.wake = newFirewall(nil, "edged0", m.Subnet, m.Subnet6, m.Log), make(chan struct{}, 1)
	m.ctx, m.stop = context.WithCancel(t.Context())
	bin := t.TempDir()
	m.firewall.families[0].program = filepath.Join(bin, "iptables")
	m.wg.Go(m.keepFilter)
	defer m.wg.Wait()
	defer m.stop()
	m.refilter()
	require.Eventually(t, func() bool { return len(log.AllEntries()) > 0 }, 20*time.Second, time.Millisecond, "it fails once")
	for what, text := range map[string]string{"-save": "", "-restore": "exec cat >" + bin + "/written"} {
		file := filepath.Join(bin, "iptables"+what)
		require.NoError(t, os.WriteFile(file+".new", []byte("#!/bin/sh\n"+text+"\n"), 0o755))
		require.NoError(t, os.Rename(file+".new", file))
	}
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(filepath.Join(bin, "written"))
		return err == nil && len(text) > 0
	}, 20*time.Second, time.Millisecond, "nobody asked again")
}
