package catalog

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

// one waits for the one row that a query finds.
func one(t *testing.T, d *device.Device, query string) wire.Build {
	t.Helper()
	var rows []wire.Build
	d.Eventually("one build for "+query, func() bool {
		rows = list(t, d, query)
		return len(rows) == 1
	})
	return rows[0]
}

// TestWhatIsInsideTheImagesOfModulesIsFound from the databases of three package managers,
// and an image that lies does no harm.
func TestWhatIsInsideTheImagesOfModulesIsFound(t *testing.T) {
	d := newDevice(t, "")
	agent := one(t, d, "name=probe&active=true")
	require.Empty(t, agent.RPMs, "the agent's image has no package manager")
	require.Empty(t, list(t, d, "name=debian"), "nothing uses it yet")
	d.Create(spec(d, "deb", debian))
	d.CreateAndStart(spec(d, "apk", alpine))
	d.Create(spec(d, "rpm", enterprise))
	d.Create(spec(d, "bad", hostile))

	b := one(t, d, "name=debian&active=true")
	require.Equal(t, []string{
		"apt-0:2.6.1-0.amd64.rpm", "base-files-0:12.4+deb12u11-0.amd64.rpm", "bash-0:5.2.15-2+b8.amd64.rpm", "libc6-0:2.36-9+deb12u14.amd64.rpm", "libssl3-0:3.0.19-1~deb12u2.amd64.rpm",
		"login-1:4.13+dfsg1-1+deb12u1.amd64.rpm", "openssl-0:3.0.19-1~deb12u2.amd64.rpm", "perl-base-0:5.36.0-7+deb12u2.amd64.rpm", "zlib1g-1:1.2.13.dfsg-1.amd64.rpm",
	}, b.RPMs)
	require.Equal(t, "12.4", b.Stream)
	require.Contains(t, b.ModuleMD, debian)
	b = one(t, d, "name=alpine&active=true")
	require.Equal(t, []string{".build-deps-0:20240126.153000-0.noarch.rpm", "libcrypto3-0:3.1.4-r5.x86_64.rpm", "libssl3-0:3.1.4-r5.x86_64.rpm", "musl-0:1.2.4_git20230717-r4.x86_64.rpm"}, b.RPMs)
	require.Equal(t, "3.19", b.Stream)
	b = one(t, d, "name=ubi9&active=true")
	require.Equal(t, []string{"bash-0:5.1.8-9.el9.noarch.rpm", "openssl-1:3.0.7-27.el9.noarch.rpm", "openssl-libs-1:3.0.7-27.el9.noarch.rpm"}, b.RPMs)
	b = one(t, d, "name=hostile")
	require.Empty(t, b.RPMs)
	require.Contains(t, b.ModuleMD, "unread:")

	out := edgectl(t, d, "catalog", "search", "--component", "openssl", "--active")
	require.Regexp(t, `(?m)^apk +alpine:3\.19:\S+ +true +`+alpine+` +libcrypto3-0:3\.1\.4-r5\.x86_64 libssl3-0:3\.1\.4-r5\.x86_64$`, out)
	require.Regexp(t, `(?m)^deb +debian:12\.4:\S+ +true +`+debian+` +libssl3-\S+ openssl-\S+$`, out)
	require.Regexp(t, `(?m)^rpm +ubi9:9\.4:`, out)
	require.Len(t, strings.Split(strings.TrimSpace(out), "\n"), 4)
	require.Contains(t, edgectl(t, d, "catalog", "show", b.UID), "PACKAGES UNKNOWN")

	// Nothing that the reader did is left: no mount, no view, no lease.
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	require.NotContains(t, string(mounts), "inside-")
	leases, err := exec.Command("ctr", "-a", d.Address(), "-n", d.Namespace, "leases", "ls", "-q").Output()
	require.NoError(t, err)
	require.NotContains(t, string(leases), "inside-")

	// A module that goes leaves the row of its image, out of use, until the image goes.
	d.Delete("deb")
	one(t, d, "name=debian&active=false")
	require.NotContains(t, edgectl(t, d, "catalog", "search", "--component", "openssl", "--active"), "debian")
	out = edgectl(t, d, "catalog", "search", "--component", "openssl")
	require.Regexp(t, `(?m)^- +debian:12\.4:\S+ +false`, out)
	// Rows of the index are nobody's to change, and outlive a restart unchanged.
	b = one(t, d, "name=alpine")
	a := d.Host(http.MethodPatch, "/rest_api/v1/modules/"+b.UID+"/", `{"active":false}`)
	require.Equal(t, http.StatusConflict, a.Status, a.Body)
	d.Edged.Signal(syscall.SIGTERM)
	require.NoError(t, os.Remove(filepath.Join(d.Home, "images", "distributions.tar"))) // which keeps the images
	// A catalog that is broken is not in a backup, which says so.
	file, aside := filepath.Join(d.Home, "catalog.db"), filepath.Join(d.Home, "aside.db")
	require.NoError(t, os.Rename(file, aside))
	require.NoError(t, os.WriteFile(file, []byte("this is no database"), 0o600))
	out = edgectl(t, d, "backup", "--config", filepath.Join(d.Root, "config.toml"), "-o", filepath.Join(t.TempDir(), "backup.tar.gz"))
	require.Contains(t, out, "the catalog is not in the backup: ")
	require.NoError(t, os.Rename(aside, file))
	d.StartEdged()
	require.Equal(t, b, one(t, d, "name=alpine&active=true"))
	pruned := d.Host(http.MethodPost, "/images/prune?"+device.Version, `{"all":true}`)
	require.Equal(t, http.StatusOK, pruned.Status)
	require.Contains(t, pruned.Body, debian)
	d.Eventually("the row goes with the image", func() bool { return len(list(t, d, "name=debian")) == 0 })
	require.Empty(t, list(t, d, "component_name=glibc"))
	require.Len(t, list(t, d, "component_name=openssl"), 2)

	t.Run("backup", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "backup.tar.gz")
		edgectl(t, d, "backup", "--config", filepath.Join(d.Root, "config.toml"), "-o", file)
		out, err := exec.Command("tar", "-tzf", file).Output()
		require.NoError(t, err)
		require.Contains(t, string(out), "home/catalog.db\n")
	})
}

// TestTheCatalogIsForEveryModuleToReadAndForSomeToWrite on the sockets themselves, and a
// program of the Python standard library finds what it knows.
func TestTheCatalogIsForEveryModuleToReadAndForSomeToWrite(t *testing.T) {
	d := newDevice(t, `
[catalog]
index = false
[[grant]]
permissions = ["catalog_write"]
modules = ["writer"]
`)
	require.Empty(t, list(t, d, ""), "nothing is indexed")
	for _, name := range []string{"writer", "reader"} {
		s := d.Spec(name)
		s.Config.Settings.Management = true
		d.CreateAndStart(s)
	}
	const body = `{"name":"testmodule","stream":"f28","version":"20180123171544","context":"2f345c78","koji_tag":"module-ce2adf69caf0e1b5","modulemd":"data here"}`
	const path = "/rest_api/v1/modules/"
	ask := func(who, method, path, body string) device.Answer {
		return d.Probe(who).Call(device.Call{Method: method, Path: path, Body: body, Header: map[string]string{"Content-Type": "application/json"}})
	}
	a := ask("reader", "POST", path, body)
	require.Equal(t, 403, a.Status)
	require.JSONEq(t, `{"detail":"You do not have permission to perform this action."}`, a.Body)
	a = ask("writer", "POST", path, body)
	require.Equal(t, 201, a.Status, a.Body)
	require.Equal(t, "Accept, Cookie", a.Header.Get("Vary"))
	a = ask("reader", "GET", path+"testmodule:f28:20180123171544:2f345c78/", "")
	require.Equal(t, 200, a.Status, a.Body)
	require.Equal(t, 403, ask("reader", "DELETE", path+"testmodule:f28:20180123171544:2f345c78/", "").Status)
	require.Equal(t, 204, ask("edgeAgent", "DELETE", path+"testmodule:f28:20180123171544:2f345c78/", "").Status)
	log, err := os.ReadFile(filepath.Join(d.Root, "edged.log"))
	require.NoError(t, err)
	require.Contains(t, string(log), `"build":"testmodule:f28:20180123171544:2f345c78"`)

	out, err := exec.Command("python3", "testdata/client.py", d.Management()).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, "done\n", string(out))
	log, err = os.ReadFile(filepath.Join(d.Root, "edged.log"))
	require.NoError(t, err)
	require.Contains(t, string(log), `"comment":"a test"`)

	// The rules hold for one that does not open, too.
	d.Edged.Signal(syscall.SIGTERM)
	require.NoError(t, os.WriteFile(filepath.Join(d.Home, "catalog.db"), []byte("this is no database"), 0o600))
	d.StartEdged()
	d.WaitFor("reader", "running")
	require.Equal(t, 403, ask("reader", "POST", path, body).Status)
	for _, method := range []string{"GET", "POST"} {
		a = ask("writer", method, path, body)
		require.Equal(t, 503, a.Status, a.Body)
		require.Contains(t, a.Body, "the catalog of this device cannot be opened")
	}
}
