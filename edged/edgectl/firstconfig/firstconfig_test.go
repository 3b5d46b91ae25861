package firstconfig

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/config"
)

const ofIoTEdge = `
hostname = "gateway-7"
trust_bundle_cert = "file:///var/aziot/root.pem"
parent_hostname = "upper"
allow_elevated_docker_permissions = false
[provisioning]
source = "manual"
connection_string = "HostName=hub.example;DeviceId=dev-7;SharedAccessKey=c2VjcmV0"
[agent]
name = "edgeAgent"
[agent.config]
image = "registry.example/agent:1.4"
[edge_ca]
cert = "file:///var/aziot/ca.pem"
pk = "file:///var/aziot/ca.key"
auto_renew = { rotate_key = true }
[moby_runtime]
uri = "unix:///var/run/docker.sock"
`

func TestWhatEdgedHasTooIsTakenFromIoTEdge(t *testing.T) {
	v, notes, err := FromIoTEdge([]byte(ofIoTEdge))
	require.NoError(t, err)
	require.Equal(t, Values{
		Hostname: "gateway-7", DeviceID: "dev-7", Hub: "hub.example", TrustBundle: "/var/aziot/root.pem", CACert: "/var/aziot/ca.pem", CAKey: "/var/aziot/ca.key",
	}, v)
	var keys []string
	for _, n := range notes {
		require.NotContains(t, n, "c2VjcmV0")
		keys = append(keys, n[:min(len(n), 12)])
	}
	require.Equal(t, []string{"agent: not t", "allow_elevat", "edge_ca.auto", "moby_runtime", "parent_hostn", "provisioning"}, keys)

	v, notes, err = FromIoTEdge([]byte("[provisioning]\nsource=\"manual\"\niothub_hostname=\"h\"\ndevice_id=\"d\"\n[edge_ca]\ncert=\"https://x\"\npk=\"pkcs11:x\"\n"))
	require.NoError(t, err)
	require.Equal(t, Values{Hub: "h", DeviceID: "d"}, v)
	require.Len(t, notes, 2)
	_, _, err = FromIoTEdge([]byte("a = ["))
	require.True(t, errdefs.IsInvalidArgument(err))
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	v := Values{Hostname: "gateway-7", DeviceID: "dev'7", Hub: "hub.example", Gateway: "g", AgentImage: "registry.example/a:1", AgentPull: "on-create", Containerd: "/run/c.sock"}
	file := filepath.Join(t.TempDir(), "config.toml")
	require.NoError(t, os.WriteFile(file, []byte(v.Text()), 0o600))
	c, err := config.Load(file)
	require.NoError(t, err)
	require.Equal(t, "dev'7", c.Device.ID)
	require.Equal(t, "gateway-7", c.Hostname)
	require.Equal(t, "/run/c.sock", c.Containerd.Address)
	require.Equal(t, `"a\"b\\\n"`, quote("a\"b\\\n"))
}

func FuzzFromIoTEdge(f *testing.F) {
	f.Add([]byte(ofIoTEdge))
	f.Fuzz(func(t *testing.T, text []byte) {
		v, _, err := FromIoTEdge(text)
		if err == nil {
			_ = v.Text()
		}
	})
}
