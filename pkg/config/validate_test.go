package config

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestValuesThatCannotBeMeantAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`hostname = "a b"`:           "hostname: ",
		`hostname = "a..b"`:          "hostname: ",
		`home = "var"`:               "home: ",
		`home = ""`:                  "home: ",
		`home = "/"`:                 "home: the root",
		`run = "/var/lib/edged/run"`: "must not lie in one another",
		`run = "/var"`:               "must not lie in one another",
		"[listen]\nmanagement = 'tcp://0.0.0.0:1'":                           "listen.management: ",
		"[listen]\nmanagement = 'unix://run/x'":                              "listen.management: ",
		"[listen]\nmanagement = 'fd://'":                                     "listen.management: ",
		"[listen]\nmanagement = 'fd://edged.workload.socket'":                "systemd passes this socket as fd://edged.mgmt.socket",
		"[listen]\nmanagement = '/a'\nworkload = 'unix:///a'":                "listen.workload: the management socket is there",
		"[device]\nid = 'a/b'":                                               "device.id: ",
		"[device]\nhub = 'https://x'":                                        "device.hub: ",
		"[device]\ngateway = '-x'":                                           "device.gateway: ",
		"[device]\ntrust_bundle = 'x.pem'":                                   "device.trust_bundle: ",
		"[limits]\njson_body = 0":                                            "limits.json_body: 0B is not from 1KiB to 1GiB",
		"[limits]\njson_body = -1":                                           "limits.json_body: ",
		"[limits]\nmodulemd = '1MiB'":                                        "limits.modulemd: 1MiB is not from 4MiB to 1GiB",
		"[limits]\nheaders = '2MiB'":                                         "limits.headers: ",
		"[limits]\nbody_rate = 0":                                            "limits.body_rate: ",
		"[limits]\nidle_timeout = '-1s'":                                     "limits.idle_timeout: ",
		"[limits]\nheader_timeout = '0s'":                                    "limits.header_timeout: ",
		"[limits]\nconnections = 0":                                          "limits.connections: ",
		"[limits]\nconnections_caller = 1025":                                "limits.connections_caller: ",
		"[limits]\nconnections_root = 1024":                                  "limits.connections_root: ",
		"[containerd]\naddress = 'fd://x'":                                   "containerd.address: ",
		"[containerd]\nnamespace = 'a/b'":                                    "containerd.namespace: ",
		"[containerd]\nnamespace = 'moby'":                                   "belongs to other programs",
		"[containerd]\nsnapshotter = 'a b'":                                  "containerd.snapshotter: ",
		"[containerd]\npreload = ['x']":                                      "containerd.preload[0]: ",
		"[network]\nsubnet = ''":                                             "network.subnet: want an IPv4",
		"[network]\nsubnet = '172.30.0.1/16'":                                "has host bits: 172.30.0.0/16",
		"[network]\nsubnet = '172.30.0.0/30'":                                "network.subnet: /30",
		"[network]\nsubnet = '127.0.0.0/8'":                                  "is not for hosts",
		"[network]\nsubnet = 'fd00::/64'":                                    "network.subnet: want an IPv4",
		"[network]\nsubnet6 = '10.0.0.0/8'":                                  "network.subnet6: want an IPv6",
		"[network]\nbridge = 'a-name-too-long-for-it'":                       "network.bridge: ",
		"[network]\nbridge = '../x'":                                         "network.bridge: ",
		"[network]\ncni_bin_dirs = []":                                       "network.cni_bin_dirs: ",
		"[network]\ncni_conf_dir = 'x'":                                      "network.cni_conf_dir: ",
		"[images]\nkeep = '-1h'":                                             "images.keep: ",
		"[images]\ndisk_high = 0":                                            "images.disk_high: ",
		"[agent]\nmax_retries = -1":                                          "agent.max_retries: want 0",
		"[agent]\nimage = 'A B'":                                             "agent.image: ",
		"[agent]\nimage_pull_policy = 'always'":                              "agent.image_pull_policy: \"always\" is none of never, on-create",
		"[agent]\ncreate_options = '[]'":                                     "agent.create_options: ",
		"[agent]\ncreate_options = ''":                                       "agent.create_options: ",
		"[agent]\ncreate_options = 'null'":                                   "agent.create_options: ",
		"[agent]\ncreate_options = '{} {}'":                                  "agent.create_options: ",
		"[agent]\nenv = { 'A=B' = 'x' }":                                     "agent.env.A=B: ",
		"[management]\nlog_framing = 'raw'":                                  "management.log_framing: ",
		"[[grant]]\npermissions = ['catalog_write']":                         "it grants to nobody",
		"[[grant]]\nserver_names = ['x']\nusers = ['0']":                     "only modules have server certificates",
		"[[grant]]\nserver_names = ['x y']\nmodules = ['m']":                 "grant[1].server_names[0]: ",
		"[[grant]]\npermissions = ['catalog_write']\nmodules = ['$']":        "grant[1].modules[0]: ",
		"[[grant]]\npermissions = ['catalog_write']\nmodules = ['a/b']":      "grant[1].modules[0]: ",
		"[[grant]]\npermissions = ['catalog_write']\ngroups = ['']":          "grant[1].groups[0]: ",
		"[[grant]]\npermissions = ['catalog_write']\nusers = ['4294967295']": "grant[1].users[0]: ",
		"[keystore]\nuri = '/keys'":                                          "keystore.uri: ",
		"[keystore]\nuri = 'file://keys'":                                    "keystore.uri: ",
		"[keystore]\nuri = 'tpm2:tpm0'":                                      "keystore.uri: ",
		"[keystore]\nuri = 'tpm2:?handle=0x81000001'":                        "keystore.uri: a handle names one key",
		"[keystore]\nuri = 'pkcs11:token=t'":                                 "keystore.uri: want ?module-path=",
		"[keystore]\nuri = 'pkcs11:token=t;id=%01?module-path=/m'":           "keystore.uri: an id names one key",
		"[device]\nkey_type = 'rsa'":                                         "device.key_type: ",
		"[device]\nca_cert = '/a'":                                           "device.ca_cert: set ca_key",
		"[device]\nca_key = '/a'":                                            "device.ca_key: set ca_cert",
		"[device]\nca_cert = 'a'\nca_key = '/a'":                             "device.ca_cert: ",
		"[device]\nca_cert = '/a'\nca_key = 'a'":                             "device.ca_key: ",
		"[device]\nca_cert = '/a'\nca_key = 'tpm2:'":                         "device.ca_key: want ?handle=",
		"[device]\nca_cert = '/a'\nca_key = 'pkcs11:token=t?module-path=/m'": "device.ca_key: want object or id",
		"[bundles]\nhost_image = ':'":                                        "bundles.host_image: ",
		"[bundles]\ncreate_options = '[]'":                                   "bundles.create_options: ",
		"[bundles]\nstart_timeout = '1h'":                                    "bundles.start_timeout: ",
		"[bundles]\nheap = '1MiB'":                                           "bundles.heap: ",
		"[bundles]\njahia_version = 'x'":                                     "bundles.jahia_version: ",
		"[bundles]\nnode = 'a/b'":                                            "bundles.node: ",
		"[bundles]\ngroups = ['*']":                                          "bundles.groups[0]: ",
		"[uploads]\nmax_size = 0":                                            "uploads.max_size: ",
		"[uploads]\nfree_floor = -1":                                         "uploads.free_floor: ",
		"[uploads]\nredis_version = 'seven'":                                 "uploads.redis_version: ",
		"[uploads]\nredis_image = 'x y'":                                     "uploads.redis_image: ",
		"[uploads]\ncapabilities = ['']":                                     "uploads.capabilities[0]: ",
		"[uploads]\ndependency_hosts = ['https://x']":                        "uploads.dependency_hosts[0]: ",
		"[metrics]\nlisten = '9108'":                                         "metrics.listen: ",
		"[metrics]\nlisten = '127.0.0.1:0'":                                  "metrics.listen: ",
		"[metrics]\nlisten = '127.0.0.1:99999'":                              "metrics.listen: ",
		"[metrics]\nlisten = '0.0.0.0:9108'":                                 "metrics.listen: 0.0.0.0 is not an address of the loopback interface",
		"[metrics]\nlisten = ':9108'":                                        "metrics.listen: ",
		"[metrics]\nlisten = 'localhost:9108'":                               "metrics.listen: ",
		"[metrics]\nlisten = '[::]:9108'":                                    "metrics.listen: :: is not",
		"[metrics]\nlisten = '192.168.1.1:9108'":                             "metrics.listen: 192.168.1.1 is not",
		"[metrics]\ntextfile = 'edged.prom'":                                 "metrics.textfile: ",
		"[metrics]\ntextfile = '/var/lib/edged.txt'":                         "metrics.textfile: ",
		"[metrics]\ninterval = '10ms'":                                       "metrics.interval: ",
		"[uploads]\ndependency_hosts = [':80']":                              "uploads.dependency_hosts[0]: ",
	} {
		t.Run(strings.ReplaceAll(text, "\n", " "), func(t *testing.T) {
			_, err := loadText(t, text)
			require.ErrorContains(t, err, want)
			require.Contains(t, err.Error(), "edged.toml:")
		})
	}
}

func TestValuesThatAreMeantAreTakenInOneForm(t *testing.T) {
	c, err := loadText(t, `
run = "/run/edged-2/"
[listen]
management = "/run/edged/../edged/mgmt.sock"
workload = "unix:///run/edged/workload.sock"
[device]
id = "dev:1"
hub = "hub.example.test"
trust_bundle = "file:///etc/edged/trust.pem"
[containerd]
address = "unix:///run/c.sock"
[network]
subnet6 = "fd00:ed9e::/64"
[agent]
image_pull_policy = "On-Create"
create_options = '{"HostConfig": {}}'
[keystore]
uri = "pkcs11:token=edge?module-path=/usr/lib/t.so"
[uploads]
max_size = 10
redis_version = "7.2"
dependency_hosts = ["example.test", "example.test:8443", "[fd00::1]:80"]
[metrics]
listen = "[::1]:9108"
`)
	require.NoError(t, err)
	require.Equal(t, "/run/edged-2", c.Run)
	require.Equal(t, "unix:///run/edged/mgmt.sock", c.Listen.Management)
	require.Equal(t, "unix:///run/edged/workload.sock", c.Listen.Workload)
	require.Equal(t, "/etc/edged/trust.pem", c.Device.TrustBundle)
	require.Equal(t, "/run/c.sock", c.Containerd.Address)
	require.Equal(t, "on-create", c.Agent.ImagePullPolicy)
	require.Equal(t, "pkcs11:token=edge?module-path=/usr/lib/t.so", c.Keystore.URI)
	require.Equal(t, Size(10), c.Uploads.MaxSize)
}

func TestSizeReadsWhatItWrites(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "17": 17, "17B": 17, "64KiB": 64 << 10, "1 MiB": 1 << 20, "2GiB": 2 << 30, "3TiB": 3 << 40, "1025KiB": 1025 << 10,
	} {
		var s, again Size
		require.NoError(t, s.UnmarshalText([]byte(text)), text)
		require.Equal(t, want, s, text)
		require.NoError(t, again.UnmarshalText([]byte(s.String())), text)
		require.Equal(t, s, again, text)
	}
	for _, text := range []string{"", "-1", "1.5GiB", "2GB", "2g", "KiB", "9223372036854775808", "8388608TiB", "1KiBKiB", "0x10"} {
		var s Size
		require.Error(t, s.UnmarshalText([]byte(text)), text)
	}
}

func TestDurationReadsWhatItWrites(t *testing.T) {
	d, again := Duration{90 * time.Minute}, Duration{}
	text, err := d.MarshalText()
	require.NoError(t, err)
	require.NoError(t, again.UnmarshalText(text))
	require.Equal(t, d, again)
	require.Error(t, again.UnmarshalText([]byte("5")))
}
