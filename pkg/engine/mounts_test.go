package engine

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/volume"
)

const sockets = "/run/x/modules/0123"

// mountsOf is what a module's options and edged's own mounts come to.
func mountsOf(t *testing.T, e *Engine, spec *module.Spec) ([]specs.Mount, error) {
	t.Helper()
	o, _, err := parseOptions(spec.CreateOptions)
	require.NoError(t, err)
	return e.mounts(spec, o, sockets, nil)
}

func binds(list ...string) *module.Spec {
	b, err := json.Marshal(map[string]any{"HostConfig": map[string]any{"Binds": list}})
	if err != nil {
		panic(err)
	}
	return specWith(string(b))
}

func TestBindsAreMountedAsDockerDoes(t *testing.T) {
	e, dir := engineIn(t)
	data := filepath.Join(dir, "data")
	for bind, want := range map[string]specs.Mount{
		data + ":/in":             {Source: data, Destination: "/in", Type: "bind", Options: []string{"rbind", "rprivate", "rw"}},
		data + ":/in/":            {Source: data, Destination: "/in", Type: "bind", Options: []string{"rbind", "rprivate", "rw"}},
		data + ":/in:ro":          {Source: data, Destination: "/in", Type: "bind", Options: []string{"rbind", "rprivate", "ro"}},
		data + ":/in:ro,z,rslave": {Source: data, Destination: "/in", Type: "bind", Options: []string{"rbind", "rslave", "ro"}},
		data + "/not-yet:/in:":    {Source: data + "/not-yet", Destination: "/in", Type: "bind", Options: []string{"rbind", "rprivate", "rw"}},
	} {
		all, err := mountsOf(t, e, binds(bind))
		require.NoError(t, err, bind)
		require.Equal(t, []specs.Mount{want, socketMount("/run/edged", sockets)}, all, bind)
	}
}

func TestTheSocketsAreMountedLast(t *testing.T) {
	e, dir := engineIn(t)
	spec := binds(filepath.Join(dir, "data") + ":/a")
	o, _, err := parseOptions(spec.CreateOptions)
	require.NoError(t, err)
	own := []module.Mount{{Source: "/s", Destination: "/d", ReadOnly: true}, {Source: "/t", Destination: "/e"}}
	all, err := e.mounts(spec, o, sockets, own)
	require.NoError(t, err)
	require.Len(t, all, 4)
	require.Equal(t, []string{"rbind", "rprivate", "ro", "nosuid", "nodev", "noexec"}, all[1].Options)
	require.Equal(t, []string{"rbind", "rprivate", "rw", "nosuid", "nodev", "noexec"}, all[2].Options)
	require.Equal(t, specs.Mount{Source: sockets, Destination: "/run/edged", Type: "bind", Options: []string{"bind", "rprivate", "ro", "nosuid", "nodev", "noexec"}}, all[3])
}

func TestBindsThatAreNoneAreRefused(t *testing.T) {
	e, dir := engineIn(t)
	for bind, want := range map[string]string{
		"": "source:destination", "/a": "source:destination", "/a:/b:ro:x": "source:destination", "a:/b": "invalid volume name", "./a:/b": "neither an absolute path nor the name of a volume",
		":/b": "invalid volume name", "/a:b": "not an absolute path", "/a:": "not an absolute path", "/a:/": "not an absolute path below /", "/a:/b/..": "not an absolute path below /",
		"/a:/b:rw,exec": `unknown option "exec"`, "/a:/b:RO": `unknown option "RO"`,
		// On or over the sockets.
		"/a:/run/edged": "where the module's sockets are", "/a:/run/edged/": "where the module's sockets are", "/a:/run": "where the module's sockets are",
		"/a:/run/../run/edged/x": "where the module's sockets are", "/a:/var/run": "where the module's sockets are", "/a:/var/run/edged": "where the module's sockets are",
		"/a:/run/edged/mgmt.sock": "where the module's sockets are", "/a:/var/run/edged/workload.sock": "where the module's sockets are",
		// What is edged's or containerd's.
		dir + "/home:/x": "not for modules", dir + "/home/edged.db:/x": "not for modules", dir + "/run/modules:/x:ro": "not for modules",
		dir + "/containerd/containerd.sock:/x": "not for modules", dir + "/data/../home:/x": "not for modules", dir + "//home/./keys:/x": "not for modules",
		dir + "/home/agent:/x": "not for modules", dir + "/home/agent/desired2:/x": "not for modules", dir + "/home/not/there/yet:/x": "not for modules",
		dir + "/home/agent/desired/../../keys:/x": "not for modules",
	} {
		_, err := mountsOf(t, e, binds(bind))
		require.True(t, errdefs.IsInvalidArgument(err), bind)
		require.ErrorContains(t, err, want, bind)
	}
	for _, bind := range []string{
		dir + "/home2:/x", dir + "/home/agent/desired/deployment.json:/x:ro", dir + "/data:/run/edged2", dir + "/data:/var/run2", dir + "/data:/var", dir + ":/host:ro", "/:/host:ro",
	} {
		_, err := mountsOf(t, e, binds(bind))
		require.NoError(t, err, bind)
	}
}

func TestSymbolicLinksHideNothing(t *testing.T) {
	e, dir := engineIn(t)
	link := func(target, name string) string {
		name = filepath.Join(dir, name)
		require.NoError(t, os.Symlink(target, name))
		return name
	}
	for _, source := range []string{
		link(dir+"/home", "a"), link("home", "b"), link(dir+"/b", "c"), link(dir, "d") + "/home/keys", link("data/../run", "e"),
		link(dir+"/data", "g") + "/../home",
	} {
		_, err := mountsOf(t, e, binds(source+":/x"))
		require.ErrorContains(t, err, "not for modules", source)
	}
	for _, source := range []string{link(dir+"/home/not-yet", "f"), dir + "/f/below"} {
		_, err := mountsOf(t, e, binds(source+":/x"))
		require.ErrorContains(t, err, "is a symbolic link to what is not there", source)
	}
	// What was judged is what is mounted, wherever the link points by then.
	all, err := mountsOf(t, e, binds(link(dir+"/data", "fine")+"/sub:/x"))
	require.NoError(t, err)
	require.Equal(t, dir+"/data/sub", all[0].Source)
	// And edged's own folders may be behind one, too.
	e.Home = link(dir+"/home", "edged-home")
	_, err = mountsOf(t, e, binds(dir+"/home/keys:/x"))
	require.ErrorContains(t, err, "not for modules")
}

func TestALinkThatGoesRoundIsRefused(t *testing.T) {
	e, dir := engineIn(t)
	require.NoError(t, os.Symlink(dir+"/loop", dir+"/loop"))
	_, err := mountsOf(t, e, binds(dir+"/loop:/x"))
	require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
}

func TestTheOldDaemonsSocketsAreEdgeds(t *testing.T) {
	e, dir := engineIn(t)
	for bind, destination := range map[string]string{
		"/var/run/iotedge/workload.sock:/var/run/iotedge/workload.sock":              "/var/run/iotedge",
		"/run/iotedge/workload.sock:/run/iotedge/workload.sock:ro":                   "/run/iotedge",
		"/var/lib/aziot/edged/mnt/anything.sock:/var/run/iotedge/workload.sock":      "/var/run/iotedge",
		"/var/lib/iotedge/mnt/../mnt/temp.sock:/custom/place/workload.sock":          "/custom/place",
		"//var/run/iotedge/./workload.sock:/custom/deeper/../place/./workload.sock/": "/custom/place",
	} {
		all, err := mountsOf(t, e, binds(bind))
		require.NoError(t, err, bind)
		require.Equal(t, []specs.Mount{socketMount(destination, sockets), socketMount("/run/edged", sockets)}, all, bind)
	}
	both := binds("/var/run/iotedge/workload.sock:/var/run/iotedge/workload.sock", dir+"/data:/data", "/var/run/iotedge/mgmt.sock:/var/run/iotedge/mgmt.sock")
	_, err := mountsOf(t, e, both)
	require.ErrorContains(t, err, "settings.management")
	both.Management = true
	all, err := mountsOf(t, e, both)
	require.NoError(t, err)
	require.Len(t, all, 3, "one directory for both")
	both.Management, both.Name = false, module.AgentName
	_, err = mountsOf(t, e, both)
	require.NoError(t, err)
}

func TestTheOldSocketsHideNothing(t *testing.T) {
	e, dir := engineIn(t)
	for want, list := range map[string][]string{
		"under the name workload.sock only":     {"/var/run/iotedge/workload.sock:/var/run/iotedge/w.sock"},
		"must be one for sockets":               {"/var/run/iotedge/workload.sock:/workload.sock"},
		"/etc/workload.sock must be one":        {"/var/run/iotedge/workload.sock:/etc/workload.sock"},
		"mount point /run/workload.sock":        {"/var/run/iotedge/workload.sock:/run/workload.sock"},
		"mount point /var/run is on or over":    {"/var/run/iotedge/workload.sock:/var/run/workload.sock"},
		"mount point /run/edged is on or over":  {"/var/run/iotedge/workload.sock:/run/edged/workload.sock"},
		`duplicate mount point "/run/iotedge"`:  {dir + "/data:/run/iotedge", "/run/iotedge/workload.sock:/run/iotedge/workload.sock"},
		`duplicate mount point "/run/iotedge" `: nil,
	} {
		if list == nil {
			continue
		}
		_, err := mountsOf(t, e, binds(list...))
		require.True(t, errdefs.IsInvalidArgument(err), want)
		require.ErrorContains(t, err, want)
	}
}

func TestMissingSourcesOfBindsAreMadeAndSocketsAreNot(t *testing.T) {
	e, dir := engineIn(t)
	options := fmt.Sprintf(`{"HostConfig":{"Binds":["%[1]s/a/b:/x","/run/iotedge-test-absent/../iotedge/workload.sock:/run/iotedge/workload.sock"],
		"Mounts":[{"Type":"bind","Source":"%[1]s/c","Target":"/c","BindOptions":{"CreateMountpoint":true}},{"Type":"tmpfs","Target":"/t"}]}}`, dir)
	o, _, err := parseOptions(json.RawMessage(options))
	require.NoError(t, err)
	_, before := os.Lstat("/run/iotedge/workload.sock")
	for range 2 {
		require.NoError(t, e.makeBindSources(&module.Container{Spec: module.Spec{Name: "temp"}, Sockets: dir + "/sockets"}, o))
	}
	require.NoDirExists(t, dir+"/sockets")
	for _, made := range []string{"a", "a/b", "c"} {
		info, err := os.Stat(filepath.Join(dir, made))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o755), info.Mode().Perm())
	}
	_, after := os.Lstat("/run/iotedge/workload.sock")
	require.Equal(t, before == nil, after == nil)
}

func TestASourceIsNotMadeThroughALinkToWhatIsNotForModules(t *testing.T) {
	e, dir := engineIn(t)
	require.NoError(t, os.Symlink(dir+"/home", dir+"/data/link"))
	make := func(bind string) error {
		o, _, err := parseOptions(binds(dir+"/data/first:/y", bind).CreateOptions)
		require.NoError(t, err)
		return e.makeBindSources(&module.Container{Spec: module.Spec{Name: "temp"}, Sockets: sockets}, o)
	}
	err := make(dir + "/data/link/volumes/evil:/x")
	require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
	require.NoDirExists(t, dir+"/home/volumes/evil")
	require.NoDirExists(t, dir+"/data/first", "nothing is made before all is judged")
	require.NoError(t, os.Remove(dir+"/data/link"))
	require.NoError(t, os.Symlink(dir+"/data", dir+"/to-data"))
	require.NoError(t, make(dir+"/to-data/x/y:/x"))
	require.DirExists(t, dir+"/data/x/y", "other links are followed, as Docker does")

	// And one that comes between the judgement and the making.
	require.NoError(t, os.Symlink(dir+"/home", dir+"/data/late"))
	require.Error(t, makeOpenFolder(dir+"/data/late/evil"))
	require.NoDirExists(t, dir+"/home/evil")
}

func TestMounts(t *testing.T) {
	e, dir := engineIn(t)
	mount := func(fields string) (specs.Mount, error) {
		all, err := mountsOf(t, e, specWith(`{"HostConfig":{"Mounts":[{`+fields+`}]}}`))
		if err != nil {
			return specs.Mount{}, err
		}
		return all[0], nil
	}
	source := fmt.Sprintf(`"Source":"%s/data"`, dir)
	for fields, want := range map[string]specs.Mount{
		`"Type":"bind","Target":"/x",` + source:                                                            {Type: "bind", Source: dir + "/data", Destination: "/x", Options: []string{"rbind", "rprivate", "rw"}},
		`"Type":"bind","Target":"/x","ReadOnly":true,` + source:                                            {Type: "bind", Source: dir + "/data", Destination: "/x", Options: []string{"rbind", "rprivate", "ro"}},
		`"Type":"bind","Target":"/x","BindOptions":{"NonRecursive":true,"Propagation":"rslave"},` + source: {Type: "bind", Source: dir + "/data", Destination: "/x", Options: []string{"bind", "rslave", "rw"}},
		`"Type":"tmpfs","Target":"/x"`:                                                                     {Type: "tmpfs", Source: "tmpfs", Destination: "/x", Options: []string{"noexec", "nosuid", "nodev", "rw"}},
		`"Type":"tmpfs","Target":"/x","TmpfsOptions":{"SizeBytes":4096,"Mode":1023}`: {
			Type: "tmpfs", Source: "tmpfs", Destination: "/x", Options: []string{"noexec", "nosuid", "nodev", "rw", "size=4096", "mode=1777"},
		},
		`"Type":"tmpfs","Target":"/x","ReadOnly":true,"TmpfsOptions":{"Options":[["exec"],["uid","7"],["mode","700"]],"Mode":511}`: {
			Type: "tmpfs", Source: "tmpfs", Destination: "/x", Options: []string{"nosuid", "nodev", "ro", "exec", "uid=7", "mode=700"},
		},
	} {
		got, err := mount(fields)
		require.NoError(t, err, fields)
		require.Equal(t, want, got, fields)
	}
	for fields, want := range map[string]string{
		`"Target":"/x"`:                                                                     `mount type "" is not supported`,
		`"Type":"npipe","Target":"/x"`:                                                      `mount type "npipe" is not supported`,
		`"Type":"bind","Target":"/x"`:                                                       "absolute Source",
		`"Type":"bind","Target":"/x","Source":"data"`:                                       "absolute Source",
		`"Type":"bind","Target":"x",` + source:                                              "not an absolute path",
		`"Type":"bind","Target":"/x","Source":"/no/such/place"`:                             "bind source path does not exist",
		`"Type":"bind","Target":"/x","TmpfsOptions":{},` + source:                           "no TmpfsOptions",
		`"Type":"bind","Target":"/x","VolumeOptions":{},` + source:                          "only a mount of type volume",
		`"Type":"bind","Target":"/run/edged",` + source:                                     "where the module's sockets are",
		`"Type":"tmpfs","Target":"/run"`:                                                    "where the module's sockets are",
		`"Type":"tmpfs","Target":"/"`:                                                       "below /",
		`"Type":"tmpfs","Target":"/x","Source":"y"`:                                         "neither Source",
		`"Type":"tmpfs","Target":"/x","BindOptions":{}`:                                     "nor BindOptions",
		`"Type":"tmpfs","Target":"/x","TmpfsOptions":{"Options":[["bind"]]}`:                `unknown tmpfs option "bind"`,
		`"Type":"tmpfs","Target":"/x","TmpfsOptions":{"Options":[["exec","x"]]}`:            `unknown tmpfs option "exec"`,
		`"Type":"tmpfs","Target":"/x","TmpfsOptions":{"Options":[["uid","x"]]}`:             `uid="x"`,
		`"Type":"tmpfs","Target":"/x","TmpfsOptions":{"Options":[[]]}`:                      "an entry of 0 parts",
		`"Type":"tmpfs","Target":"/x","TmpfsOptions":{"SizeBytes":-1}`:                      "SizeBytes -1",
		`"Type":"image","Target":"/x","Source":"i"`:                                         `mount type "image" is not supported`,
		`"Type":"cluster","Target":"/x","Source":"i"`:                                       `mount type "cluster" is not supported`,
		`"Type":"bind","Target":"/x","BindOptions":{"Propagation":"suid"},` + source:        `unknown BindOptions.Propagation "suid"`,
		`"Type":"bind","Target":"/x","BindOptions":{"ReadOnlyNonRecursive":true},` + source: "go with ReadOnly",
		`"Type":"bind","Target":"/x","ReadOnly":true,"BindOptions":{"ReadOnlyNonRecursive":true,"ReadOnlyForceRecursive":true},` + source: "contradict each other",
		`"Type":"bind","Target":"/x","ReadOnly":true,"BindOptions":{"NonRecursive":true,"ReadOnlyForceRecursive":true},` + source:         "recursive bind",
		`"Type":"bind","Target":"/x","ReadOnly":true,"BindOptions":{"ReadOnlyForceRecursive":true},` + source:                             "Linux 5.12",
		fmt.Sprintf(`"Type":"bind","Target":"/x","Source":"%s/home"`, dir):                                                                "not for modules",
		fmt.Sprintf(`"Type":"bind","Target":"/x","Source":"%s/run/x","BindOptions":{"CreateMountpoint":true}`, dir):                       "not for modules",
	} {
		_, err := mount(fields)
		require.True(t, errdefs.IsInvalidArgument(err), fields)
		require.ErrorContains(t, err, want, fields)
	}
}

func TestReadOnlyIsForWhatLiesBelowToo(t *testing.T) {
	e, dir := engineIn(t)
	e.recursiveReadOnly = true
	source := fmt.Sprintf(`"Type":"bind","Target":"/x","Source":"%s/data"`, dir)
	for fields, want := range map[string][]string{
		`"ReadOnly":true`: {"rbind", "rprivate", "ro", "rro"},
		`"ReadOnly":true,"BindOptions":{"ReadOnlyForceRecursive":true}`: {"rbind", "rprivate", "ro", "rro"},
		`"ReadOnly":true,"BindOptions":{"ReadOnlyNonRecursive":true}`:   {"rbind", "rprivate", "ro"},
		`"ReadOnly":true,"BindOptions":{"NonRecursive":true}`:           {"bind", "rprivate", "ro"},
		`"ReadOnly":true,"BindOptions":{"Propagation":"rslave"}`:        {"rbind", "rslave", "ro"},
		`"ReadOnly":false`: {"rbind", "rprivate", "rw"},
	} {
		all, err := mountsOf(t, e, specWith(`{"HostConfig":{"Mounts":[{`+source+`,`+fields+`}]}}`))
		require.NoError(t, err, fields)
		require.Equal(t, want, all[0].Options, fields)
	}
	all, err := mountsOf(t, e, binds(dir+"/data:/x:ro"))
	require.NoError(t, err)
	require.Equal(t, []string{"rbind", "rprivate", "ro", "rro"}, all[0].Options)
}

func TestMountPointsComeBeforeWhatIsBelowThem(t *testing.T) {
	e, dir := engineIn(t)
	all, err := mountsOf(t, e, specWith(fmt.Sprintf(`{"HostConfig":{"Binds":["%[1]s/data:/a/b/c","%[1]s/data:/a"],"Tmpfs":{"/a/b":""}}}`, dir)))
	require.NoError(t, err)
	var order []string
	for _, m := range all {
		order = append(order, m.Destination)
	}
	require.Equal(t, []string{"/a", "/a/b", "/a/b/c", "/run/edged"}, order)
}

func TestTmpfs(t *testing.T) {
	for opts, want := range map[string][]string{
		"": {"noexec", "nosuid", "nodev"}, "rw": {"noexec", "nosuid", "nodev", "rw"}, "exec,dev": {"nosuid", "exec", "dev"}, "rw,ro": {"noexec", "nosuid", "nodev", "ro"},
		"size=64m,mode=1777,uid=1000,gid=1000": {"noexec", "nosuid", "nodev", "size=64m", "mode=1777", "uid=1000", "gid=1000"},
		"size=50%,nr_inodes=4k":                {"noexec", "nosuid", "nodev", "size=50%", "nr_inodes=4k"}, "size=1m,size=2m": {"noexec", "nosuid", "nodev", "size=2m"},
		"mpol=bind:0": {"noexec", "nosuid", "nodev", "mpol=bind:0"},
	} {
		m, err := parseTmpfs("/t", opts)
		require.NoError(t, err, opts)
		require.Equal(t, want, m.Options, opts)
	}
	for _, opts := range []string{"bind", "size", "size=", "size=x", "size=-1", "size=1mm", "mode=9", "mode=77777", "uid=%", "uid=1k", "noexec=1", "rro", ",", "lowerdir=/", "mpol="} {
		_, err := parseTmpfs("/t", opts)
		require.Error(t, err, opts)
	}
}

func FuzzParseBind(f *testing.F) {
	for _, s := range []string{"/a:/b", "/a:/b:ro,z", "/var/run/iotedge/workload.sock:/var/run/iotedge/workload.sock", "/a:/run/../run/edged", "::", "/a:/b\x00:rw", "/var/run/iotedge/mgmt.sock:/x/y/mgmt.sock"} {
		f.Add(s)
	}
	e := &Engine{Config: Config{Home: "/var/lib/edged", Run: "/run/edged"}}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := parseBind(s)
		if err != nil {
			return
		}
		if m.Type == typeVolume {
			require.NoError(t, volume.CheckName(m.Source))
			return
		}
		require.True(t, filepath.IsAbs(m.Source))
		require.GreaterOrEqual(t, len(m.Options), 3)
		if m, err = e.guard(m, specWith(`{}`), sockets); err != nil {
			return
		}
		require.Equal(t, filepath.Clean(m.Destination), m.Destination)
		require.True(t, filepath.IsAbs(m.Destination))
		require.NotEqual(t, "/", m.Destination)
		require.False(t, within(module.SocketDir, m.Destination) || within(m.Destination, module.SocketDir), "%q covers the sockets", m.Destination)
		require.False(t, within(m.Source, e.Home) || within(m.Source, e.Run) && m.Source != sockets, "%q is edged's", m.Source)
	})
}
