package spine

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

func TestImagesArePulledWithTheirCredentials(t *testing.T) {
	d := device.New(t, device.Options{})
	r := device.NewRegistry(t)
	ref := r.Push(d, "team/app:1", 1)
	agent := d.Agent()
	pulled := func(name, policy, password string) wire.ModuleSpec {
		spec := d.Spec(name)
		spec.ImagePullPolicy = policy
		spec.Config.Settings.Image = ref
		if password != "" {
			spec.Config.Settings.Auth = &wire.Auth{Username: device.RegistryUser, Password: password, ServerAddress: r.Address}
		}
		return spec
	}
	for _, c := range []struct{ name, policy, password, image, message string }{
		{"no credentials", "on-create", "", ref, "credentials"},
		{"wrong credentials", "On-Create", "wrong", ref, "credentials"},
		{"no such image", "on-create", device.RegistryPassword, r.Address + "/team/none:1", "not in its registry"},
		{"never and not here", "Never", device.RegistryPassword, ref, "not on this device"},
		{"not a reference", "on-create", "", "UPPER//case", "invalid settings.image"},
	} {
		spec := pulled("app", c.policy, c.password)
		spec.Config.Settings.Image = c.image
		a := agent.Manage("POST", "/modules", d.Body(spec))
		require.Equal(t, http.StatusBadRequest, a.Status, c.name+": "+a.Body)
		require.Contains(t, a.Message(), c.message, c.name)
		require.NotContains(t, a.Body, "wrong")
	}
	a := agent.Manage("POST", "/modules/app/prepareupdate", d.Body(pulled("app", "on-create", device.RegistryPassword)))
	require.Equal(t, http.StatusNoContent, a.Status, a.Body)
	a = agent.Manage("POST", "/modules", d.Body(pulled("app", "never", device.RegistryPassword)))
	require.Equal(t, http.StatusCreated, a.Status, a.Body)
	require.NotContains(t, a.Body, device.RegistryPassword)
	require.Contains(t, a.Body, device.RegistryUser)
	d.Post("app", "start")

	t.Run("what is here is used when the registry cannot be reached", func(t *testing.T) {
		r.SetDown(true)
		defer r.SetDown(false)
		a := agent.Manage("POST", "/modules", d.Body(pulled("offline", "on-create", device.RegistryPassword)))
		require.Equal(t, http.StatusCreated, a.Status, a.Body)
		spec := pulled("new", "on-create", device.RegistryPassword)
		spec.Config.Settings.Image = r.Address + "/team/new:1"
		a = agent.Manage("POST", "/modules", d.Body(spec))
		require.Equal(t, http.StatusServiceUnavailable, a.Status, a.Body)
	})
	require.NotContains(t, d.EdgedLog(), device.RegistryPassword)
	database, err := os.ReadFile(d.Home + "/edged.db-wal")
	require.NoError(t, err)
	require.NotContains(t, string(database), device.RegistryPassword, "passwords are sealed")
	require.NotContains(t, d.Ctr("containers", "info", containerOf(d, "app")), device.RegistryPassword)
}

func TestABrokenLineCostsNothingTwice(t *testing.T) {
	d := device.New(t, device.Options{})
	r := device.NewRegistry(t)
	const mib = 24
	spec := d.Spec("large")
	spec.ImagePullPolicy = "on-create"
	spec.Config.Settings.Image = r.Push(d, "large:1", mib)
	spec.Config.Settings.Auth = &wire.Auth{Username: device.RegistryUser, Password: device.RegistryPassword}
	r.Break(40, 5<<20)
	a := d.Agent().Manage("POST", "/modules", d.Body(spec))
	for try := 0; a.Status == http.StatusServiceUnavailable && try < 10; try++ {
		a = d.Agent().Manage("POST", "/modules", d.Body(spec))
	}
	require.Equal(t, http.StatusCreated, a.Status, a.Body)
	served, ranges := r.Served()
	require.NotEmpty(t, ranges, "it went on where the line broke")
	require.Less(t, served, int64(mib+10)<<20, "and fetched nothing twice")
	leases := d.Ctr("leases", "ls")
	require.NotContains(t, leases, "edged-pull-", "a pull that succeeded gives its lease up")
}

func TestASlowPullDelaysNobodyElse(t *testing.T) {
	d := device.New(t, device.Options{})
	d.CreateAndStart(d.CommandSpec("other", "sleep"))
	silent := silentRegistry(t)
	spec := d.CommandSpec("slow", "sleep")
	spec.ImagePullPolicy = "on-create"
	spec.Config.Settings.Image = silent + "/slow:1"
	agent := d.Agent()
	go agent.TryManage("POST", "/modules", d.Body(spec))
	d.Eventually("the pull has begun", func() bool { return strings.Contains(d.EdgedLog(), "pulling image") })
	d.Post("other", "restart")
	d.Create(d.CommandSpec("third", "sleep"))
	_, status := d.Get("slow")
	require.Equal(t, http.StatusNotFound, status)
}

func TestArchivesInPreloadFoldersAreThere(t *testing.T) {
	d := device.New(t, device.Options{})
	require.Equal(t, 1, strings.Count(d.EdgedLog(), "imported edged.local/probe:1"))
	d.Edged.Signal(15)
	d.StartEdged()
	d.Agent()
	require.Equal(t, 1, strings.Count(d.EdgedLog(), "imported edged.local/probe:1"), "an archive that has not changed is not read again")
}
