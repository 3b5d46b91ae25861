package config

import (
	"net/netip"
	"path/filepath"
	"time"
)

// packagedImages is where packages install image archives.
const packagedImages = "/usr/share/edged/images"

// Default is the configuration of an empty file before what depends on the
// device is filled in: the hostname and what follows from it, and paths under
// the home, are empty.
func Default() *Config {
	return &Config{
		Version:  FormatVersion,
		LogLevel: "info",
		Home:     "/var/lib/edged",
		Run:      "/run/edged",
		Listen: Listen{
			Management: "fd://edged.mgmt.socket",
			Workload:   "fd://edged.workload.socket",
		},
		Device: Device{KeyType: KeyP256},
		Limits: Limits{
			JSONBody:          1 << 20,
			CatalogBody:       8 << 20,
			BulkBody:          64 << 20,
			ModuleMD:          4 << 20,
			Headers:           64 << 10,
			HeaderTimeout:     Duration{3 * time.Second},
			BodyRate:          1 << 10,
			IdleTimeout:       Duration{30 * time.Second},
			Connections:       1024,
			ConnectionsCaller: 256,
			ConnectionsRoot:   16,
		},
		Containerd: Containerd{
			Address:   "/run/containerd/containerd.sock",
			Namespace: "edged",
			Preload:   []string{},
		},
		Network: Network{
			Subnet:     netip.MustParsePrefix("172.30.0.0/16"),
			Bridge:     "edged0",
			CNIConfDir: "/etc/edged/net.d",
			CNIBinDirs: []string{"/usr/lib/cni", "/opt/cni/bin"},
		},
		Images: Images{Keep: Duration{168 * time.Hour}, DiskHigh: 85, RegistryDir: "/etc/containerd/certs.d"},
		Agent: Agent{
			ImagePullPolicy: PullNever,
			CreateOptions:   "{}",
			Env:             map[string]string{},
		},
		Management: Management{LogFraming: FramingPlain},
		Grants:     []Grant{builtinGrant()},
		Bundles:    Bundles{Groups: []string{}, CreateOptions: "{}", Heap: 48 << 20, StartTimeout: Duration{time.Minute}},
		Catalog:    Catalog{Index: true},
		Uploads: Uploads{
			MaxSize:         2 << 30,
			FreeFloor:       256 << 20,
			Capabilities:    []string{},
			DependencyHosts: []string{},
			SignatureRAMP:   SignatureOff,
			SignatureImage:  SignatureOff,
			TrustDir:        "/etc/edged/trust.d",
		},
		Metrics: Metrics{Interval: Duration{time.Minute}},
	}
}

// builtinGrant is always there, because taking it away would only pretend: the
// agent decides what runs on the device, and root and the group that may write
// its manifests decide what the agent does.
func builtinGrant() Grant {
	return Grant{
		Permissions: []string{
			PermissionAdminTemplates,
			PermissionViewClusterModules,
			PermissionUpdateCluster,
			PermissionCatalogWrite,
		},
		ServerNames: []string{},
		Modules:     []string{"edgeAgent"},
		Users:       []string{"0"},
		Groups:      []string{"edged"},
	}
}

// AgentImage is the image of the module edgeAgent: the configured one or, by
// default, the one that is packaged with this version of edged.
func (c *Config) AgentImage(version string) string {
	if c.Agent.Image != "" {
		return c.Agent.Image
	}
	return "edged.local/agent:" + version
}

// HostImage is the image of the OSGi framework: the configured one or, by default, the
// one that is packaged beside this version of edged.
func (c *Config) HostImage(version string) string {
	if c.Bundles.HostImage != "" {
		return c.Bundles.HostImage
	}
	return "edged.local/osgi-host:" + version
}

// PreloadFolders are all folders of image archives to import at start: the
// packages' own, the one under the home, and the configured ones, in that order.
func (c *Config) PreloadFolders() []string {
	return append([]string{packagedImages, filepath.Join(c.Home, "images")}, c.Containerd.Preload...)
}
