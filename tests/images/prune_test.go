package images

import (
	"database/sql"
	"encoding/json"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the driver

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

func TestImagesComeAndGo(t *testing.T) {
	d := device.New(t, device.Options{})
	r := device.NewRegistryWith(t, device.RegistryOptions{})
	used, spare, young := r.Push(d, "used:1", 2), r.Push(d, "spare:1", 4), r.Push(d, "young:1", 1)
	agent := d.Agent()

	t.Run("edgectl pulls, with a password that no command line has", func(t *testing.T) {
		d := d.For(t)
		out, errs, code := edgectl(d, device.RegistryPassword+"\n", "pull", "--username", device.RegistryUser, "--password-stdin", spare)
		require.Equal(t, 0, code, errs)
		require.Regexp(t, `^`+spare+` sha256:[0-9a-f]{64}\n$`, out)
		_, errs, code = edgectl(d, "wrong\n", "pull", "--username", device.RegistryUser, "--password-stdin", young)
		require.Equal(t, 1, code)
		require.Contains(t, errs, "credentials")
	})
	t.Run("a module may not pull, its agent may", func(t *testing.T) {
		d := d.For(t)
		d.CreateAndStart(d.Spec("other"))
		a := d.Probe("other").Manage("GET", "/images", "")
		require.Equal(t, 0, a.Status, "it has no management socket: "+a.Body)
		b, err := json.Marshal(wire.ImagePull{Image: young, Auth: &wire.Auth{Username: device.RegistryUser, Password: device.RegistryPassword}})
		require.NoError(t, err)
		a = agent.Manage("POST", "/images/pull", string(b))
		require.Equal(t, http.StatusOK, a.Status, a.Body)
	})
	spec := d.CommandSpec("user", "sleep")
	spec.ImagePullPolicy = "on-create"
	spec.Config.Settings.Image = used
	spec.Config.Settings.Auth = &wire.Auth{Username: device.RegistryUser, Password: device.RegistryPassword}
	d.CreateAndStart(spec)
	d.Ctr("images", "tag", device.Image, "foreign.example/theirs:1")
	d.Ctr("images", "label", "foreign.example/theirs:1", "io.edged.owner=")

	t.Run("an image of which the files are gone is pulled again", func(t *testing.T) {
		d := d.For(t)
		ref := r.Push(d, "whole:1", 1)
		before := snapshots(d)
		spec := d.CommandSpec("whole", "sleep")
		spec.ImagePullPolicy = "on-create"
		spec.Config.Settings.Image = ref
		spec.Config.Settings.Auth = &wire.Auth{Username: device.RegistryUser, Password: device.RegistryPassword}
		remove := func() {
			a := d.Agent().Manage("DELETE", "/modules/whole", "")
			require.Equal(t, http.StatusNoContent, a.Status, a.Body)
		}
		d.Create(spec)
		spec.Config.Settings.Image = strings.TrimSuffix(ref, ":1") + "@" + list(t, d)[ref].Digest
		remove()
		d.Create(spec) // by its digest the registry is not asked for what is here
		remove()
		for name := range snapshots(d) {
			if !before[name] {
				d.Ctr("snapshots", "rm", name)
			}
		}
		// containerd drops what nobody needs when it comes to it; a removal that is waited for makes it so now.
		d.Ctr("images", "tag", device.Image, "registry.example/removed:1")
		d.Ctr("images", "rm", "--sync", "registry.example/removed:1")
		r.Break(0, 0)
		d.CreateAndStart(spec)
		_, blobs := r.Asked()
		require.Len(t, blobs, 1, "the layer alone, which was dropped")
		remove()
		prune(t, d, `{"all":false}`)
		for name := range list(t, d) {
			if strings.Contains(name, "/whole") {
				d.Ctr("images", "rm", "--sync", name)
			}
		}
	})
	t.Run("the list says who uses what", func(t *testing.T) {
		d := d.For(t)
		images := list(t, d)
		require.Equal(t, []string{"user"}, images[used].UsedBy)
		require.Equal(t, "module", images[used].Kept)
		require.Equal(t, []string{"edgeAgent", "other"}, images[device.Image].UsedBy)
		require.Empty(t, images[spare].UsedBy)
		require.Empty(t, images[spare].Kept)
		require.Equal(t, "module", images["foreign.example/theirs:1"].Kept, "it is what the agent runs")
		when, err := time.Parse(time.RFC3339, images[spare].LastUsed)
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), when, time.Minute)
		out, errs, code := edgectl(d, "", "images")
		require.Equal(t, 0, code, errs)
		require.Regexp(t, `(?m)^NAME +DIGEST +SIZE +LAST USE +USED BY`, out)
		require.Regexp(t, `(?m)^`+used+` +[0-9a-f]{12} +[0-9.]+MiB +.* ago +user`, out)
	})
	t.Run("nothing that is young goes, and with all nothing that is named", func(t *testing.T) {
		d := d.For(t)
		require.Empty(t, prune(t, d, `{}`).Removed)
		for _, ref := range []string{used, spare, device.Image} {
			require.Contains(t, list(t, d), ref)
		}
	})
	t.Run("what has not been used for long goes at the start", func(t *testing.T) {
		d := d.For(t)
		setUse(t, d, spare, 8*24*time.Hour)
		setUse(t, d, used, 800*24*time.Hour)
		d.Eventually("it is gone", func() bool { _, ok := list(t, d)[spare]; return !ok })
		images := list(t, d)
		require.Contains(t, images, used)
		require.Contains(t, images, young)
		require.Contains(t, images, device.Image)
		said := regexp.MustCompile(`removed image, 4(\.\d+)?MiB won: nothing has used it for long`)
		d.Eventually("the log says so", func() bool { return said.MatchString(d.EdgedLog()) })
		require.NotContains(t, d.Ctr("images", "ls", "-q"), "spare")
	})
	t.Run("prune --all removes what nothing uses, and its files", func(t *testing.T) {
		d := d.For(t)
		out, errs, code := edgectl(d, "", "images", "prune", "--all")
		require.Equal(t, 0, code, errs)
		require.Equal(t, young+"\n", out)
		require.Regexp(t, `removed 1 images, 1(\.\d+)?MiB won`, errs)
		a := d.Host(http.MethodGet, "/metrics", "")
		require.Regexp(t, `(?m)^edged_images_removed_total 2$`, a.Body)
	})
	t.Run("a module's image counts as used until the module is deleted", func(t *testing.T) {
		d := d.For(t)
		a := d.Agent().Manage("DELETE", "/modules/user", "")
		require.Equal(t, http.StatusNoContent, a.Status, a.Body)
		require.Empty(t, prune(t, d, `{}`).Removed, "it was used until now")
		removed := prune(t, d, `{"all":true}`)
		require.Len(t, removed.Removed, 1)
		require.Equal(t, used, removed.Removed[0].Name)
		require.Greater(t, removed.Bytes, int64(2<<20))
		require.NotContains(t, list(t, d), used)
	})
}

func TestAFullDiskTakesTheLongestUnused(t *testing.T) {
	d := device.New(t, device.Options{Config: "[images]\ndisk_high = 1\n"})
	r := device.NewRegistryWith(t, device.RegistryOptions{Open: true})
	prepared, idle := r.Push(d, "prepared:1", 1), r.Push(d, "idle:1", 1)
	pulled(t, d, prepared)
	pulled(t, d, idle)
	setUse(t, d, idle, 4*time.Hour)
	d.Eventually("it is gone", func() bool { _, ok := list(t, d)[idle]; return !ok })
	require.Contains(t, list(t, d), prepared, "it is about to be used")
	d.Eventually("the log says why", func() bool { return strings.Contains(d.EdgedLog(), "won: the disk is full") })
	d.Eventually("the operator is told", func() bool { return strings.Contains(d.EdgedLog(), "nothing left that may go") })
	d.WaitFor("edgeAgent", "running")
}

// snapshots are the names of all that there are.
func snapshots(d *device.Device) map[string]bool {
	names := map[string]bool{}
	for line := range strings.Lines(d.Ctr("snapshots", "ls")) {
		names[strings.Fields(line)[0]] = true
	}
	return names
}

// setUse makes an image's last use as long ago, and starts edged again.
func setUse(t *testing.T, d *device.Device, ref string, age time.Duration) {
	t.Helper()
	d.Edged.Signal(syscall.SIGTERM)
	db, err := sql.Open("sqlite", filepath.Join(d.Home, "edged.db"))
	require.NoError(t, err)
	res, err := db.Exec(`UPDATE image_uses SET used_at = ? WHERE ref = ?`, time.Now().Add(-age).Unix(), ref)
	require.NoError(t, err)
	n, err := res.RowsAffected()
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	require.NoError(t, db.Close())
	d.StartEdged()
}
