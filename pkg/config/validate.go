package config

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/keystore/uri"
	"github.com/edged/edged/pkg/listen"
	"github.com/edged/edged/pkg/module"
)

// validator fills in what depends on the device, brings values to one form, and
// collects the faults of all sections, so that a person mends them in one go.
type validator struct {
	config *Config
	places map[string]place
	faults []error
}

func (v *validator) fault(key, format string, args ...any) {
	// A fault of grant[0].users[1] or agent.env.X stands where the nearest key
	// around it was set.
	p, ok := v.places[key]
	for at := key; !ok && at != ""; p, ok = v.places[at] {
		at = at[:max(strings.LastIndexAny(at, ".["), 0)]
	}
	v.faults = append(v.faults, &Error{File: p.file, Line: p.line, Column: p.column, Key: key, Message: fmt.Sprintf(format, args...)})
}

// must adds a fault when err is one.
func (v *validator) must(key string, err error) {
	if err != nil {
		v.fault(key, "%v", err)
	}
}

// each holds every value of a list to a rule.
func (v *validator) each(key string, values []string, rule func(string) error) {
	for i, value := range values {
		v.must(fmt.Sprintf("%s[%d]", key, i), rule(value))
	}
}

// optional holds a value to a rule unless it is empty.
func (v *validator) optional(key, value string, rule func(string) error) {
	if value != "" {
		v.must(key, rule(value))
	}
}

// path holds a value to be an absolute path and makes it clean.
func (v *validator) path(key string, value *string) {
	v.must(key, absolute(*value))
	if *value != "" {
		*value = filepath.Clean(*value)
	}
}

func (v *validator) validate(hostname func() (string, error)) {
	v.host(hostname)
	v.sockets()
	v.device()
	v.limits()
	v.containerd()
	v.network()
	v.images()
	v.agent()
	for i := range v.config.Grants {
		v.grant(fmt.Sprintf("grant[%d]", i), &v.config.Grants[i])
	}
	v.keystore()
	v.packages()
	v.metrics()
}

func (v *validator) host(hostname func() (string, error)) {
	c := v.config
	if c.Hostname == "" {
		name, err := hostname()
		if err != nil {
			v.fault("hostname", "cannot read the host's name: %v", err)
		}
		c.Hostname = name
	}
	v.must("hostname", dnsName(c.Hostname))
	v.must("log_level", oneOf(c.LogLevel, LogLevels...))
	v.path("home", &c.Home)
	v.path("run", &c.Run)
	for _, dir := range []struct{ key, path string }{{"home", c.Home}, {"run", c.Run}} {
		if dir.path == "/" {
			v.fault(dir.key, "the root of the file system cannot be edged's own folder")
		}
	}
	// The one is emptied by a reboot, the other backed up and restored.
	if within(c.Run, c.Home) || within(c.Home, c.Run) {
		v.fault("run", "%s and home (%s) must not lie in one another", c.Run, c.Home)
	}
}

func (v *validator) sockets() {
	c := &v.config.Listen
	for _, s := range []struct {
		key, fd string
		value   *string
	}{
		{"listen.management", listen.ManagementSocket, &c.Management},
		{"listen.workload", listen.WorkloadSocket, &c.Workload},
	} {
		address, err := listen.ParseAddress(*s.value)
		if err != nil {
			v.fault(s.key, "%v", err)
			continue
		}
		if address.FD != "" && address.FD != s.fd {
			v.fault(s.key, "systemd passes this socket as fd://%s", s.fd)
		}
		*s.value = address.String()
	}
	if c.Management == c.Workload {
		v.fault("listen.workload", "the management socket is there already")
	}
}

func (v *validator) device() {
	c := &v.config.Device
	if c.ID == "" {
		c.ID = v.config.Hostname
	}
	v.must("device.id", deviceID(c.ID))
	v.optional("device.hub", c.Hub, dnsName)
	v.optional("device.gateway", c.Gateway, dnsName)
	if c.TrustBundle != "" {
		c.TrustBundle = strings.TrimPrefix(c.TrustBundle, "file://")
		v.path("device.trust_bundle", &c.TrustBundle)
	}
	v.must("device.key_type", oneOf(c.KeyType, KeyP256, KeyRSA2048))
	v.deviceCA()
}

// deviceCA is the operator's CA: a certificate and its key, or neither.
func (v *validator) deviceCA() {
	c := &v.config.Device
	switch {
	case c.CACert == "" && c.CAKey == "":
		return
	case c.CACert == "":
		v.fault("device.ca_key", "set ca_cert, the certificate of this key, too")
		return
	case c.CAKey == "":
		v.fault("device.ca_cert", "set ca_key, the key of this certificate, too")
		return
	}
	c.CACert = strings.TrimPrefix(c.CACert, "file://")
	v.path("device.ca_cert", &c.CACert)
	if strings.HasPrefix(c.CAKey, "tpm2:") || strings.HasPrefix(c.CAKey, "pkcs11:") {
		key, err := uri.Parse(c.CAKey)
		switch {
		case err != nil:
			v.fault("device.ca_key", "%s", cause(err))
		case key.Kind == uri.TPM && key.Handle == 0:
			v.fault("device.ca_key", "want ?handle= and the handle of the key")
		case key.Kind == uri.Token && key.Object == "" && len(key.ID) == 0:
			v.fault("device.ca_key", "want object or id, which name the key")
		}
		return
	}
	c.CAKey = strings.TrimPrefix(c.CAKey, "file://")
	v.path("device.ca_key", &c.CAKey)
}

// cause is an error without the name of its class, which every fault has.
func cause(err error) string {
	return strings.TrimSuffix(err.Error(), ": "+errdefs.ErrInvalidArgument.Error())
}

func (v *validator) limits() {
	c := v.config.Limits
	for _, l := range []struct {
		key        string
		value      Size
		least, cap Size
	}{
		{"limits.json_body", c.JSONBody, 1 << 10, 1 << 30},
		{"limits.catalog_body", c.CatalogBody, 1 << 10, 1 << 30},
		{"limits.bulk_body", c.BulkBody, 1 << 10, 1 << 30},
		{"limits.modulemd", c.ModuleMD, 4 << 20, 1 << 30},
		{"limits.headers", c.Headers, 4 << 10, 1 << 20},
		{"limits.body_rate", c.BodyRate, 1, 1 << 30},
	} {
		if l.value < l.least || l.value > l.cap {
			v.fault(l.key, "%s is not from %s to %s", l.value, l.least, l.cap)
		}
	}
	for _, d := range []struct {
		key   string
		value Duration
	}{{"limits.header_timeout", c.HeaderTimeout}, {"limits.idle_timeout", c.IdleTimeout}} {
		if d.value.Duration <= 0 {
			v.fault(d.key, "%s is not more than nothing", d.value)
		}
	}
	if c.Connections < 1 {
		v.fault("limits.connections", "%d is less than 1", c.Connections)
	}
	if c.ConnectionsCaller < 1 || c.ConnectionsCaller > c.Connections {
		v.fault("limits.connections_caller", "%d is not from 1 to connections (%d)", c.ConnectionsCaller, c.Connections)
	}
	if c.ConnectionsRoot < 0 || c.ConnectionsRoot >= c.Connections {
		v.fault("limits.connections_root", "%d is not from 0 to less than connections (%d)", c.ConnectionsRoot, c.Connections)
	}
}

func (v *validator) containerd() {
	c := &v.config.Containerd
	address, err := listen.ParseAddress(c.Address)
	switch {
	case err != nil:
		v.fault("containerd.address", "%v", err)
	case address.Path == "":
		v.fault("containerd.address", "want unix:///path or an absolute path")
	default:
		c.Address = address.Path
	}
	v.must("containerd.namespace", identifier(c.Namespace))
	// Clean-up would take what is theirs.
	if slices.Contains([]string{"moby", "k8s.io", "default"}, c.Namespace) {
		v.fault("containerd.namespace", "%q belongs to other programs", c.Namespace)
	}
	v.optional("containerd.snapshotter", c.Snapshotter, identifier)
	v.each("containerd.preload", c.Preload, absolute)
}

func (v *validator) network() {
	c := &v.config.Network
	if !c.Subnet.IsValid() || !c.Subnet.Addr().Is4() {
		v.fault("network.subnet", "want an IPv4 network such as 172.30.0.0/16")
	} else {
		v.must("network.subnet", subnet(c.Subnet, 29))
	}
	if c.Subnet6.IsValid() {
		if !c.Subnet6.Addr().Is6() || c.Subnet6.Addr().Is4In6() {
			v.fault("network.subnet6", "want an IPv6 network such as fd00:ed9e::/64")
		} else {
			v.must("network.subnet6", subnet(c.Subnet6, 120))
		}
	}
	v.must("network.bridge", interfaceName(c.Bridge))
	v.path("network.cni_conf_dir", &c.CNIConfDir)
	if len(c.CNIBinDirs) == 0 {
		v.fault("network.cni_bin_dirs", "want at least one folder")
	}
	v.each("network.cni_bin_dirs", c.CNIBinDirs, absolute)
}

func (v *validator) images() {
	c := &v.config.Images
	v.path("images.registry_dir", &c.RegistryDir)
	if c.Keep.Duration < 0 {
		v.fault("images.keep", "%s is less than nothing", c.Keep)
	}
	if c.DiskHigh < 1 || c.DiskHigh > 100 {
		v.fault("images.disk_high", "%d is not a per cent from 1 to 100", c.DiskHigh)
	}
}

// object wants the text of a JSON object.
func (v *validator) object(key, text string) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		v.fault(key, "want the text of a JSON object: %v", err)
	} else if object == nil {
		v.fault(key, "want the text of a JSON object, not null")
	}
}

func (v *validator) agent() {
	c := &v.config.Agent
	v.optional("agent.image", c.Image, image)
	// The management API reads the same words in any case.
	c.ImagePullPolicy = strings.ToLower(c.ImagePullPolicy)
	if c.MaxRetries < 0 {
		v.fault("agent.max_retries", "want 0, for no bound, or more")
	}
	v.must("agent.image_pull_policy", oneOf(c.ImagePullPolicy, PullNever, PullOnCreate))
	v.object("agent.create_options", c.CreateOptions)
	for name, value := range c.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			v.fault("agent.env."+name, "want a name without = and a value without NUL")
		}
	}
	v.must("management.log_framing", oneOf(v.config.Management.LogFraming, FramingPlain, FramingDocker))
}

func (v *validator) grant(key string, g *Grant) {
	if len(g.Permissions)+len(g.ServerNames) == 0 {
		v.fault(key, "it grants nothing: set permissions or server_names")
	}
	if len(g.Modules)+len(g.Users)+len(g.Groups) == 0 {
		v.fault(key, "it grants to nobody: set modules, users or groups")
	}
	if len(g.ServerNames) > 0 && len(g.Modules) == 0 {
		v.fault(key+".server_names", "only modules have server certificates: set modules")
	}
	v.each(key+".permissions", g.Permissions, func(p string) error {
		return oneOf(p, PermissionAdminTemplates, PermissionViewClusterModules, PermissionUpdateCluster, PermissionCatalogWrite)
	})
	v.each(key+".server_names", g.ServerNames, serverName)
	for i, name := range g.Modules {
		canonical, err := module.CanonicalName(name)
		v.must(fmt.Sprintf("%s.modules[%d]", key, i), err)
		g.Modules[i] = canonical
	}
	v.each(key+".users", g.Users, account)
	v.each(key+".groups", g.Groups, account)
}

func (v *validator) keystore() {
	c := &v.config.Keystore
	if c.URI == "" {
		c.URI = "file://" + filepath.Join(v.config.Home, "keys")
	}
	where, err := uri.Parse(c.URI)
	switch {
	case err != nil:
		v.fault("keystore.uri", "%s", cause(err))
	case where.Handle != 0:
		v.fault("keystore.uri", "a handle names one key, edged makes its own")
	case len(where.ID) > 0:
		v.fault("keystore.uri", "an id names one key, edged makes its own; object begins their labels")
	}
}

// packages are the sections of what comes in packages: bundles and uploads.
func (v *validator) packages() {
	b, u := &v.config.Bundles, &v.config.Uploads
	if b.Node == "" {
		b.Node = v.config.Hostname
	}
	v.optional("bundles.host_image", b.HostImage, image)
	v.object("bundles.create_options", b.CreateOptions)
	if b.Heap < 16<<20 || b.Heap > 1<<40 {
		v.fault("bundles.heap", "%s is less than 16MiB, or more than any device has", b.Heap)
	}
	if b.StartTimeout.Duration < time.Second || b.StartTimeout.Duration > 5*time.Minute {
		v.fault("bundles.start_timeout", "%s is not from 1s to 5m", b.StartTimeout)
	}
	v.optional("bundles.jahia_version", b.JahiaVersion, dottedVersion)
	v.must("bundles.node", segment(b.Node))
	v.each("bundles.groups", b.Groups, segment)
	if u.MaxSize < 1 {
		v.fault("uploads.max_size", "%s is not more than nothing", u.MaxSize)
	}
	if u.FreeFloor < 0 {
		v.fault("uploads.free_floor", "%s is less than nothing", u.FreeFloor)
	}
	v.optional("uploads.redis_version", u.RedisVersion, dottedVersion)
	v.optional("uploads.redis_pack_version", u.RedisPackVersion, dottedVersion)
	v.optional("uploads.redis_image", u.RedisImage, image)
	v.each("uploads.capabilities", u.Capabilities, segment)
	v.each("uploads.dependency_hosts", u.DependencyHosts, host)
	v.optional("uploads.os", u.OS, operatingSystem)
	v.must("uploads.signature_ramp", oneOf(u.SignatureRAMP, SignatureOff, SignatureWarn, SignatureRequire))
	v.must("uploads.signature_image", oneOf(u.SignatureImage, SignatureOff, SignatureWarn, SignatureRequire))
	v.path("uploads.trust_dir", &u.TrustDir)
}

func (v *validator) metrics() {
	c := &v.config.Metrics
	v.optional("metrics.listen", c.Listen, loopback)
	if c.Textfile != "" {
		v.path("metrics.textfile", &c.Textfile)
		if !strings.HasSuffix(c.Textfile, ".prom") {
			v.fault("metrics.textfile", "%q does not end with .prom: no collector would read it", c.Textfile)
		}
	}
	if c.Interval.Duration < time.Second {
		v.fault("metrics.interval", "%s is less than a second", c.Interval)
	}
}
