package engine

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

// networkEffects are of modules' networks, names, volumes and health: what edged itself keeps for them.
var networkEffects = []effect{
	{"named", `{"HostConfig":{"Dns":["192.0.2.53","2001:db8::53"],"DnsOptions":["ndots:2","rotate"],"DnsSearch":["plant.example"],"ExtraHosts":["plc:192.0.2.10","gateway=host-gateway"]}}`, map[string]show{
		"HostConfig.Dns": {"grep nameserver /etc/resolv.conf", `^nameserver 192\.0\.2\.53\nnameserver 2001:db8::53$`}, "HostConfig.DnsOptions": {"grep options /etc/resolv.conf", `^options ndots:2 rotate$`},
		"HostConfig.DnsSearch":  {"grep search /etc/resolv.conf", `^search plant.example$`},
		"HostConfig.ExtraHosts": {"grep -E 'plc|gateway' /etc/hosts", `^192\.0\.2\.10\tplc\n172\.30\.0\.1\tgateway$`},
	}},
	{"placed", `{"NetworkingConfig":{"EndpointsConfig":{"bridge":{"IPAMConfig":{"IPv4Address":"172.30.7.7"},"MacAddress":"02:42:ac:1e:07:07","Aliases":["broker"]}}}}`, map[string]show{
		"NetworkingConfig.EndpointsConfig": {"cat /sys/class/net/eth0/address; ip -4 addr show dev eth0; grep broker /etc/hosts", `^02:42:ac:1e:07:07\n(?s:.*)inet 172\.30\.7\.7/16(?s:.*)\n172\.30\.7\.7\t.* broker$`},
	}},
	{"keeper", `{"Volumes":{"/kept":{}}}`, map[string]show{
		"Volumes": {"cut -d' ' -f2 /proc/mounts | grep kept; touch /kept/x && echo written", `^/kept\nwritten$`},
	}},
	{"checked", `{"Healthcheck":{"Test":["CMD","/bin/busybox","touch","/tmp/checked"],"Interval":50000000}}`, map[string]show{
		"Healthcheck": {"until test -f /tmp/checked; do busybox sleep 0.05; done; echo it was", `^it was$`},
	}},
	{"shelled", `{"Healthcheck":{"Test":["CMD-SHELL","echo checked by $SHELL_IS >/tmp/checked"],"Interval":50000000},"Shell":["/bin/busybox","env","SHELL_IS=its-own","/bin/sh","-c"]}`, map[string]show{
		"Shell": {"until test -s /tmp/checked; do busybox sleep 0.05; done; cat /tmp/checked", `^checked by its-own$`},
	}},
}

// published are the options whose effect is what the module's own socket answers to whoever dials the host.
var published = map[string]func(t *testing.T, d *device.Device){
	"HostConfig.PortBindings": func(t *testing.T, d *device.Device) {
		startScript(d, "bound", `{"HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"192.0.2.2","HostPort":"8080"}]}}}`, "echo ready; exec /bin/probe serve 80 bound")
		answers(t, d, device.HostAddress+":8080", "bound ")
		_, err := d.Dial(t.Context(), "tcp", "127.0.0.1:8080")
		require.Error(t, err, "it is bound to one address")
	},
	"HostConfig.PublishAllPorts": func(t *testing.T, d *device.Device) {
		startScript(d, "open", `{"ExposedPorts":{"81/tcp":{}},"HostConfig":{"PublishAllPorts":true}}`, "echo ready; exec /bin/probe serve 81 open")
		answers(t, d, fmt.Sprintf("%s:%d", device.HostAddress, hostPort(t, d, "open")), "open ")
	},
}

// answers waits until the module behind an address says what it should.
func answers(t *testing.T, d *device.Device, address, want string) {
	d.Eventually(address+" answers", func() bool {
		c, err := d.Dial(t.Context(), "tcp", address)
		if err != nil {
			return false
		}
		defer c.Close()
		text, err := io.ReadAll(c)
		return err == nil && len(text) >= len(want) && string(text[:len(want)]) == want
	})
}

// hostPort is the only port that a module has on the host.
func hostPort(t *testing.T, d *device.Device, module string) int {
	a := d.Host(http.MethodGet, "/networks?"+device.Version, "")
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	var list wire.NetworkList
	require.NoError(t, json.Unmarshal([]byte(a.Body), &list))
	for _, n := range list.Networks {
		for _, m := range n.Modules {
			if m.Name == module {
				require.Len(t, m.Ports, 1)
				return m.Ports[0].HostPort
			}
		}
	}
	require.FailNow(t, module+" is on no network")
	return 0
}
