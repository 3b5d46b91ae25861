package workload

import (
	"archive/zip"
	"bytes"
	"crypto/rand"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/tests/device"
)

// Values that are to be found nowhere but in the modules that they are for.
const (
	sealedValue = "hunter2-sealed-value"
	fileValue   = "hunter2-file-value"
)

// seal makes edgectl seal a value, as a host user does.
func seal(t *testing.T, d *device.Device, value string, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(device.Repository(), "bin", "edgectl"), append([]string{"--host", d.Management(), "secret", "seal"}, args...)...)
	cmd.Stdin = strings.NewReader(value)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return strings.TrimSuffix(string(out), "\n")
}

func withSecrets(spec wire.ModuleSpec, secrets map[string]wire.Secret) wire.ModuleSpec {
	spec.Config.Settings.Secrets = secrets
	return spec
}

// read is a file as a process of the module finds it.
func (m *member) read(path string) (string, bool) {
	m.t.Helper()
	status, text := m.probe.Do(http.MethodGet, "/file?path="+url.QueryEscape(path), "")
	return text, status == http.StatusOK
}

// inContainer runs busybox in a container, as a user of it.
func inContainer(t *testing.T, d *device.Device, id, user string, command ...string) (string, error) {
	t.Helper()
	args := append([]string{"-a", d.Address(), "-n", d.Namespace, "tasks", "exec", "--exec-id", rand.Text(), "--user", user, id, "/bin/busybox"}, command...)
	out, err := exec.Command("ctr", args...).CombinedOutput()
	return string(out), err
}

func secretsFolder(d *device.Device, container string) string {
	return filepath.Join(d.Run, "secrets", container)
}

func TestSecretsAreTheModulesAlone(t *testing.T) {
	d := device.New(t, device.Options{})
	file := filepath.Join(d.Root, "host-secret")
	require.NoError(t, os.WriteFile(file, []byte(fileValue), 0o600))
	uid := uint32(1234)
	secrets := map[string]wire.Secret{
		"password": {Sealed: seal(t, d, sealedValue)},
		"key.pem":  {File: file, Path: "/etc/app/key.pem"},
		"other":    {Sealed: seal(t, d, "of another user", "-"), UID: &uid, Mode: "0600"},
	}
	spec := withSecrets(d.Spec("sensor"), secrets)
	spec = device.WithOptions(spec, func(top, _ map[string]any) { top["User"] = "1000:1000" })
	d.CreateAndStart(spec)
	m := join(t, d, "sensor")
	id := module.ContainerID("sensor", 1)

	requireReadable := func(m *member) {
		t.Helper()
		for path, want := range map[string]string{"/run/secrets/password": sealedValue, "/etc/app/key.pem": fileValue} {
			got, ok := m.read(path)
			require.True(t, ok, got)
			require.Equal(t, want, got)
		}
	}
	requireReadable(m)
	_, ok := m.read("/run/secrets/other")
	require.False(t, ok, "it is another user's")
	mounts, _ := m.read("/proc/self/mounts")
	for line := range strings.Lines(mounts) {
		if f := strings.Fields(line); strings.HasPrefix(f[1], "/run/secrets/") || f[1] == "/etc/app/key.pem" {
			require.Equal(t, "tmpfs", f[2], line)
			for _, option := range []string{"ro", "nosuid", "nodev", "noexec"} {
				require.Contains(t, strings.Split(f[3], ","), option, line)
			}
		}
	}
	require.Contains(t, mounts, " /run/secrets/password tmpfs")

	t.Run("another user in the module cannot read them", func(t *testing.T) {
		out, err := inContainer(t, d, id, "1001:1001", "cat", "/run/secrets/password")
		require.Error(t, err)
		require.Contains(t, out, "Permission denied")
		out, err = inContainer(t, d, id, "1000:1000", "stat", "-c", "%a %u:%g", "/run/secrets/password", "/run/secrets/other")
		require.NoError(t, err)
		require.Equal(t, "400 1000:1000\n600 1234:1000\n", out)
	})
	t.Run("they are nowhere else", func(t *testing.T) {
		for _, text := range []string{
			strings.Join(environ(t, m), "\n"), d.Ctr("containers", "info", id), d.EdgedLog(), d.Logs("sensor", ""),
			d.Host(http.MethodGet, "/modules?"+device.Version, "").Body, d.Agent().Manage(http.MethodGet, "/modules/sensor", "").Body, bundle(t, d),
		} {
			requireNoValue(t, []byte(text))
			require.NotContains(t, text, secrets["password"].Sealed, "not even sealed")
		}
		requireNoFileHolds(t, d, file)
		shown, _ := d.Get("sensor")
		require.Equal(t, map[string]wire.Secret{
			"password": {Sealed: true, Path: "/run/secrets/password", Mode: "0400"},
			"key.pem":  {File: file, Path: "/etc/app/key.pem", Mode: "0400"},
			"other":    {Sealed: true, Path: "/run/secrets/other", Mode: "0600", UID: &uid},
		}, shown.Config.Settings.Secrets)
		require.Contains(t, bundle(t, d), `"file": "`+file+`"`)
	})
	t.Run("they stay when edged starts anew, and go when the module stops", func(t *testing.T) {
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
			d.Edged.Signal(sig)
			d.StartEdged()
			d.WaitFor("sensor", "running")
			requireReadable(m)
		}
		d.Post("sensor", "restart")
		requireReadable(join(t, d, "sensor"))
		d.Post("sensor", "stop")
		d.Eventually("they are removed", func() bool { return isGone(secretsFolder(d, id)) })
		d.Post("sensor", "start")
		requireReadable(join(t, d, "sensor"))
	})
	t.Run("a power cut leaves nothing, and the module has them again after it", func(t *testing.T) {
		d.Reboot()
		d.WaitFor("sensor", "running")
		requireReadable(join(t, d, "sensor"))
	})
	t.Run("a file that changed is read at the next start", func(t *testing.T) {
		require.NoError(t, os.WriteFile(file, []byte("rotated"), 0o600))
		d.Post("sensor", "restart")
		got, _ := join(t, d, "sensor").read("/etc/app/key.pem")
		require.Equal(t, "rotated", got)
		require.NoError(t, os.Remove(file))
		a := d.Host(http.MethodPost, "/modules/sensor/restart?"+device.Version, "")
		require.Equal(t, http.StatusBadRequest, a.Status)
		require.Contains(t, a.Message(), `settings.secrets["key.pem"]`)
		require.True(t, isGone(secretsFolder(d, id)), "a start that fails leaves none")
		require.NoError(t, os.WriteFile(file, []byte(fileValue), 0o600))
		d.Post("sensor", "start")
		requireReadable(join(t, d, "sensor"))
	})
	t.Run("what a crash left is removed", func(t *testing.T) {
		d.Edged.Signal(syscall.SIGKILL)
		left := secretsFolder(d, "left-01234567-g1")
		require.NoError(t, os.Mkdir(left, 0o700))
		d.StartEdged()
		d.Eventually("it is removed", func() bool { return isGone(left) })
		requireReadable(join(t, d, "sensor"))
	})
	deleteModule(t, d, "sensor")
	require.True(t, isGone(secretsFolder(d, id)))
}

func TestWrongSecretsAreRefusedByName(t *testing.T) {
	d := device.New(t, device.Options{})
	other := device.New(t, device.Options{NoAgent: true})
	bound := seal(t, d, "x", "--module", "sensor")
	linked := filepath.Join(d.Root, "link")
	require.NoError(t, os.Symlink(filepath.Join(d.Home, "keys", "master"), linked))
	for what, s := range map[string]wire.Secret{
		"another module's":       {Sealed: bound},
		"of another device":      {Sealed: seal(t, other, "x")},
		"another form":           {Sealed: strings.Replace(bound, "secret1m", "secret1d", 1)},
		"cut":                    {Sealed: bound[:len(bound)-3]},
		"no sealed text":         {Sealed: "plain"},
		"what answers show":      {Sealed: true},
		"neither":                {},
		"both":                   {Sealed: bound, File: "/etc/hostname"},
		"a file that is missing": {File: "/no/such/file"},
		"a folder":               {File: "/etc"},
		"a device":               {File: "/dev/zero"},
		"edged's own key":        {File: filepath.Join(d.Home, "keys", "master")},
		"a link to it":           {File: linked},
		"over the sockets":       {File: "/etc/hostname", Path: "/run/edged/workload.sock"},
		"over the sockets, too":  {File: "/etc/hostname", Path: "/var/run/edged"},
		"over a mount":           {File: "/etc/hostname", Path: "/probe"},
		"outwards":               {File: "/etc/hostname", Path: "/run/secrets/../../etc/passwd"},
		"the kernel's":           {File: "/etc/hostname", Path: "/proc/sys/kernel/core_pattern"},
		"a mode that is none":    {File: "/etc/hostname", Mode: "rw"},
	} {
		a := d.Agent().Manage(http.MethodPost, "/modules", d.Body(withSecrets(d.Spec("thief"), map[string]wire.Secret{"a-name": s})))
		require.Equal(t, http.StatusBadRequest, a.Status, "%s: %s", what, a.Body)
		require.Contains(t, a.Message(), `settings.secrets["a-name"]`, what)
	}
	d.CreateAndStart(withSecrets(d.Spec("sensor"), map[string]wire.Secret{"bound": {Sealed: bound}}))
	got, ok := join(t, d, "sensor").read("/run/secrets/bound")
	require.True(t, ok)
	require.Equal(t, "x", got)

	sealing := `{"value":"` + b64("x") + `"}`
	require.Equal(t, http.StatusForbidden, join(t, d, "sensor").probe.Call(device.Call{
		Socket: join(t, d, "sensor").socket, Method: http.MethodPost, Path: path("edgeAgent", "g", "sign") + "?" + device.Version, Body: sealing,
	}).Status)
	require.Equal(t, http.StatusOK, d.Agent().Manage(http.MethodPost, "/secrets/seal", sealing).Status)
	for _, bad := range []string{`{"value":""}`, `{"value":"?"}`, `{"value":"eA==","module":"a/b"}`} {
		require.Equal(t, http.StatusBadRequest, d.Agent().Manage(http.MethodPost, "/secrets/seal", bad).Status, bad)
	}
}

func environ(t *testing.T, m *member) (env []string) {
	t.Helper()
	for _, pid := range []string{"1", "self"} {
		text, ok := m.read("/proc/" + pid + "/environ")
		require.True(t, ok)
		env = append(env, strings.Split(text, "\x00")...)
	}
	return env
}

// bundle is all that a support bundle has, one file after the other.
func bundle(t *testing.T, d *device.Device) string {
	t.Helper()
	a := d.Host(http.MethodGet, "/systeminfo/supportbundle?"+device.Version, "")
	require.Equal(t, http.StatusOK, a.Status)
	archive, err := zip.NewReader(strings.NewReader(a.Body), int64(len(a.Body)))
	require.NoError(t, err)
	var all strings.Builder
	for _, f := range archive.File {
		r, err := f.Open()
		require.NoError(t, err)
		_, err = io.Copy(&all, r)
		require.NoError(t, err)
	}
	return all.String()
}

func requireNoValue(t *testing.T, b []byte) {
	t.Helper()
	for _, value := range []string{sealedValue, fileValue, b64(sealedValue), b64(fileValue)} {
		require.False(t, bytes.Contains(b, []byte(value)), "%q is in %.200q", value, b)
	}
}

// requireNoFileHolds looks into every file of the device that is on a disk, the file systems of containers among them.
func requireNoFileHolds(t *testing.T, d *device.Device, except string) {
	t.Helper()
	looked := 0
	require.NoError(t, filepath.WalkDir(d.Root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil //nolint:nilerr // it is gone meanwhile
		case entry.IsDir() && (name == filepath.Join(d.Run, "secrets") || entry.Name() == "rootfs"):
			return filepath.SkipDir // in memory, and the running container's own view
		case !entry.Type().IsRegular() || name == except:
			return nil
		}
		b, err := os.ReadFile(name)
		if err == nil {
			looked++
			requireNoValue(t, b)
		}
		return nil
	}))
	require.Greater(t, looked, 20)
}

func isGone(path string) bool {
	_, err := os.Lstat(path)
	return os.IsNotExist(err)
}
