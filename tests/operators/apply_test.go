package operators

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/contrib/imagetar/archive"
	"github.com/edged/edged/tests/device"
)

// manifest is one with these modules.
func (o *operator) manifest(modules string) string {
	return o.put("manifest.json", `{"modulesContent":{"$edgeAgent":{"properties.desired":{"schemaVersion":"1.1","modules":{`+modules+`}}}}}`)
}

// apply expects an exit code.
func (o *operator) apply(code int, file string, args ...string) result {
	o.t.Helper()
	got := o.edgectl(append([]string{"apply", "--yes", "--timeout", "1m", "-f", file}, args...)...)
	require.Equal(o.t, code, got.code, got.out+got.err)
	return got
}

// waiting is a module of the probe's image that runs until it is stopped, and says at
// once that it is well.
func waiting(name, env string) string {
	options, _ := json.Marshal(`{"Cmd":["sleep"],"HostConfig":{"NetworkMode":"none"},"Healthcheck":{"Test":["CMD-SHELL","exit 0"],"Interval":200000000}}`)
	return `"` + name + `":{"imagePullPolicy":"never","env":{"WHO":{"value":"` + env + `"}},"settings":{"image":"` + device.Image + `","createOptions":` + string(options) + `}}`
}

func TestApplyMakesTheDeviceMatchTheManifest(t *testing.T) {
	o := newOperator(t)
	got := o.apply(0, o.manifest(waiting("pump", "one")+","+waiting("valve", "one")))
	require.Contains(t, got.out, "+ pump  "+device.Image)
	require.Contains(t, got.out, "is applied\n")
	o.WaitFor("pump", "running")
	o.WaitFor("valve", "running")
	first, err := os.ReadFile(filepath.Join(o.Home, "agent", "desired", "deployment.json"))
	require.NoError(t, err)

	got = o.apply(0, o.manifest(waiting("pump", "two")))
	require.Contains(t, got.out, "~ pump\n    env WHO: changed\n")
	require.Contains(t, got.out, "- valve")
	require.NotContains(t, got.out, "two")
	_, status := o.Get("valve")
	require.Equal(t, 404, status)

	got = o.apply(2, o.manifest(`"pump":{"settings":{"image":""}}`))
	require.Contains(t, got.err, "modules.pump.settings.image")
	for _, more := range []string{"--dry-run", "--no-wait"} {
		got = o.apply(2, o.manifest(strings.ReplaceAll(waiting("valve", "two"), `\"NetworkMode\"`, `\"Links\":[\"a:b\"],\"NetworkMode\"`)), more)
		require.Contains(t, got.err, "module valve: createOptions.HostConfig.Links is not supported")
	}
	got = o.apply(1, o.manifest(waiting("pump", "two")+`,"none":{"imagePullPolicy":"never","settings":{"image":"edged.local/none:1"}}`))
	require.Contains(t, got.err, "edged.local/none:1")
	o.WaitFor("pump", "running")

	o.put("first.json", string(first))
	o.apply(0, filepath.Join(o.Root, "first.json"))
	o.WaitFor("valve", "running")
	require.Contains(t, o.must("deployment", "show"), "phase      applied\n")
	require.Equal(t, string(first), o.must("deployment", "show", "--format", "manifest"))
}

func TestApplyGivesUpInTime(t *testing.T) {
	o := newOperator(t)
	o.must("stop", "edgeAgent")
	got := o.edgectl("apply", "--yes", "--timeout", "1s", "-f", o.manifest(waiting("pump", "one")))
	require.Equal(t, 3, got.code, got.err)
	require.Contains(t, got.err, "edgectl check agent")
	o.must("start", "edgeAgent")
	o.WaitFor("pump", "running")
	require.Equal(t, 1, strings.Count(o.must("list", "-q"), "pump"))
}

// TestAnImageOfAnArchiveIsWaitedFor is what the quick start does: an archive, a restart, and at
// once a manifest that names its image.
func TestAnImageOfAnArchiveIsWaitedFor(t *testing.T) {
	o := newOperator(t)
	o.Edged.Signal(syscall.SIGTERM)
	f, err := os.Create(filepath.Join(o.Home, "images", "brought.tar"))
	require.NoError(t, err)
	image := device.ProbeImage(t, "edged.local/brought:1")
	image.Layers = append(image.Layers, archive.Layer{"/large": {Body: make([]byte, 256<<20), Mode: 0o644}}) // so that it takes a while
	require.NoError(t, archive.Write(f, image))
	require.NoError(t, f.Close())
	o.StartEdged()
	o.apply(0, o.manifest(strings.ReplaceAll(waiting("pump", "one"), device.Image, "edged.local/brought:1")))
}
