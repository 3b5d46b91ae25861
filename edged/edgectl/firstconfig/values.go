package firstconfig

import (
	"fmt"
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
}

// Text is the configuration, as config.Load reads it.
func (v *Values) Text() string {
	var b strings.Builder
	b.WriteString("# Configuration of edged, written by \"edgectl init\". What is not here has its default;\n# edged --check-config checks it, edgectl check the device with it.\n\nversion = 1\n")
	table := ""
	for _, one := range []struct{ table, key, value string }{
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
	} {
		if one.value == "" {
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

// quote writes a TOML string, which is not quite Go's.
func quote(s string) string {
	b, err := toml.Marshal(map[string]string{"x": s})
	if err != nil {
		return `""` // a string can always be written
	}
	return strings.TrimSpace(strings.TrimPrefix(string(b), "x = "))
}
