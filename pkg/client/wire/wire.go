// Package wire is the management API's JSON, word for word: what edged writes and
// its clients read, and the other way round.
package wire

import (
	"encoding/json"
)

// Module is one module, as POST, PUT and GET answer it.
type Module struct {
	// ID is the module's name.
	ID     string       `json:"id"`
	Name   string       `json:"name"`
	Type   string       `json:"type"`
	Config Config       `json:"config"`
	Status ModuleStatus `json:"status"`
}

// ModuleList is the answer of GET /modules.
type ModuleList struct {
	Modules []Module `json:"modules"`
}

// ModuleSpec is the body of POST, PUT and prepareupdate.
type ModuleSpec struct {
	Name            string `json:"name"`
	Type            string `json:"type"`
	Config          Config `json:"config"`
	ImagePullPolicy string `json:"imagePullPolicy,omitempty"`
}

// Config is what to run and with which environment.
type Config struct {
	Settings Settings `json:"settings"`
	Env      []EnvVar `json:"env"`
}

// Settings says which image to run and how.
type Settings struct {
	Image     string `json:"image"`
	ImageHash string `json:"imageHash,omitempty"`
	// CreateOptions is Docker's ContainerCreate body. In a request it may also be that
	// body as a JSON string, as deployment manifests have it; in an answer it is an object.
	CreateOptions json.RawMessage `json:"createOptions,omitempty"`
	// CreateOptionsParts are createOptions01, createOptions02 and so on of a request, by
	// number: pieces of text that go on where createOptions ends. Answers have none.
	CreateOptionsParts map[int]json.RawMessage `json:"-"`
	// Auth is the registry's credentials; answers never have its password.
	Auth *Auth `json:"auth,omitempty"`
	// Management gives the module the management socket.
	Management bool `json:"management,omitempty"`
	// Secrets are files that the module alone finds when it runs, by name.
	Secrets map[string]Secret `json:"secrets,omitempty"`
}

// Secret says where the bytes of one are: in Sealed or in File.
type Secret struct {
	// Sealed is the text of a SealAnswer; in an answer it is true.
	Sealed any `json:"sealed,omitempty"`
	// File is a path on the host.
	File string `json:"file,omitempty"`
	// Path is where the module finds it, by default /run/secrets/<name>.
	Path string `json:"path,omitempty"`
	// Mode is octal, by default "0400".
	Mode string `json:"mode,omitempty"`
	// UID and GID own the file, by default the module's user.
	UID *uint32 `json:"uid,omitempty"`
	GID *uint32 `json:"gid,omitempty"`
}

// SealRequest is the body of POST /secrets/seal.
type SealRequest struct {
	// Value is base64.
	Value string `json:"value"`
	// Module, when given, is the one that may have it.
	Module string `json:"module,omitempty"`
}

// SealAnswer is text that only this device opens.
type SealAnswer struct {
	Sealed string `json:"sealed"`
}

// Auth is what a registry asks for.
type Auth struct {
	Username      string `json:"username,omitempty"`
	Password      string `json:"password,omitempty"`
	Email         string `json:"email,omitempty"`
	ServerAddress string `json:"serveraddress,omitempty"`
}

// EnvVar is one environment variable.
type EnvVar struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// ModuleStatus is what the module does. Times are RFC 3339 in UTC.
type ModuleStatus struct {
	StartTime     string        `json:"startTime,omitempty"`
	ExitStatus    *ExitStatus   `json:"exitStatus,omitempty"`
	RuntimeStatus RuntimeStatus `json:"runtimeStatus"`
}

// ExitStatus is how the last run ended. The code is a string, as the contract has it.
type ExitStatus struct {
	ExitTime   string `json:"exitTime"`
	StatusCode string `json:"statusCode"`
}

// RuntimeStatus is one of unknown, running, stopped, failed and dead, with words for people.
type RuntimeStatus struct {
	Status      string `json:"status"`
	Description string `json:"description,omitempty"`
	// Health is starting, healthy or unhealthy while a module with a health check runs. The
	// contract has only the description for it; clients pass over what they do not know.
	Health string `json:"health,omitempty"`
}

// Identity is who a module is to the workload API.
type Identity struct {
	// ModuleID is the module's name as it was registered, with a '$' where there was one.
	ModuleID     string `json:"moduleId"`
	ManagedBy    string `json:"managedBy"`
	GenerationID string `json:"generationId"`
	// AuthType is "sas".
	AuthType string `json:"authType"`
}

// IdentityList is the answer of GET /identities.
type IdentityList struct {
	Identities []Identity `json:"identities"`
}

// IdentitySpec is the body of POST and PUT.
type IdentitySpec struct {
	ModuleID  string `json:"moduleId,omitempty"`
	ManagedBy string `json:"managedBy,omitempty"`
}

// Volume is a folder of data that outlives a module's containers.
type Volume struct {
	Name string `json:"name"`
	// Anonymous says that it belongs to a module and goes with it.
	Anonymous bool              `json:"anonymous"`
	Labels    map[string]string `json:"labels,omitempty"`
	// Created is RFC 3339, in UTC.
	Created string `json:"created,omitempty"`
	// Path is its folder on the host.
	Path string `json:"path"`
	// Modules are those that use it, running or not; with none it may be removed.
	Modules []string `json:"modules"`
}

// VolumeList is the answer of GET /volumes.
type VolumeList struct {
	Volumes []Volume `json:"volumes"`
}

// VolumesPruned is the answer of POST /volumes/prune: the names of those that are gone.
type VolumesPruned struct {
	Removed []string `json:"removed"`
}

// NetworkList is the answer of GET /networks.
type NetworkList struct {
	Networks []Network `json:"networks"`
}

// Network is one that modules can be on.
type Network struct {
	Name string `json:"name"`
	// Aliases are further names under which modules may ask for it.
	Aliases []string `json:"aliases,omitempty"`
	// Driver is the type of its first CNI plugin.
	Driver  string          `json:"driver"`
	Bridge  string          `json:"bridge,omitempty"`
	Subnets []string        `json:"subnets,omitempty"`
	Modules []NetworkModule `json:"modules"`
}

// NetworkModule is a module's place on a network.
type NetworkModule struct {
	Name      string   `json:"name"`
	Interface string   `json:"interface"`
	Addresses []string `json:"addresses,omitempty"`
	// Names are those by which the other modules of the network reach it.
	Names []string `json:"names,omitempty"`
	// Running says that its ports are open.
	Running bool          `json:"running"`
	Ports   []NetworkPort `json:"ports,omitempty"`
}

// NetworkPort is a host port that leads to a module.
type NetworkPort struct {
	// HostIP is empty for every address of the host.
	HostIP   string `json:"hostIp,omitempty"`
	HostPort int    `json:"hostPort"`
	Port     int    `json:"port"`
	Protocol string `json:"protocol"`
}

// SystemInfo is what edged runs on.
type SystemInfo struct {
	OSType        string `json:"osType"`
	KernelRelease string `json:"kernel_release,omitempty"`
	KernelVersion string `json:"kernel_version,omitempty"`
	OS            string `json:"operating_system,omitempty"`
	OSVersion     string `json:"operating_system_version,omitempty"`
	OSVariant     string `json:"operating_system_variant,omitempty"`
	OSBuild       string `json:"operating_system_build,omitempty"`
	Architecture  string `json:"architecture"`
	CPUs          int    `json:"cpus"`
	TotalMemory   int64  `json:"total_memory,omitempty"`
	// Virtualized is "yes", "no" or "unknown".
	Virtualized   string       `json:"virtualized"`
	ProductName   string       `json:"product_name,omitempty"`
	SystemVendor  string       `json:"system_vendor,omitempty"`
	Version       string       `json:"version"`
	ServerVersion string       `json:"server_version,omitempty"`
	Provisioning  Provisioning `json:"provisioning"`
}

// Provisioning is how the device got its identity: by its configuration file.
type Provisioning struct {
	Type                       string `json:"type"`
	DynamicReprovisioning      bool   `json:"dynamicReprovisioning"`
	AlwaysReprovisionOnStartup bool   `json:"alwaysReprovisionOnStartup"`
}

// SystemResources is what is used of the device, now. Times are in seconds, sizes in bytes.
type SystemResources struct {
	HostUptime    uint64 `json:"host_uptime"`
	ProcessUptime uint64 `json:"process_uptime"`
	// UsedCPU is a percentage of all processors together, since an earlier call.
	UsedCPU  float64 `json:"used_cpu"`
	UsedRAM  uint64  `json:"used_ram"`
	TotalRAM uint64  `json:"total_ram"`
	Disks    []Disk  `json:"disks"`
	// DockerStats is JSON in a string: an array of what Docker's API says of a container's resources, one of each module that runs.
	DockerStats string `json:"docker_stats"`
}

// Disk is one file system on a block device.
type Disk struct {
	// Name is where it is mounted.
	Name           string `json:"name"`
	AvailableSpace uint64 `json:"available_space"`
	TotalSpace     uint64 `json:"total_space"`
	FileSystem     string `json:"file_system"`
	// FileType is "SSD", "HDD" or "Unknown".
	FileType string `json:"file_type"`
	Device   string `json:"device"`
}

// Image is one image that is on the device, under one name.
type Image struct {
	Name string `json:"name"`
	// Digest is what the name means.
	Digest string `json:"digest"`
	// Size is what it has on the disk, in bytes; what images share counts for each.
	Size int64 `json:"size"`
	// LastUsed is when a module was last made of it or stopped being so, or it came. RFC 3339 in UTC.
	LastUsed string `json:"lastUsed"`
	// UsedBy are the modules of whose generations it is.
	UsedBy []string `json:"usedBy"`
	// Kept says why it is not removed, whatever its age: module, operation, configuration,
	// local, preload or foreign. Absent: it goes when nothing has used it for long.
	Kept string `json:"kept,omitempty"`
}

// ImageList is the answer of GET /images.
type ImageList struct {
	Images []Image `json:"images"`
}

// ImagePull is the body of POST /images/pull.
type ImagePull struct {
	Image string `json:"image"`
	Auth  *Auth  `json:"auth,omitempty"`
}

// The words of PullStatus.Status. Of waiting, resolving, downloading and unpacking each
// line is the beginning or, with a layer, a step; pulled or failed is the last line.
const (
	PullWaiting     = "waiting"
	PullResolving   = "resolving"
	PullDownloading = "downloading"
	PullUnpacking   = "unpacking"
	PullDone        = "pulled"
	PullFailed      = "failed"
)

// PullStatus is one line of the answer of POST /images/pull, which is JSON lines.
type PullStatus struct {
	Status string `json:"status"`
	// Layer is the digest of a layer of which Offset bytes of Total are on the disk.
	Layer  string `json:"layer,omitempty"`
	Offset int64  `json:"offset,omitempty"`
	Total  int64  `json:"total,omitempty"`
	// Image and Digest are what was pulled.
	Image  string `json:"image,omitempty"`
	Digest string `json:"digest,omitempty"`
	// Code and Message are the status and the message that the answer would have had if it
	// had not begun.
	Code    int    `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

// ImagePrune is the body of POST /images/prune.
type ImagePrune struct {
	// All removes what nothing uses whatever its age.
	All bool `json:"all,omitempty"`
}

// ImagesPruned is its answer.
type ImagesPruned struct {
	Removed []RemovedImage `json:"removed"`
	// Bytes that were won.
	Bytes int64 `json:"bytes"`
}

// RemovedImage is an image that went.
type RemovedImage struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Bytes  int64  `json:"bytes"`
}

// Kinds of an Event.
const (
	EventPresent = "present" // the module was there when the stream began
	EventReady   = "ready"   // all that were there have been told; it has no module
	EventCreated = "created"
	EventUpdated = "updated" // there is a new generation
	EventChanged = "changed" // it does something else than before
	EventDeleted = "deleted"
)

// Event is one line of the answer of GET /events, which is JSON lines: what is so of a
// module now. Changes that come faster than they are read become one.
type Event struct {
	// Time is when edged told, RFC 3339 in UTC.
	Time string `json:"time"`
	// Kind is one of the Event constants.
	Kind   string `json:"kind"`
	Module string `json:"module,omitempty"`
	Image  string `json:"image,omitempty"`
	// Status and Description are those of RuntimeStatus.
	Status      string `json:"status,omitempty"`
	Description string `json:"description,omitempty"`
	// Health is starting, healthy or unhealthy, of modules with a health check that run.
	Health string `json:"health,omitempty"`
	// ExitCode is that of the last run; absent before the first ended.
	ExitCode *int `json:"exitCode,omitempty"`
	// Restarts are those by its restart policy since it was last started.
	Restarts   int   `json:"restarts,omitempty"`
	Generation int64 `json:"generation,omitempty"`
	// StartTime of the current or last run, RFC 3339.
	StartTime string `json:"startTime,omitempty"`
}

// LogLevel is the body of PUT /system/log-level and, with Before, its answer.
type LogLevel struct {
	// Level is error, warn, info or debug.
	Level  string `json:"level"`
	Before string `json:"before,omitempty"`
}

// Error is the body of every error.
type Error struct {
	Message string `json:"message"`
}

// Where a device CA comes from.
const (
	SourceDevice   = "device"   // made by the device itself
	SourceOperator = "operator" // given by [device] ca_cert
)

// DeviceCA is the CA under which modules get certificates. Times are RFC 3339 in UTC.
type DeviceCA struct {
	// Source is SourceDevice or SourceOperator.
	Source string `json:"source"`
	CACertificate
	// Serial is hexadecimal.
	Serial string `json:"serial"`
	// RenewAt is when edged renews it, or the operator should.
	RenewAt string `json:"renewAt"`
	// Certificate is PEM.
	Certificate string `json:"certificate"`
	// Trust are the certificates that modules are given to trust.
	Trust []CACertificate `json:"trust"`
}

// CACertificate is what names a certificate.
type CACertificate struct {
	Subject   string `json:"subject"`
	Issuer    string `json:"issuer"`
	NotBefore string `json:"notBefore"`
	NotAfter  string `json:"notAfter"`
	// SHA256 is the hexadecimal fingerprint of the whole certificate.
	SHA256 string `json:"sha256"`
}
