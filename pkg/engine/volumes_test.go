package engine

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/volume"
)

// volumesOf are a module's mounts as volumes, and as runc gets them.
func volumesOf(t *testing.T, e *Engine, options string) (mounts, binds []specs.Mount, pins map[string]string) {
	t.Helper()
	mounts, err := mountsOf(t, e, specWith(options))
	require.NoError(t, err, options)
	mounts = mounts[:len(mounts)-1] // the sockets
	binds, pins = e.volumesAsBinds("temp-1-g1", mounts)
	return mounts, binds, pins
}

func TestVolumesAreMountedAsDockerDoes(t *testing.T) {
	e, dir := engineIn(t)
	data := filepath.Join(dir, "home/volumes/data/_data")
	anonymous := func(dst string) string {
		return filepath.Join(dir, "home/volumes", volume.Anonymous("temp", dst), "_data")
	}
	for options, want := range map[string]specs.Mount{
		`{"HostConfig":{"Binds":["data:/in"]}}`:                                                        {Source: data, Destination: "/in", Options: []string{"rbind", "rprivate", "rw"}},
		`{"HostConfig":{"Binds":["data:/in/:ro,nocopy,z"]}}`:                                           {Source: data, Destination: "/in", Options: []string{"rbind", "rprivate", "ro"}},
		`{"HostConfig":{"Mounts":[{"Type":"volume","Source":"data","Target":"/in","ReadOnly":true}]}}`: {Source: data, Destination: "/in", Options: []string{"rbind", "rprivate", "ro"}},
		`{"HostConfig":{"Mounts":[{"Type":"volume","Source":"data","Target":"/in","VolumeOptions":{"NoCopy":true,"Labels":{"a":"b"},"DriverConfig":{"Name":"local"}}}]}}`: {Source: data, Destination: "/in", Options: []string{"rbind", "rprivate", "rw"}},
		`{"HostConfig":{"Mounts":[{"Type":"volume","Target":"/in"}]}}`: {Source: anonymous("/in"), Destination: "/in", Options: []string{"rbind", "rprivate", "rw"}},
		`{"Volumes":{"/in/":{}}}`:                                      {Source: anonymous("/in"), Destination: "/in", Options: []string{"rbind", "rprivate", "rw"}},
	} {
		_, binds, pins := volumesOf(t, e, options)
		want.Type = "bind"
		require.Equal(t, []specs.Mount{want}, binds, options)
		require.Empty(t, pins)
	}
}

func TestWhatIsMountedInTheSamePlaceWinsOverAnAnonymousVolume(t *testing.T) {
	e, dir := engineIn(t)
	_, binds, _ := volumesOf(t, e, `{"Volumes":{"/a":{},"/b":{},"/a/c":{}},"HostConfig":{"Binds":["data:/a","`+dir+`/data:/b:ro"]}}`)
	require.Len(t, binds, 3)
	require.Equal(t, filepath.Join(dir, "home/volumes/data/_data"), binds[0].Source)
	require.Equal(t, dir+"/data", binds[1].Source)
	require.Equal(t, "/a/c", binds[2].Destination, "what is deeper is mounted later")
}

func TestDeeperMountsComeLaterAndEdgedsOwnLast(t *testing.T) {
	files := []specs.Mount{{Destination: "/etc/hosts"}}
	mounts := []specs.Mount{{Destination: "/etc"}, {Destination: "/a/b/c"}, {Destination: "/run/edged"}}
	var got []string
	for _, m := range withFiles(files, mounts, 1) {
		got = append(got, m.Destination)
	}
	require.Equal(t, []string{"/etc", "/etc/hosts", "/a/b/c", "/run/edged"}, got)
}

func TestVolumesThatCannotBeAreRefusedByName(t *testing.T) {
	e, _ := engineIn(t)
	mount := func(fields string) string {
		return `{"HostConfig":{"Mounts":[{"Type":"volume","Source":"data","Target":"/v",` + fields + `}]}}`
	}
	for options, want := range map[string]string{
		`{"HostConfig":{"Binds":["da ta:/v"]}}`:                                        "invalid volume name",
		`{"HostConfig":{"Binds":["../data:/v"]}}`:                                      "neither an absolute path",
		`{"HostConfig":{"Binds":["..:/v"]}}`:                                           "invalid volume name",
		`{"HostConfig":{"Binds":[".new-1:/v"]}}`:                                       "invalid volume name",
		`{"HostConfig":{"Binds":["` + strings.Repeat("a", 256) + `:/v"]}}`:             "invalid volume name",
		`{"HostConfig":{"Binds":["` + volume.Anonymous("other", "/v") + `:/v"]}}`:      "anonymous volume of a module",
		`{"HostConfig":{"Binds":["data:/v:rshared"]}}`:                                 `unknown option "rshared" of a volume`,
		`{"HostConfig":{"Binds":["data:/run/edged"]}}`:                                 "where the module's sockets are",
		`{"HostConfig":{"Binds":["data:/v","other:/v"]}}`:                              "duplicate mount point",
		`{"Volumes":{"/run":{}}}`:                                                      "where the module's sockets are",
		`{"Volumes":{"v":{}}}`:                                                         "not an absolute path",
		`{"Volumes":{"/":{}}}`:                                                         "not an absolute path below /",
		mount(`"VolumeOptions":{"Subpath":"../x"}`):                                    "VolumeOptions.Subpath",
		mount(`"VolumeOptions":{"Subpath":"/x"}`):                                      "VolumeOptions.Subpath",
		mount(`"VolumeOptions":{"DriverConfig":{"Name":"nfs"}}`):                       `VolumeOptions.DriverConfig.Name "nfs" is not supported`,
		mount(`"VolumeOptions":{"DriverConfig":{"Options":{"type":"tmpfs"}}}`):         "VolumeOptions.DriverConfig.Options are not supported",
		mount(`"BindOptions":{}`):                                                      "neither BindOptions",
		mount(`"TmpfsOptions":{}`):                                                     "nor TmpfsOptions",
		`{"HostConfig":{"Mounts":[{"Type":"volume","Source":"/data","Target":"/v"}]}}`: "invalid volume name",
		`{"HostConfig":{"VolumesFrom":["other"]}}`:                                     "createOptions.HostConfig.VolumesFrom is not supported",
		`{"HostConfig":{"VolumeDriver":"rexray"}}`:                                     `createOptions.HostConfig.VolumeDriver "rexray" is not supported`,
	} {
		spec := specWith(options)
		_, err := e.Check(spec)
		require.True(t, errdefs.IsInvalidArgument(err), "%s: %v", options, err)
		require.ErrorContains(t, err, want, options)
	}
	require.NoDirExists(t, e.Home+"/volumes")
}

func TestWhatAnImageDeclaresAndCannotBeIsLeftOut(t *testing.T) {
	o := new(options)
	require.NoError(t, addImageVolumes(o, map[string]struct{}{"/data/": {}, "/": {}, "/run": {}, "/var/run/edged": {}, "here": {}, "/a/../b": {}}))
	require.Equal(t, map[string]struct{}{"/data": {}, "/b": {}}, o.Volumes)
	require.NoError(t, addImageVolumes(o, nil))
	require.Len(t, o.Volumes, 2)
}

func TestAnImageThatDeclaresVolumesWithoutEndIsRefused(t *testing.T) {
	declared := map[string]struct{}{}
	for i := range maxImageVolumes {
		declared[fmt.Sprintf("/v%d", i)] = struct{}{}
	}
	require.NoError(t, addImageVolumes(new(options), declared))
	declared["/one/more"] = struct{}{}
	o := new(options)
	err := addImageVolumes(o, declared)
	require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
	require.Empty(t, o.Volumes)
}

func TestNamedVolumesOfOptions(t *testing.T) {
	require.Equal(t, []string{"aa", "bb", "cc"}, NamedVolumes(json.RawMessage(
		`{"Volumes":{"/x":{}},"HostConfig":{"Binds":["bb:/b:ro","/tmp:/t"],"Mounts":[{"Type":"volume","Source":"aa","Target":"/a"},{"Type":"volume","Target":"/y"},{"Type":"volume","Source":"cc","Target":"/c"},{"Type":"volume","Source":"bb","Target":"/c2"}]}}`)))
	require.Empty(t, NamedVolumes(json.RawMessage(`{`)))
}

func TestASubpathIsPinnedWhereNoModuleReaches(t *testing.T) {
	e, dir := engineIn(t)
	made, err := e.Volumes.Make(t.Context(), volume.Wish{Name: "data"}, func(data string) error {
		if err := os.Mkdir(filepath.Join(data, "sub"), 0o755); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(data, "sub", "file"), []byte("in"), 0o600)
	})
	require.NoError(t, err)
	require.True(t, made)
	options := `{"HostConfig":{"Mounts":[{"Type":"volume","Source":"data","Target":"/v","VolumeOptions":{"Subpath":"sub"}},{"Type":"volume","Source":"data","Target":"/f","VolumeOptions":{"Subpath":"sub/file"}}]}}`
	_, binds, pins := volumesOf(t, e, options)
	require.Len(t, pins, 2)
	for _, m := range binds {
		require.True(t, strings.HasPrefix(m.Source, dir+"/run/subpaths/temp-1-g1/"), m.Source)
	}
	t.Cleanup(func() { e.unpinSubpaths("temp-1-g1") })
	require.NoError(t, e.pinSubpaths("temp-1-g1", pins))
	require.FileExists(t, binds[0].Source+"/file")
	b, err := os.ReadFile(binds[1].Source)
	require.NoError(t, err)
	require.Equal(t, "in", string(b))
	// Whatever a module does to the path now, the pin is what was found.
	data := e.Volumes.Path("data")
	require.NoError(t, os.Rename(data+"/sub", data+"/moved"))
	require.NoError(t, os.Symlink("/etc", data+"/sub"))
	require.FileExists(t, binds[0].Source+"/file")
	require.NoFileExists(t, binds[0].Source+"/passwd")
	e.unpinSubpaths("temp-1-g1")
	require.NoDirExists(t, dir+"/run/subpaths/temp-1-g1")
	require.FileExists(t, data+"/moved/file", "nothing of the volume is removed with the pin")
	err = e.pinSubpaths("temp-1-g1", pins)
	require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
	require.ErrorContains(t, err, `leads out of volume "data"`)
	require.NoDirExists(t, dir+"/run/subpaths/temp-1-g1")
}
