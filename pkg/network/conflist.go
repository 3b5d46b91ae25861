package network

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/containernetworking/cni/libcni"
)

// conflist is one network that a module can name.
type conflist struct {
	name string
	// builtin is edged's own, whose addresses and packet filter edged keeps.
	builtin bool
	// kind is the type of its first plugin.
	kind string
	// What its plugins take of a caller (the capabilities of the CNI conventions).
	takesIPs, takesMAC, publishes bool
	text                          []byte
}

// aliasesOf the default network: what Docker calls it, and Azure IoT Edge.
var defaultAliases = []string{"bridge", "default", "azure-iot-edge"}

// reservedNetworks mean something else in a NetworkMode.
func reservedNetwork(name string) bool {
	return name == "none" || name == "host" || slices.Contains(defaultAliases, name) || strings.Contains(name, ":")
}

// maxConflist bounds one file.
const maxConflist = 1 << 20

// parseConflist reads a list of plugins, or the older form of a single one. What
// addresses plugins keep is put into dataDir unless the file says where. The error is
// errdefs.InvalidArgument.
func parseConflist(text []byte, dataDir string) (*conflist, error) {
	fail := func(err error) (*conflist, error) { return nil, fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument) }
	var raw map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&raw); err != nil {
		return fail(err)
	}
	if _, many := raw["plugins"]; !many {
		single := map[string]any{"name": raw["name"], "cniVersion": raw["cniVersion"], "plugins": []any{raw}}
		if raw["cniVersion"] == nil {
			single["cniVersion"] = "0.2.0" // what a file without one means
		}
		raw = single
	}
	plugins, ok := raw["plugins"].([]any)
	if !ok || len(plugins) == 0 {
		return fail(errors.New("it has no plugins"))
	}
	c := &conflist{}
	for _, p := range plugins {
		plugin, ok := p.(map[string]any)
		if !ok {
			return fail(errors.New("a plugin is no object"))
		}
		kind, _ := plugin["type"].(string)
		if kind == "" || kind != filepath.Base(kind) || kind == "." || kind == ".." {
			return fail(fmt.Errorf("%q is not the type of a plugin", kind))
		}
		if c.kind == "" {
			c.kind = kind
		}
		if ipam, ok := plugin["ipam"].(map[string]any); ok && ipam["type"] == "host-local" && ipam["dataDir"] == nil {
			ipam["dataDir"] = dataDir
		}
		has := func(name string) bool {
			all, _ := plugin["capabilities"].(map[string]any)
			on, _ := all[name].(bool)
			return on
		}
		c.takesIPs, c.takesMAC = c.takesIPs || has("ips"), c.takesMAC || has("mac")
		c.publishes = c.publishes || has("portMappings")
	}
	text, err := json.Marshal(raw)
	if err != nil {
		return fail(err)
	}
	list, err := libcni.NetworkConfFromBytes(text)
	if err != nil {
		return fail(err)
	}
	if !networkName().MatchString(list.Name) || reservedNetwork(list.Name) {
		return fail(fmt.Errorf("%q cannot be the name of a network", list.Name))
	}
	c.name, c.text = list.Name, text
	return c, nil
}

// builtinConf is the default network: a bridge with addresses that edged gives. It
// is in version 0.4.0 of CNI, which the plugins of every supported distribution
// speak. Forwarding and translation are the packet filter's (rules.go).
func builtinConf(bridge string, mtu int, first, v6 bool) []byte {
	ipam := map[string]any{"type": "static"}
	if first {
		routes := []any{map[string]any{"dst": "0.0.0.0/0"}}
		if v6 {
			routes = append(routes, map[string]any{"dst": "::/0"})
		}
		ipam["routes"] = routes
	}
	plugin := map[string]any{
		"type": "bridge", "bridge": bridge, "isGateway": true, "forceAddress": true,
		// A module that calls its own published port comes back through the port it left by.
		"hairpinMode": true,
		"mtu":         mtu, "ipam": ipam, "capabilities": map[string]bool{"ips": true, "mac": true},
	}
	text, err := json.Marshal(map[string]any{"cniVersion": "0.4.0", "name": DefaultNetwork, "plugins": []any{plugin}})
	if err != nil {
		panic(fmt.Sprintf("cannot write conflist: %v", err)) // nothing in it can fail
	}
	return text
}

// conflists are the networks there are, by name.
type conflists map[string]*conflist

// loadConflists reads a folder of conflists. Files that are wrong are told, each in
// an error of its own, and left out: they take no other network with them.
func loadConflists(dir, dataDir string) (conflists, []error) {
	all := conflists{DefaultNetwork: {name: DefaultNetwork, builtin: true, kind: "bridge", takesIPs: true, takesMAC: true, publishes: true}}
	files, err := libcni.ConfFiles(dir, []string{".conf", ".conflist", ".json"})
	if err != nil {
		return all, []error{fmt.Errorf("cannot read folder of networks: %w", err)}
	}
	var errs []error
	given := map[string]string{}
	slices.Sort(files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		var c *conflist
		if err == nil && len(text) > maxConflist {
			err = fmt.Errorf("it is longer than %d bytes", maxConflist)
		}
		if err == nil {
			c, err = parseConflist(text, dataDir)
		}
		if err == nil && given[c.name] != "" {
			err = fmt.Errorf("network %q is in %s already", c.name, given[c.name])
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot use network of %s: %w", file, err))
			continue
		}
		all[c.name], given[c.name] = c, file
	}
	return all, errs
}

// known lists the names that a NetworkMode may have, for people.
func (c conflists) known() string {
	var names []string
	for name := range c {
		if name == DefaultNetwork {
			name += " (also " + strings.Join(defaultAliases, ", ") + ")"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(append(names, "none", "host", "container:<module>"), ", ")
}

// prefix gives an address the length of its network.
func prefix(a netip.Addr, subnet netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(a, subnet.Bits())
}
