package upload

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/pkg/pack/packtest"
)

func TestMain(m *testing.M) {
	if err := log.SetLevel("error"); err != nil { // the store says of each test's disk that it has no fs-verity
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

const (
	waitAtMost = 20 * time.Second
	tick       = 2 * time.Millisecond
)

func TestARedisModuleIsKeptAndBecomesAnImage(t *testing.T) {
	r := newRig(t, nil)
	b := packtest.RAMP{Fields: map[string]any{"module_name": "ReJSON", "version": 10007}}.Bytes()
	changed := r.Changed()
	p := r.added(b)
	require.Equal(t, "3bf0fbcb6444a95f026ffebf794180cc", p.UID, "md5 of ReJSON:10007")
	require.Equal(t, Image{Name: "edged.local/ramp/rejson:1.2.3", Digest: "sha256:" + p.UID, Base: "redis:7"}, p.Image)
	require.True(t, p.Kept)
	<-changed
	got, err := r.Get(p.UID)
	require.NoError(t, err)
	require.Equal(t, p, got)
	require.Equal(t, []*Package{p}, r.List().Packages)
	require.NotEmpty(t, r.images.layers[p.UID])
	blobs, ingests := r.left()
	require.Equal(t, []int{1, 0}, []int{blobs, ingests})

	r.Close()
	r.start(nil)
	require.Equal(t, []*Package{p}, r.List().Packages, "a restart changes nothing")
	require.NoError(t, r.Delete(t.Context(), p.UID))
	r.nothingLeft()
	_, err = r.Get(p.UID)
	require.Equal(t, ModuleNotFound, CodeOf(err))
	require.ErrorIs(t, r.Delete(t.Context(), p.UID), errdefs.ErrNotFound)
}

func TestAnImageIsImportedAndItsBytesGo(t *testing.T) {
	r := newRig(t, nil)
	p := r.added(anImage(t, "registry.example/app:2.0.1", runtime.GOARCH))
	require.Equal(t, "registry.example/app", p.Name)
	require.Equal(t, uid("registry.example/app", "2.0.1"), p.UID)
	require.EqualValues(t, 20001, p.Version)
	require.Equal(t, "sha256:"+p.SHA256, p.Image.Digest)
	require.False(t, p.Kept)
	require.Len(t, r.images.blobs[p.UID], 1)
	blobs, ingests := r.left()
	require.Zero(t, blobs+ingests)
	require.NoError(t, r.Delete(t.Context(), p.UID))
	r.nothingLeft()
}

func TestEachCodeHasItsPackage(t *testing.T) {
	field := func(name string, value any) []byte {
		return packtest.RAMP{Fields: map[string]any{name: value}}.Bytes()
	}
	r := newRig(t, nil)
	for name, tc := range map[string]struct {
		bytes []byte
		code  Code
	}{
		"nothing":                      {nil, NoModule},
		"text":                         {[]byte("no package"), InvalidModule},
		"a zip that is cut off":        {packtest.RAMP{}.Bytes()[:100], InvalidModule},
		"a wrong digest":               {field("sha256", strings.Repeat("0", 64)), InvalidModule},
		"an ELF of another machine":    {field("architecture", "s390x"), InvalidModule},
		"a system that is none":        {field("os_list", []string{"?"}), InvalidModule},
		"for another system":           {field("os", "Darwin"), OSNotSupported},
		"for another distribution":     {field("os_list", []string{"rhel8", "ubuntu18.04"}), OSNotSupported},
		"for another version":          {field("operating_systems", []string{"debian11"}), OSNotSupported},
		"an image for another machine": {anImage(t, "app:1", "s390x"), OSNotSupported},
		"wants a newer pack":           {field("min_redis_pack_version", "6.2.10"), MinRedisPackVersion},
		"wants a newer Redis":          {field("min_redis_version", "7.4"), MinRedisPackVersion},
		"has not what is required":     {field("capabilities", []string{"flash"}), UnsupportedCapabilities},
		"has dependencies":             {field("dependencies", map[string]any{"d": map[string]any{"url": "https://h.example/d", "sha256": strings.Repeat("a", 64)}}), DependenciesUnsupported},
		"has dependencies of no form":  {field("dependencies", "d"), DependenciesUnsupported},
		"an image of edged's own name": {anImage(t, "edged.local/agent:1", runtime.GOARCH), InvalidModule},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.add(tc.bytes)
			require.Equal(t, tc.code, CodeOf(err), "%v", err)
			r.nothingLeft()
		})
	}
	for _, sound := range []any{[]string{"debian12"}, []string{"rhel8", "Debian12"}} {
		p := r.added(field("os_list", sound))
		_, err := r.add(field("os_list", sound))
		require.Equal(t, ModuleExists, CodeOf(err))
		require.ErrorIs(t, err, errdefs.ErrAlreadyExists)
		_, err = r.add(packtest.RAMP{Library: packtest.Library(99)}.Bytes())
		require.Equal(t, ModuleExists, CodeOf(err), "whatever its bytes")
		require.NoError(t, r.Delete(t.Context(), p.UID))
	}
	r.nothingLeft()
}

func TestImagesOfNamesThatDifferByCase(t *testing.T) {
	r := newRig(t, nil)
	name := func(name string, more map[string]any) string {
		fields := map[string]any{"module_name": name}
		for k, v := range more {
			fields[k] = v
		}
		p := r.added(packtest.RAMP{Fields: fields}.Bytes())
		return strings.ReplaceAll(p.Image.Name, p.UID[:8], "UID8")
	}
	require.Equal(t, "edged.local/ramp/rejson:1.2.3", name("ReJSON", nil))
	require.Equal(t, "edged.local/ramp/rejson:1.2.3-UID8", name("REJSON", nil))
	require.Equal(t, "edged.local/ramp/rejson:1.2.3-UID8", name("ReJSON", map[string]any{"version": 5}), "a version given twice")
	require.Equal(t, "edged.local/ramp/a-b-UID8:1.2.3", name("a  b!", nil))
	require.Equal(t, "edged.local/ramp/UID8:1.2.3", name("数据", nil))
	require.Equal(t, "edged.local/ramp/tag:1.0.0-rc.1-build", name("tag", map[string]any{"semantic_version": "1.0.0-rc.1+build"}))
	require.Equal(t, "edged.local/ramp/a-sha256-UID8:"+strings.Repeat("1", 64), name("a@sha256", map[string]any{"semantic_version": strings.Repeat("1", 64)}), "no digest")
	require.Equal(t, "edged.local/ramp/words:1.2.3", name("words", map[string]any{"semantic_version": "one two"}))
}

func TestSystems(t *testing.T) {
	for text, want := range map[string][]string{
		"debian12": {"debian", "12"}, "Ubuntu 18.04": {"ubuntu", "18.04"}, "rhel8": {"rhel", "8"}, "?": nil, "debian": nil, "12": nil,
	} {
		name, version, ok := System(text)
		require.Equal(t, want != nil, ok, text)
		if ok {
			require.Equal(t, want, []string{name, version})
		}
	}
	names, version := OSRelease("NAME=\"Rocky Linux\"\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"8.9\"\n")
	d := Device{Systems: names, SystemVersion: version}
	require.NoError(t, d.fitsSystem([]string{"rhel8"}))
	require.NoError(t, d.fitsSystem([]string{"x1", "rocky8.9"}))
	require.Error(t, d.fitsSystem([]string{"rhel9"}))
	require.Error(t, d.fitsSystem([]string{"rhel8.9.1"}))
	names, version = OSRelease("PRETTY_NAME='x'\nID=debian\n")
	require.Equal(t, []string{"debian"}, names)
	require.Empty(t, version)
}
