// Package config reads the configuration of edged: one TOML file and the
// drop-ins beside it, checked to the last key before anything acts on it.
//
// The file decides who may change what runs on the device, so nothing in it is
// guessed at: an unknown key, a wrong type and a value that cannot be meant are
// errors that name the file, the line and the column.
package config

import (
	"net/netip"
)

// DefaultFile is the configuration file that may be absent.
const DefaultFile = "/etc/edged/config.toml"

// FormatVersion is the version of the format that this package reads.
const FormatVersion = 1

// LogLevels are the values of log_level, from the fewest words to the most.
var LogLevels = []string{"error", "warn", "info", "debug"}

// Config is the whole configuration, as Load gives it: every key has a value.
type Config struct {
	// Version of the format, FormatVersion.
	Version int `toml:"version"`
	// LogLevel is one of LogLevels.
	LogLevel string `toml:"log_level"`
	// Hostname of the device.
	Hostname string `toml:"hostname"`
	// Home is the absolute path of what outlives a reboot.
	Home string `toml:"home"`
	// Run is the absolute path of what does not: sockets, network namespaces.
	Run string `toml:"run"`

	Listen     Listen     `toml:"listen"`
	Device     Device     `toml:"device"`
	Peer       Peer       `toml:"peer"`
	Limits     Limits     `toml:"limits"`
	Containerd Containerd `toml:"containerd"`
	Network    Network    `toml:"network"`
	Images     Images     `toml:"images"`
	Agent      Agent      `toml:"agent"`
	Management Management `toml:"management"`
	// Grants are the built-in one and, after it, those of all files in the
	// order of the files.
	Grants   []Grant  `toml:"grant"`
	Keystore Keystore `toml:"keystore"`
	Bundles  Bundles  `toml:"bundles"`
	Catalog  Catalog  `toml:"catalog"`
	Uploads  Uploads  `toml:"uploads"`
	Metrics  Metrics  `toml:"metrics"`
}

// Listen says where the sockets are: fd://name, unix:///path or a bare path.
type Listen struct {
	Management string `toml:"management"`
	Workload   string `toml:"workload"`
}

// Device says which device this is.
type Device struct {
	// ID is the device's id, by default the hostname.
	ID string `toml:"id"`
	// Hub is the host name of the hub, empty without one.
	Hub string `toml:"hub"`
	// Gateway is the host name by which modules find the gateway; empty: the hostname.
	Gateway string `toml:"gateway"`
	// TrustBundle is the absolute path of a PEM file of further certificates
	// to trust, or empty.
	TrustBundle string `toml:"trust_bundle"`
	// CACert is the absolute path of a PEM file with the operator's CA and those
	// above it, and CAKey its private key: an absolute path, or a URI of a key in a
	// TPM or token. Both are empty for a CA that the device makes itself.
	CACert string `toml:"ca_cert"`
	CAKey  string `toml:"ca_key"`
	// KeyType of the certificates that modules are given: KeyP256 or KeyRSA2048.
	KeyType string `toml:"key_type"`
}

// Key types of Device.
const (
	KeyP256    = "ecdsa-p256"
	KeyRSA2048 = "rsa-2048"
)

// Peer says how strong the proof of a caller must be.
type Peer struct {
	// RequirePIDFD refuses to start on a kernel without SO_PEERPIDFD.
	RequirePIDFD bool `toml:"require_pidfd"`
}

// Limits are the bounds of what clients may ask of the sockets.
type Limits struct {
	// JSONBody, CatalogBody, BulkBody, ModuleMD and Headers are the most bytes
	// of a JSON body, a body on the catalog, one for many rows of it, one
	// modulemd document, and the headers of a request.
	JSONBody    Size `toml:"json_body"`
	CatalogBody Size `toml:"catalog_body"`
	BulkBody    Size `toml:"bulk_body"`
	ModuleMD    Size `toml:"modulemd"`
	Headers     Size `toml:"headers"`
	// HeaderTimeout is the time for all headers of a request.
	HeaderTimeout Duration `toml:"header_timeout"`
	// BodyRate is the least bytes a second of a body.
	BodyRate Size `toml:"body_rate"`
	// IdleTimeout is how long a kept connection may be silent.
	IdleTimeout Duration `toml:"idle_timeout"`
	// Connections at most on one listener, of which ConnectionsRoot are kept
	// for host uid 0; ConnectionsCaller of them on one module's listener or,
	// on a shared one, of one peer uid.
	Connections       int `toml:"connections"`
	ConnectionsCaller int `toml:"connections_caller"`
	ConnectionsRoot   int `toml:"connections_root"`
}

// Containerd says which containerd runs the modules, and how.
type Containerd struct {
	// Address is the absolute path of containerd's socket.
	Address   string `toml:"address"`
	Namespace string `toml:"namespace"`
	// Snapshotter by name; empty is containerd's default.
	Snapshotter string `toml:"snapshotter"`
	// SharedShim lets one shim process serve all modules.
	SharedShim bool `toml:"shared_shim"`
	// Preload are folders of image archives beside the two built-in ones; see
	// Config.PreloadFolders.
	Preload []string `toml:"preload"`
}

// Network is the default network of modules and where CNI is.
type Network struct {
	Subnet netip.Prefix `toml:"subnet"`
	// Subnet6 is not valid where modules get no IPv6 address.
	Subnet6 netip.Prefix `toml:"subnet6"`
	// Bridge is the name of the default network's interface.
	Bridge     string   `toml:"bridge"`
	CNIConfDir string   `toml:"cni_conf_dir"`
	CNIBinDirs []string `toml:"cni_bin_dirs"`
}

// Images says when images that nothing uses go.
type Images struct {
	// Keep is the least age since the last use.
	Keep Duration `toml:"keep"`
	// DiskHigh is the per cent of the disk in use from which on Keep does not
	// protect an image.
	DiskHigh int `toml:"disk_high"`
	// RegistryDir is the absolute path of a folder with one folder a registry:
	// mirrors in its hosts.toml, and certificates.
	RegistryDir string `toml:"registry_dir"`
}

// Agent is how edged makes the module edgeAgent.
type Agent struct {
	// Image as configured, empty by default: ask Config.AgentImage.
	Image string `toml:"image"`
	// ImagePullPolicy is PullNever or PullOnCreate.
	ImagePullPolicy string `toml:"image_pull_policy"`
	// CreateOptions is a JSON object, as the text in a manifest.
	CreateOptions string            `toml:"create_options"`
	Env           map[string]string `toml:"env"`
	// MaxRetries is how often in a row making and starting it is tried again; 0: for ever.
	MaxRetries int `toml:"max_retries"`
}

// Pull policies of Agent.
const (
	PullNever    = "never"
	PullOnCreate = "on-create"
)

// Management is what is particular to the management API.
type Management struct {
	// LogFraming is FramingPlain or FramingDocker.
	LogFraming string `toml:"log_framing"`
}

// Framings of logs: bytes as they are, or Docker's 8-byte frames, one a chunk.
const (
	FramingPlain  = "plain"
	FramingDocker = "docker"
)

// Grant gives callers permissions, and modules further names in their server
// certificates. A caller has it who is in any of the three lists.
type Grant struct {
	// Permissions are of the Permission constants.
	Permissions []string `toml:"permissions"`
	// ServerNames are DNS names or IP addresses, for modules alone.
	ServerNames []string `toml:"server_names"`
	// Modules by name, without a leading "$".
	Modules []string `toml:"modules"`
	// Users and Groups of the host, by name or decimal id.
	Users  []string `toml:"users"`
	Groups []string `toml:"groups"`
}

// Permissions that a Grant may give.
const (
	PermissionAdminTemplates     = "adminTemplates"
	PermissionViewClusterModules = "view_cluster_modules"
	PermissionUpdateCluster      = "update_cluster"
	PermissionCatalogWrite       = "catalog_write"
)

// Keystore says where keys are: file:///path, pkcs11:... (RFC 7512) or tpm2:...
type Keystore struct {
	URI string `toml:"uri"`
}

// Bundles is what is particular to OSGi bundles.
type Bundles struct {
	// HostImage as configured, empty by default: ask Config.HostImage.
	HostImage string `toml:"host_image"`
	// CreateOptions is a JSON object that is put over edged's own for the host.
	CreateOptions string `toml:"create_options"`
	// Heap is what all bundles together may have of Java's heap.
	Heap Size `toml:"heap"`
	// StartTimeout is how long the start, or the stop, of a bundle is waited for.
	StartTimeout Duration `toml:"start_timeout"`
	// JahiaVersion is the version that bundles with Jahia-Required-Version find; empty for none.
	JahiaVersion string `toml:"jahia_version"`
	// Node is this device's name in cluster-wide answers, by default the
	// hostname.
	Node   string   `toml:"node"`
	Groups []string `toml:"groups"`
}

// Catalog is what is particular to the catalog.
type Catalog struct {
	// Index makes rows of what is on the device.
	Index bool `toml:"index"`
}

// Uploads is what is particular to uploaded packages.
type Uploads struct {
	MaxSize Size `toml:"max_size"`
	// FreeFloor is the free disk space that an upload must leave.
	FreeFloor Size `toml:"free_floor"`
	// RedisVersion and RedisPackVersion are this device's own, "major.minor"
	// or longer; empty where packages are not checked against them.
	RedisVersion     string   `toml:"redis_version"`
	RedisPackVersion string   `toml:"redis_pack_version"`
	RedisImage       string   `toml:"redis_image"`
	Capabilities     []string `toml:"capabilities"`
	// DependencyHosts are the hosts from which dependencies are fetched.
	DependencyHosts []string `toml:"dependency_hosts"`
	// OS is the operating system that packages run on, such as "debian12"; empty for the host's.
	OS string `toml:"os"`
	// SignatureRAMP and SignatureImage are what the signature of a package of that format is
	// worth: SignatureOff, SignatureWarn or SignatureRequire.
	SignatureRAMP  string `toml:"signature_ramp"`
	SignatureImage string `toml:"signature_image"`
	// TrustDir is the absolute path of a folder with the public keys that are trusted.
	TrustDir string `toml:"trust_dir"`
}

// Policies for signatures of Uploads.
const (
	SignatureOff     = "off"
	SignatureWarn    = "warn"
	SignatureRequire = "require"
)

// Metrics says where metrics are served beside the management socket.
type Metrics struct {
	// Listen is address:port on the loopback interface, or empty for nowhere.
	Listen string `toml:"listen"`
	// Textfile is the absolute path of a file that is written anew each Interval, or empty
	// for none.
	Textfile string   `toml:"textfile"`
	Interval Duration `toml:"interval"`
	// Names lets names of modules be in both.
	Names bool `toml:"names"`
}
