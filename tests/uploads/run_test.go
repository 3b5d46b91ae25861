package uploads

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

const config = `[uploads]
max_size = "64MiB"
free_floor = "1MiB"
redis_version = "7.0"
redis_pack_version = "6.2"
redis_image = "` + redisImage + `"
os = "debian12"
capabilities = ["types"]
`

func TestPackagesBecomeModules(t *testing.T) {
	d := device.New(t, device.Options{Config: config})
	clean := tracesOf(t, d)
	t.Run("a Redis module is loaded", func(t *testing.T) { redisModule(t, d.For(t)) })
	t.Run("an image is side-loaded", func(t *testing.T) { sideLoaded(t, d.For(t)) })
	t.Run("images share layers", func(t *testing.T) { sharedLayers(t, d.For(t)) })
	require.Equal(t, clean, tracesOf(t, d), "nothing is left of it")
}

// sharedLayers: an image goes, and another one that was found unpacked because of it stays whole.
func sharedLayers(t *testing.T, d *device.Device) {
	const one, two = "registry.example/one:1", "registry.example/two:1"
	runs := func(image string) {
		d.CreateAndStart(module(d, "box", image))
		d.WaitFor("box", "running")
		d.Delete("box")
	}
	first := pushed(t, d, busyboxWith(t, one, "same"))
	second := pushed(t, d, busyboxWith(t, two, "same"))
	require.NotEqual(t, first.SHA256, second.SHA256)
	removed(t, d, first.UID)
	runs(two)
	// One that was here before is known to edged, and containerd has lost what it knew of it.
	first = pushed(t, d, busyboxWith(t, one, "same"))
	removed(t, d, second.UID)
	runs(one)
	removed(t, d, first.UID)
	library := redisearch(t)
	library.Fields["module_name"] = "first"
	base, a := pushed(t, d, debianRedis(t)), pushed(t, d, library.Bytes())
	library.Fields["module_name"] = "second"
	b := pushed(t, d, library.Bytes())
	removed(t, d, a.UID)
	removed(t, d, base.UID)
	d.CreateAndStart(module(d, "search", b.Edged.Image))
	require.Contains(t, redis(t, d, "search", "MODULE LIST"), "ft")
	d.Delete("search")
	removed(t, d, b.UID)
}

func redisModule(t *testing.T, d *device.Device) {
	base := pushed(t, d, debianRedis(t))
	require.Equal(t, redisImage, base.Edged.Image)
	p := pushed(t, d, redisearch(t).Bytes())
	require.Equal(t, "edged.local/ramp/ft:1.2.2", p.Edged.Image)
	require.Len(t, list(t, d), 2)

	d.CreateAndStart(module(d, "search", p.Edged.Image))
	loaded := redis(t, d, "search", "MODULE LIST")
	require.Contains(t, loaded, "ft")
	require.Contains(t, loaded, "/usr/lib/redis/modules/redisearch.so")
	require.Contains(t, loaded, "MAXEXPANSIONS")
	require.Contains(t, redis(t, d, "search", "FT.CREATE idx SCHEMA title TEXT"), "+OK")
	require.Contains(t, redis(t, d, "search", "FT.ADD idx doc1 1.0 FIELDS title hello"), "+OK")
	require.Contains(t, redis(t, d, "search", "FT.SEARCH idx hello"), "doc1")

	// The catalog has the package and what it runs from: its image, with all of the base.
	d.Eventually("the catalog has it in use", func() bool { return len(cataloged(t, d, "name=ft&active=true")) == 2 })
	build := cataloged(t, d, "name=ft&version=10202&active=true")
	require.Len(t, build, 1)
	require.Equal(t, "1.2", build[0].Stream)
	require.Contains(t, build[0].ModuleMD, "mediaType: application/vnd.redis.ramp.v1+zip")
	require.Contains(t, build[0].ModuleMD, "image: "+p.Edged.Image)

	a := remove(t, d, p.UID)
	require.Equal(t, http.StatusNotAcceptable, a.Status, a.Body)
	require.Equal(t, "module_in_use", a.Error.ErrorCode)
	require.Contains(t, a.Error.Message, "search")
	pruned := d.Host(http.MethodPost, "/images/prune?"+device.Version, `{"all":true}`)
	require.Equal(t, http.StatusOK, pruned.Status)
	require.Contains(t, d.Ctr("images", "ls", "-q"), p.Edged.Image, "no pass over images takes it")
	d.Post("search", "stop")
	require.Equal(t, http.StatusNotAcceptable, remove(t, d, p.UID).Status, "one that is stopped uses it as well")
	d.Delete("search")
	d.Eventually("it is in use no more", func() bool { return len(cataloged(t, d, "name=ft&active=false")) == 2 })
	removed(t, d, p.UID)
	d.Eventually("the catalog has it no more", func() bool { return len(cataloged(t, d, "name=ft")) == 0 })
	require.Equal(t, http.StatusNotFound, remove(t, d, p.UID).Status)
	require.NotContains(t, d.Ctr("images", "ls", "-q"), "ramp")
	removed(t, d, base.UID)
}

func sideLoaded(t *testing.T, d *device.Device) {
	p := pushed(t, d, busybox(t, "registry.example/tools/busybox:1.36.1"))
	require.Equal(t, "registry.example/tools/busybox", p.ModuleName)
	require.EqualValues(t, 13601, p.Version)
	require.Empty(t, names(t, d.Home+"/content/blobs/sha256"), "its bytes are in containerd now, and here no more")
	d.Eventually("the catalog has one build of it", func() bool { return len(cataloged(t, d, "name=busybox&active=false")) == 1 })
	spec := module(d, "box", p.Edged.Image)
	d.CreateAndStart(spec)
	d.Eventually("and it is in use", func() bool { return len(cataloged(t, d, "name=busybox&active=true")) == 1 })
	d.WaitFor("box", "running")
	require.Equal(t, http.StatusNotAcceptable, remove(t, d, p.UID).Status)
	require.Contains(t, d.Ctr("images", "ls", "-q"), p.Edged.Image)
	d.Delete("box")
	pruned := d.Host(http.MethodPost, "/images/prune?"+device.Version, `{"all":true}`)
	require.Equal(t, http.StatusOK, pruned.Status)
	require.Contains(t, d.Ctr("images", "ls", "-q"), p.Edged.Image, "it is the package's, not an age's")
	// A package and the image by its name come back after a restart, and whatever was done to the name.
	d.Ctr("images", "rm", p.Edged.Image)
	d.Edged.Signal(15)
	d.StartEdged()
	d.Eventually("the image has its name again", func() bool { return strings.Contains(d.Ctr("images", "ls", "-q"), p.Edged.Image) })
	d.CreateAndStart(spec)
	d.WaitFor("box", "running")
	d.Delete("box")
	removed(t, d, p.UID)
	require.NotContains(t, d.Ctr("images", "ls", "-q"), p.Edged.Image)
}
