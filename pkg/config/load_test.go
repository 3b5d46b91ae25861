package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

// files writes a folder of files, by path, and gives the path of edged.toml.
func files(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return filepath.Join(dir, "edged.toml")
}

func testLoader(defaultFile string) loader {
	return loader{defaultFile: defaultFile, hostname: func() (string, error) { return "gw-7", nil }}
}

// loadText loads one file without drop-ins.
func loadText(t *testing.T, text string) (*Config, error) {
	t.Helper()
	return testLoader("").load(files(t, map[string]string{"edged.toml": text}))
}

func TestEmptyFileGivesEveryDefault(t *testing.T) {
	c, err := loadText(t, "")
	require.NoError(t, err)
	want := Default()
	want.Hostname, want.Device.ID, want.Bundles.Node = "gw-7", "gw-7", "gw-7"
	want.Keystore.URI = "file:///var/lib/edged/keys"
	want.Listen = Listen{Management: "fd://edged.mgmt.socket", Workload: "fd://edged.workload.socket"}
	require.Equal(t, want, c)
	require.Equal(t, "edged.local/agent:1.2.3", c.AgentImage("1.2.3"))
	require.Equal(t, []string{"/usr/share/edged/images", "/var/lib/edged/images"}, c.PreloadFolders())
}

func TestAbsentFileIsFineOnlyWhereItIsTheDefault(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "edged.toml")
	_, err := testLoader(absent).load(absent)
	require.NoError(t, err)
	_, err = testLoader("/elsewhere").load(absent)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Load(absent)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "cannot load configuration: cannot read file: ")
}

func TestDropInsOfAnAbsentDefaultFileAreRead(t *testing.T) {
	file := files(t, map[string]string{"config.d/a.toml": `hostname = "from-drop-in"`})
	c, err := testLoader(file).load(file)
	require.NoError(t, err)
	require.Equal(t, "from-drop-in", c.Hostname)
}

func TestLaterFilesOverrideKeysAndAddGrants(t *testing.T) {
	file := files(t, map[string]string{
		"edged.toml": `
version = 1
hostname = "first"
home = "/srv/edged/"
[containerd]
preload = ["/a", "/b"]
[agent]
env = { A = "1", B = "1" }
[[grant]]
permissions = ["catalog_write"]
modules = ["$one"]
`,
		"config.d/20-b.toml": "hostname = 'third'\n[containerd]\npreload = ['/c']\n[agent.env]\nB = '3'\nC = '3'\n[[grant]]\nserver_names = ['*.example.test', '10.0.0.1']\nmodules = ['two']\n",
		"config.d/10-a.toml": "hostname = 'second'\n[images]\nkeep = '2h'\n[limits]\njson_body = 2048\n",
		// None of these is a drop-in.
		"config.d/.hidden.toml": "nonsense",
		"config.d/30.toml.bak":  "nonsense",
	})
	c, err := testLoader("").load(file)
	require.NoError(t, err)
	require.Equal(t, "third", c.Hostname)
	require.Equal(t, "third", c.Device.ID)
	require.Equal(t, "/srv/edged", c.Home)
	require.Equal(t, "file:///srv/edged/keys", c.Keystore.URI)
	require.Equal(t, []string{"/c"}, c.Containerd.Preload)
	require.Equal(t, map[string]string{"A": "1", "B": "3", "C": "3"}, c.Agent.Env)
	require.Equal(t, 2*time.Hour, c.Images.Keep.Duration)
	require.Equal(t, Size(2048), c.Limits.JSONBody)
	require.Equal(t, []Grant{
		builtinGrant(),
		{Permissions: []string{"catalog_write"}, Modules: []string{"one"}},
		{ServerNames: []string{"*.example.test", "10.0.0.1"}, Modules: []string{"two"}},
	}, c.Grants)
}

func TestGrantsAsInlineTablesAddUpToo(t *testing.T) {
	c, err := loadText(t, `grant = [ { permissions = ["catalog_write"], users = ["1000"] }, { permissions = ["update_cluster"], groups = ["staff"] } ]`)
	require.NoError(t, err)
	require.Len(t, c.Grants, 3)
	require.Equal(t, []string{"staff"}, c.Grants[2].Groups)
}

func TestFaultsNameFileLineColumnAndKey(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"unknown key":              {"\n  hostnam = 'x'", `2:3: hostnam: unknown key`},
		"unknown key in table":     {"[peer]\n\nrequire = true", `3:1: peer.require: unknown key`},
		"unknown dotted key":       {"peer.require = true", `1:1: peer.require: unknown key`},
		"unknown key inline":       {"peer = { require = true }", `1:10: peer.require: unknown key`},
		"unknown table":            {"\n[pear]\nx = 1", `2:2: pear: unknown key`},
		"unknown key in grant":     {"[[grant]]\nuser = ['0']", `2:1: grant[1].user: unknown key`},
		"unknown key inline grant": {"grant = [{ user = ['0'] }]", `1:12: grant[1].user: unknown key`},
		"key in another case":      {"Hostname = 'x'", `1:1: Hostname: unknown key`},
		"key like a place":         {"'grant[0]' = 'x'", `1:1: grant[0]: unknown field`},
		"list for a size":          {"[uploads]\nmax_size = [1]", `2:`},
		"wrong type":               {"hostname = 5", `1:12: hostname: cannot decode TOML integer into`},
		"wrong type in list":       {"[containerd]\npreload = [1]", `2:12: containerd.preload`},
		"number for a duration":    {"[images]\nkeep = 5", `2:1: images.keep: want a string, not an integer`},
		"table for a duration":     {"[images]\nkeep = { x = 5 }", `2:1: images.keep: want a string, not a table`},
		"header for a duration":    {"[images.keep]\nDuration = 5", `1:2: images.keep: want a string, not a table`},
		"number for a network":     {"[network]\nsubnet = 5", `2:1: network.subnet: want a string, not an integer`},
		"bad duration":             {"[images]\nkeep = 'long'", `2:8: images.keep: "long" is not a duration`},
		"bad size":                 {"[uploads]\nmax_size = '2GB'", `2:12: uploads.max_size: "2GB" is not a size`},
		"float for a size":         {"[uploads]\nmax_size = 2.5", `2:1: uploads.max_size: want a string, not a float`},
		"not TOML":                 {"hostname = 'x'\n[peer\n", `2:6: `},
		"same key twice":           {"hostname = 'x'\nhostname = 'y'", `2:1: `},
		"later version":            {"version = 2\nnew_key = true", `1:1: version: this edged reads version 1 alone`},
		"semantic fault":           {"\n[images]\n disk_high = 101", `3:2: images.disk_high: 101 is not a per cent`},
		"semantic fault in list":   {"[[grant]]\npermissions = ['all']\nusers = ['0']", `2:1: grant[1].permissions[0]: "all" is none of adminTemplates, view_cluster_modules, update_cluster, catalog_write`},
		"semantic fault of table":  {"hostname='x'\n[[grant]]\nusers = ['0']", `2:3: grant[1]: it grants nothing`},
	} {
		t.Run(name, func(t *testing.T) {
			file := files(t, map[string]string{"config.d/50-x.toml": tc.text, "edged.toml": ""})
			_, err := testLoader("").load(file)
			require.Error(t, err)
			require.ErrorIs(t, err, errdefs.ErrInvalidArgument)
			require.Contains(t, err.Error(), filepath.Join(filepath.Dir(file), "config.d/50-x.toml")+":")
			require.Contains(t, err.Error(), tc.want)
			var fault *Error
			require.True(t, errors.As(err, &fault))
			require.NotEmpty(t, fault.Message)
		})
	}
}

func TestAllFaultsOfAFileAreToldAtOnce(t *testing.T) {
	_, err := loadText(t, "home = 'x'\nrun = 'y'\n[device]\nid = 'a b'")
	require.ErrorContains(t, err, "home: ")
	require.ErrorContains(t, err, "run: ")
	require.ErrorContains(t, err, "device.id: ")
}

func TestGrantIndexCountsOverFiles(t *testing.T) {
	file := files(t, map[string]string{
		"edged.toml":      "[[grant]]\npermissions = ['catalog_write']\nusers = ['a']\n",
		"config.d/a.toml": "\n[[grant]]\npermissions = ['catalog_write']\nusers = ['b/c']\n",
	})
	_, err := testLoader("").load(file)
	require.ErrorContains(t, err, "a.toml:4:1: grant[2].users[0]: ")
}

func TestFilesThatAreNoConfigurationAreRefused(t *testing.T) {
	t.Run("too large", func(t *testing.T) {
		_, err := loadText(t, strings.Repeat("#", maxFileSize+1))
		require.ErrorContains(t, err, "has more than 1MiB")
	})
	t.Run("largest", func(t *testing.T) {
		_, err := loadText(t, strings.Repeat("#", maxFileSize))
		require.NoError(t, err)
	})
	t.Run("folder", func(t *testing.T) {
		_, err := testLoader("").load(t.TempDir())
		require.ErrorContains(t, err, "not a regular file")
	})
	t.Run("named pipe", func(t *testing.T) {
		pipe := filepath.Join(t.TempDir(), "edged.toml")
		require.NoError(t, syscall.Mkfifo(pipe, 0o600))
		_, err := testLoader("").load(pipe)
		require.ErrorContains(t, err, "not a regular file")
	})
	t.Run("drop-in that is absent behind a link", func(t *testing.T) {
		file := files(t, map[string]string{"edged.toml": "", "config.d/a.toml": ""})
		require.NoError(t, os.Symlink("/nowhere", filepath.Join(filepath.Dir(file), "config.d/b.toml")))
		_, err := testLoader(file).load(file)
		require.ErrorIs(t, err, os.ErrNotExist)
	})
	t.Run("too many", func(t *testing.T) {
		content := map[string]string{"edged.toml": ""}
		for i := range maxDropIns + 1 {
			content["config.d/"+strings.Repeat("a", i%200+1)+strings.Repeat("b", i/200)+".toml"] = ""
		}
		_, err := testLoader("").load(files(t, content))
		require.ErrorContains(t, err, "it may have 256")
	})
}

func TestUnknownHostnameIsAFaultOfTheKey(t *testing.T) {
	l := testLoader("")
	l.hostname = func() (string, error) { return "", errors.New("no name") }
	_, err := l.load(files(t, map[string]string{"edged.toml": ""}))
	require.ErrorContains(t, err, "hostname: cannot read the host's name: no name")
}

func FuzzLoad(f *testing.F) {
	template, err := os.ReadFile(templateFile)
	require.NoError(f, err)
	f.Add(string(template))
	f.Add(uncomment(string(template)))
	f.Add("grant = [{users=['a']}, [], 5]\n[[grant]]\n[grant.x]\n[a.b]\n'a.b'.\"c\" = 1")
	f.Add("[agent]\nenv.'a.b[' = '1'\n[grant]\n")
	f.Fuzz(func(t *testing.T, text string) {
		c := merger{config: Default(), schema: newSchema(), tables: map[string]int{"grant": 1}, places: map[string]place{}}
		if err := c.merge("f", []byte(text)); err != nil {
			require.ErrorIs(t, err, errdefs.ErrInvalidArgument)
			return
		}
		v := validator{config: c.config, places: c.places}
		v.validate(func() (string, error) { return "h", nil })
		require.NotEmpty(t, c.config.Grants)
		require.Equal(t, builtinGrant(), c.config.Grants[0])
	})
}
