package network

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestConflistsAreReadWithWhatTheyTake(t *testing.T) {
	c, err := parseConflist([]byte(`{"cniVersion":"1.0.0","name":"plant","plugins":[{"type":"macvlan","capabilities":{"ips":true},"ipam":{"type":"host-local"}},
		{"type":"portmap","capabilities":{"portMappings":true}},{"type":"tuning","capabilities":{"mac":false}}]}`), "/run/leases")
	require.NoError(t, err)
	require.Equal(t, "plant", c.name)
	require.Equal(t, "macvlan", c.kind)
	require.True(t, c.takesIPs)
	require.True(t, c.publishes)
	require.False(t, c.takesMAC)
	require.Contains(t, string(c.text), `"dataDir":"/run/leases"`, "what a plugin keeps must not outlive a reboot")
	c, err = parseConflist([]byte(`{"cniVersion":"0.4.0","name":"one","type":"ipvlan","master":"eth0","ipam":{"type":"host-local","dataDir":"/own"}}`), "/run/leases")
	require.NoError(t, err, "the older form, of one plugin")
	require.Equal(t, "ipvlan", c.kind)
	require.Contains(t, string(c.text), `"dataDir":"/own"`)
}

func TestConflistsThatCannotBeAreLeftOut(t *testing.T) {
	for _, text := range []string{
		``, `[]`, `{}`, `{"name":"x"}`, `{"name":"x","plugins":[]}`, `{"name":"x","plugins":[{"type":"../sh"}]}`, `{"name":"x","plugins":["bridge"]}`,
		`{"cniVersion":"0.4.0","name":"host","plugins":[{"type":"bridge"}]}`, `{"cniVersion":"0.4.0","name":"bridge","plugins":[{"type":"bridge"}]}`,
		`{"cniVersion":"0.4.0","name":"container:x","plugins":[{"type":"bridge"}]}`, `{"cniVersion":"0.4.0","name":"a b","plugins":[{"type":"bridge"}]}`,
	} {
		_, err := parseConflist([]byte(text), "/l")
		require.True(t, errdefs.IsInvalidArgument(err), "%s: %v", text, err)
	}
	dir := t.TempDir()
	good := `{"cniVersion":"0.4.0","name":"plant","plugins":[{"type":"bridge"}]}`
	for name, text := range map[string]string{"a.conflist": good, "b.conflist": good, "c.conf": `{`, "note.txt": "x", "edged.conflist": `{"cniVersion":"0.4.0","name":"edged","plugins":[{"type":"ptp"}]}`} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	lists, errs := loadConflists(dir, "/l")
	require.Len(t, errs, 2, "the second of a name, and what is no JSON")
	require.Len(t, lists, 2)
	require.False(t, lists[DefaultNetwork].builtin, "the operator's replaces edged's own")
	lists, errs = loadConflists(filepath.Join(dir, "none"), "/l")
	require.Empty(t, errs)
	require.True(t, lists[DefaultNetwork].builtin)
}

func TestTheBuiltInConflistIsOne(t *testing.T) {
	c, err := parseConflist(builtinConf("edged0", 1400, true, true), "/l")
	require.NoError(t, err)
	require.Equal(t, DefaultNetwork, c.name)
	require.True(t, c.takesIPs && c.takesMAC)
}

func FuzzParseConflist(f *testing.F) {
	f.Add([]byte(`{"cniVersion":"1.0.0","name":"x","plugins":[{"type":"bridge","capabilities":{"ips":true},"ipam":{"type":"host-local"}}]}`))
	f.Add([]byte(`{"name":"x","type":"bridge"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parseConflist(text, "/l")
		if err != nil {
			require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
			return
		}
		require.True(t, json.Valid(c.text))
		require.Regexp(t, networkName(), c.name)
		require.False(t, reservedNetwork(c.name))
	})
}
