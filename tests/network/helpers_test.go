package network

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

// dialFrom lets a module connect and returns what it is told.
func dialFrom(t *testing.T, d *device.Device, module, network, address string) string {
	t.Helper()
	body, err := json.Marshal([]string{"dial", network, address})
	require.NoError(t, err)
	status, text := d.Probe(module).Do(http.MethodPost, "/exec", string(body))
	require.Equal(t, http.StatusOK, status, text)
	var said struct{ Output, Error string }
	require.NoError(t, json.Unmarshal([]byte(text), &said))
	return said.Output
}

// serve lets a module answer on a port with its name.
func serve(t *testing.T, d *device.Device, module, network, port string) {
	t.Helper()
	status, text := d.Probe(module).Do(http.MethodPost, "/serve?network="+network+"&port="+port+"&text="+module, "")
	require.Equal(t, http.StatusOK, status, text)
}

// dialHost connects from the device's own network.
func dialHost(t *testing.T, d *device.Device, network, address string) string {
	t.Helper()
	c, err := d.Dial(t.Context(), network, address)
	return told(c, err, network)
}

func told(c net.Conn, err error, network string) string {
	if err != nil {
		return "error: " + err.Error()
	}
	defer c.Close()
	if network == "udp" {
		_, _ = c.Write([]byte("?"))
		b := make([]byte, 256)
		n, _ := c.Read(b)
		return string(b[:n])
	}
	b, err := io.ReadAll(c)
	if err != nil {
		return "error: " + err.Error()
	}
	return string(b)
}

func fileInside(d *device.Device, name, path string) string {
	_, body := d.Probe(name).Do(http.MethodGet, "/file?path="+url.QueryEscape(path), "")
	return body
}

// networks asks edged for its networks.
func networks(t *testing.T, d *device.Device) map[string]wire.Network {
	t.Helper()
	a := d.Host(http.MethodGet, "/networks?"+device.Version, "")
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	var list wire.NetworkList
	require.NoError(t, json.Unmarshal([]byte(a.Body), &list))
	all := map[string]wire.Network{}
	for _, n := range list.Networks {
		all[n.Name] = n
	}
	return all
}

// onNetwork is a module's place on a network.
func onNetwork(t *testing.T, d *device.Device, network, module string) wire.NetworkModule {
	t.Helper()
	for _, m := range networks(t, d)[network].Modules {
		if m.Name == module {
			return m
		}
	}
	require.FailNow(t, "module "+module+" is not on network "+network)
	return wire.NetworkModule{}
}

func address(t *testing.T, d *device.Device, module string) string {
	t.Helper()
	return onNetwork(t, d, "edged", module).Addresses[0]
}

// traces is everything of networks that a device has: what is left of it when the
// modules are gone is a leak.
type traces struct {
	Namespaces, States, Caches []string
	Veths                      []string
	Rules                      []string
}

func tracesOf(t *testing.T, d *device.Device) traces {
	t.Helper()
	list := func(folder string) []string {
		return strings.Fields(d.InHost("sh", "-c", "cd "+d.Run+"/"+folder+" 2>/dev/null && find . -type f ! -name 'last_reserved_ip*' ! -name lock || true"))
	}
	return traces{
		Namespaces: list("netns"), States: list("network"), Caches: list("cni"),
		Veths: strings.Fields(d.InHost("sh", "-c", "ip -o link show master "+d.Bridge()+" 2>/dev/null | cut -d: -f2 | sort || true")),
		Rules: strings.Split(strings.TrimSpace(d.InHost("sh", "-c", "iptables-save | grep '^-A' || true")), "\n"),
	}
}

func contains(text, part string) bool { return strings.Contains(text, part) }

func port(p wire.NetworkPort) string { return strconv.Itoa(p.HostPort) }
