package firstconfig

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Values are what a first configuration says; empty ones are left to their defaults.
type Values struct {
	Hostname, DeviceID, Hub, Gateway string
	TrustBundle, CACert, CAKey       string
	KeystoreURI                      string
	AgentImage, AgentPull            string
	Containerd                       string
	// CNIBinDirs are the folders of network plugins, where the distribution has its own.
	CNIBinDirs []string
}

// Text is the configuration, as config.Load reads it.
func (v *Values) Text() string {
	var b strings.Builder
	b.WriteString("# Configuration of edged, written by \"edgectl init\". What is not here has its default;\n# edged --check-config checks it, edgectl check the device with it.\n\nversion = 1\n")
	table := ""
	for _, one := range []struct {
		table, key string
		value      any
	}{
		{"", "hostname", v.Hostname},
		{"device", "id", v.DeviceID},
		{"device", "hub", v.Hub},
		{"device", "gateway", v.Gateway},
		{"device", "trust_bundle", v.TrustBundle},
		{"device", "ca_cert", v.CACert},
		{"device", "ca_key", v.CAKey},
		{"containerd", "address", v.Containerd},
		{"agent", "image", v.AgentImage},
		{"agent", "image_pull_policy", v.AgentPull},
		{"keystore", "uri", v.KeystoreURI},
		{"network", "cni_bin_dirs", v.CNIBinDirs},
	} {
		if reflect.ValueOf(one.value).IsZero() {
			continue
		}
		if one.table != table {
			table = one.table
			fmt.Fprintf(&b, "\n[%s]\n", table)
		}
		fmt.Fprintf(&b, "%s = %s\n", one.key, quote(one.value))
	}
	return b.String()
}

// quote writes a value in TOML, whose strings are not quite Go's.
func quote(value any) string {
	b, err := toml.Marshal(map[string]any{"x": value})
	if err != nil {
		return `""` // strings can always be written
	}
	return strings.TrimSpace(strings.TrimPrefix(string(b), "x = "))
}
