package keystore

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

func keystoreAt(uri string) string { return fmt.Sprintf("[keystore]\nuri = %q\n", uri) }

// deviceCA asks a device for its CA, as the host's root.
func deviceCA(t *testing.T, d *device.Device, method, action string) wire.DeviceCA {
	t.Helper()
	a := d.Host(method, "/device/ca"+action+"?"+device.Version, "")
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	var ca wire.DeviceCA
	require.NoError(t, json.Unmarshal([]byte(a.Body), &ca))
	return ca
}

// refuses starts edged, which has to end by itself, and returns its last words.
func refuses(t *testing.T, d *device.Device, args ...string) string {
	t.Helper()
	out, err := edged(t, d, args...)
	require.Error(t, err, "edged must not start")
	return out
}

func edged(t *testing.T, d *device.Device, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program("edged"), append([]string{"--config", filepath.Join(d.Root, "config.toml")}, args...)...).CombinedOutput()
	require.NoError(t, ctx.Err(), "edged runs on")
	return string(out), err
}

func keyFiles(t *testing.T, d *device.Device) (names []string) {
	entries, _ := os.ReadDir(filepath.Join(d.Home, "keys")) // a token needs no folder
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// places are the three, each with what has to be for a device whose keys are lost.
var places = map[string]func(t *testing.T) (uri string, lose func(d *device.Device) (restore func()), want string){
	"files": func(t *testing.T) (string, func(*device.Device) func(), string) {
		return "", func(d *device.Device) func() {
			master := filepath.Join(d.Home, "keys", "master")
			require.NoError(t, os.Rename(master, master+".lost"))
			return func() { require.NoError(t, os.Rename(master+".lost", master)) }
		}, "keys/master is not there, and this device had one"
	},
	"TPM": func(t *testing.T) (string, func(*device.Device) func(), string) {
		tpm, other := newTPM(t), newTPM(t)
		return tpm.uri(), func(*device.Device) func() {
			kept := tpm.socket + ".kept"
			require.NoError(t, os.Rename(tpm.socket, kept))
			require.NoError(t, os.Symlink(other.socket, tpm.socket))
			return func() {
				require.NoError(t, os.Remove(tpm.socket))
				require.NoError(t, os.Rename(kept, tpm.socket))
			}
		}, "the keys were made in another TPM"
	},
	"token": func(t *testing.T) (string, func(*device.Device) func(), string) {
		token := newToken(t)
		other := newToken(t)
		token.use()
		return token.uri(), func(*device.Device) func() {
			other.use()
			return token.use
		}, "is not there, and this device had one"
	},
}

func TestADeviceKeepsItsKeysOrSaysThatTheyAreLost(t *testing.T) {
	for name, place := range places {
		t.Run(name, func(t *testing.T) {
			uri, lose, want := place(t)
			d := device.New(t, device.Options{Config: keystoreAt(uri)})
			spec := d.CommandSpec("sealed", "sleep")
			spec.Config.Settings.Auth = &wire.Auth{Username: "u", Password: "correct-horse", ServerAddress: "r.example"}
			d.CreateAndStart(spec)
			ca := deviceCA(t, d, "GET", "")
			require.Equal(t, "device", ca.Source)
			require.Len(t, ca.Trust, 1)
			for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
				d.Edged.Signal(sig)
				d.StartEdged()
				require.Equal(t, ca, deviceCA(t, d, "GET", ""))
				m, _ := d.Get("sealed")
				require.Equal(t, "running", m.Status.RuntimeStatus.Status)
			}
			renewed := deviceCA(t, d, "POST", "/renew")
			require.NotEqual(t, ca.SHA256, renewed.SHA256)
			require.Len(t, renewed.Trust, 2)
			require.Equal(t, ca.SHA256, renewed.Trust[1].SHA256)
			m, _ := d.Get("sealed")
			require.Nil(t, m.Status.ExitStatus, "no module was restarted")

			d.Edged.Signal(syscall.SIGTERM)
			files := keyFiles(t, d)
			restore := lose(d)
			said := refuses(t, d)
			require.Contains(t, said, want)
			require.Contains(t, said, "edged --new-keys")
			restore()
			require.Equal(t, files, keyFiles(t, d), "nothing was made")
			d.StartEdged()
			require.Equal(t, renewed, deviceCA(t, d, "GET", ""))
			require.NotContains(t, d.EdgedLog(), "correct-horse")
		})
	}
}

func TestARootKeyMayBeACredentialOfTheServiceManager(t *testing.T) {
	credentials := t.TempDir()
	credential := filepath.Join(credentials, "master")
	require.NoError(t, os.WriteFile(credential, bytes.Repeat([]byte{7}, 32), 0o400))
	d := device.New(t, device.Options{NoAgent: true, Env: []string{"CREDENTIALS_DIRECTORY=" + credentials}})
	ca := deviceCA(t, d, "GET", "")
	require.Equal(t, []string{"device-ca"}, keyFiles(t, d))
	d.Edged.Signal(syscall.SIGTERM)
	require.Contains(t, refuses(t, d), "keys/master is not there", "without the credential")
	d.StartEdged()
	require.Equal(t, ca, deviceCA(t, d, "GET", ""))
}

func TestADeviceWhoseKeysAreLostBeginsAnew(t *testing.T) {
	d := device.New(t, device.Options{})
	spec := d.CommandSpec("sealed", "sleep")
	spec.Config.Settings.Auth = &wire.Auth{Username: "u", Password: "correct-horse", ServerAddress: "r.example"}
	d.CreateAndStart(spec)
	ca := deviceCA(t, d, "GET", "")
	require.Contains(t, refuses(t, d, "--new-keys"), "another edged uses")
	d.Edged.Signal(syscall.SIGTERM)
	require.NoError(t, os.WriteFile(filepath.Join(d.Home, "keys", "master"), []byte("broken"), 0o600))
	require.Contains(t, refuses(t, d), "has 6 bytes")
	out, err := edged(t, d, "--new-keys")
	require.NoError(t, err, out)
	require.Contains(t, out, "the old key files are in "+filepath.Join(d.Home, "keys.given-up-"))
	require.Contains(t, out, "1 registry passwords are forgotten")
	d.StartEdged()
	anew := deviceCA(t, d, "GET", "")
	require.NotEqual(t, ca.SHA256, anew.SHA256)
	require.Len(t, anew.Trust, 1, "what the lost key signed is trusted no more")
	m, _ := d.Get("sealed")
	require.Equal(t, "running", m.Status.RuntimeStatus.Status)
	require.Nil(t, m.Status.ExitStatus)
}

// helperOf is the process of edged-pkcs11 that edged started.
func helperOf(t *testing.T, pid int) int {
	t.Helper()
	found := 0
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		b, _ := os.ReadFile(task)
		for _, child := range strings.Fields(string(b)) {
			comm, _ := os.ReadFile("/proc/" + child + "/comm")
			if strings.TrimSpace(string(comm)) == "edged-pkcs11" {
				found, _ = strconv.Atoi(child)
			}
		}
	}
	require.NotZero(t, found, "edged-pkcs11 runs")
	return found
}

func TestADeadOrHungHelperHoldsUpNothingElse(t *testing.T) {
	token := newToken(t)
	d := device.New(t, device.Options{Config: keystoreAt(token.uri()), NoAgent: true})
	first := helperOf(t, d.Edged.PID())
	require.NoError(t, syscall.Kill(first, syscall.SIGKILL))
	deviceCA(t, d, "POST", "/renew")
	second := helperOf(t, d.Edged.PID())
	require.NotEqual(t, first, second)

	require.NoError(t, syscall.Kill(second, syscall.SIGSTOP))
	renewed := make(chan int)
	go func() {
		res, err := device.UnixClient(d.Management()).Post("http://x/device/ca/renew?"+device.Version, "", nil)
		if err != nil {
			renewed <- 0
			return
		}
		_ = res.Body.Close()
		renewed <- res.StatusCode
	}()
	for range 20 {
		require.Equal(t, http.StatusOK, d.Host("GET", "/modules?"+device.Version, "").Status)
		require.Equal(t, http.StatusOK, d.Host("GET", "/device/ca?"+device.Version, "").Status)
	}
	require.NoError(t, syscall.Kill(second, syscall.SIGCONT))
	require.Equal(t, http.StatusOK, <-renewed)

	for _, pid := range []int{d.Edged.PID(), second} {
		for _, file := range []string{"cmdline", "environ"} {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
			require.NoError(t, err)
			require.NotContains(t, string(b), pin)
		}
	}
	require.NotContains(t, d.EdgedLog(), pin)
	d.Edged.Signal(syscall.SIGKILL)
	d.Eventually("the helper ends with edged", func() bool { return syscall.Kill(second, 0) != nil })
	d.StartEdged()
}

func TestTrustIsReloaded(t *testing.T) {
	bundle := filepath.Join(t.TempDir(), "trust.pem")
	other := device.New(t, device.Options{NoAgent: true})
	more := deviceCA(t, other, "GET", "")
	require.NoError(t, os.WriteFile(bundle, []byte(more.Certificate), 0o644))
	d := device.New(t, device.Options{NoAgent: true, Config: fmt.Sprintf("[device]\nid = \"gw-7\"\ntrust_bundle = %q\n", bundle)})
	ca := deviceCA(t, d, "GET", "")
	require.Equal(t, "CN=edged CA gw-7", ca.Subject)
	require.Equal(t, more.SHA256, ca.Trust[1].SHA256)

	require.NoError(t, os.WriteFile(bundle, []byte("-----BEGIN nonsense"), 0o644))
	hup(d)
	d.Eventually("it is said", func() bool { return strings.Contains(d.EdgedLog(), "cannot reload trust") })
	require.Len(t, deviceCA(t, d, "GET", "").Trust, 2)
	require.NoError(t, os.WriteFile(bundle, []byte(deviceCA(t, other, "POST", "/renew").Certificate+more.Certificate), 0o644))
	hup(d)
	d.Eventually("it is trusted", func() bool { return len(deviceCA(t, d, "GET", "").Trust) == 3 })
}

func hup(d *device.Device) { _ = syscall.Kill(d.Edged.PID(), syscall.SIGHUP) }

func TestEdgectlShowsAndRenewsTheCA(t *testing.T) {
	d := device.New(t, device.Options{NoAgent: true})
	edgectl := func(args ...string) string {
		t.Helper()
		var errs bytes.Buffer
		cmd := exec.Command(program("edgectl"), append([]string{"--host", d.Management(), "ca"}, args...)...)
		cmd.Stderr = &errs
		out, err := cmd.Output()
		require.NoError(t, err, errs.String())
		return string(out)
	}
	ca := deviceCA(t, d, "GET", "")
	require.Contains(t, edgectl("show"), "source       made by the device\n")
	require.Contains(t, edgectl("show"), "sha256       "+ca.SHA256+"\n")
	require.Equal(t, ca.Certificate, edgectl("show", "--format", "pem"))
	var shown wire.DeviceCA
	require.NoError(t, json.Unmarshal([]byte(edgectl("renew", "--format", "json")), &shown))
	require.NotEqual(t, ca.SHA256, shown.SHA256)
	require.Equal(t, shown, deviceCA(t, d, "GET", ""))
	d.Eventually("it is audited", func() bool { return strings.Contains(d.EdgedLog(), `"route":"/device/ca/renew"`) })
}
