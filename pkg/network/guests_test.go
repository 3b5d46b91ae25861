package network

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
)

// memory is a database.
type memory struct{ records []Record }

func (s *memory) Networks(context.Context) ([]Record, error)              { return s.records, nil }
func (s *memory) SaveNetwork(context.Context, *Record) error              { return nil }
func (s *memory) NameTaken(context.Context, string, string) (bool, error) { return false, nil }

// TestAGuestIsKnownAfterARestartOfEdged: it would else never hear of a neighbour again.
func TestAGuestIsKnownAfterARestartOfEdged(t *testing.T) {
	run := t.TempDir()
	hosts := filepath.Join(run, "hosts")
	edged := func() *Manager {
		m, err := New(t.Context(), Config{
			Run: run, Bridge: "none0", Subnet: netip.MustParsePrefix("172.30.0.0/16"), ConfDir: run, BinDirs: []string{run},
			Store: &memory{[]Record{member("owner", "172.30.0.2"), member("hub", "172.30.0.3")}}, Log: logrus.New(),
			HostsFile: func(id string) string { return hosts + "-" + id },
		})
		require.NoError(t, err)
		t.Cleanup(m.Close)
		return m
	}
	require.NoError(t, edged().receive("guest-g1", &Plan{Mode: ModeModule, Module: "owner", Hostname: "guest"}))
	require.NoError(t, os.WriteFile(hosts+"-guest-g1", nil, 0o644))
	again := edged()
	require.Equal(t, []string{"guest-g1"}, again.Up(), "what ended meanwhile is to be found out")
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(hosts + "-guest-g1")
		require.NoError(t, err)
		return strings.Contains(string(text), "172.30.0.3\thub-host hub\n")
	}, 20*time.Second, time.Millisecond, "an edged of other settings may have written it")
	again.Ended("guest-g1")
	require.Empty(t, edged().Up())

	require.NoError(t, again.guestFiles.save("guest-g1", &Plan{Mode: ModeModule, Module: "owner"}))
	require.NoError(t, os.WriteFile(again.guestFiles.path("cut"), []byte("{"), 0o600))
	m := edged()
	require.Equal(t, []string{"guest-g1"}, m.Up(), "what cannot be read is left out")
	require.NoFileExists(t, m.guestFiles.path("cut"))
}
