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
	// Auth is the registry's credentials; answers never have its password.
	Auth *Auth `json:"auth,omitempty"`
	// Management gives the module the management socket.
	Management bool `json:"management,omitempty"`
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
	OSType        string       `json:"osType"`
	KernelRelease string       `json:"kernel_release,omitempty"`
	KernelVersion string       `json:"kernel_version,omitempty"`
	OS            string       `json:"operating_system,omitempty"`
	OSVersion     string       `json:"operating_system_version,omitempty"`
	Architecture  string       `json:"architecture"`
	CPUs          int          `json:"cpus"`
	TotalMemory   int64        `json:"total_memory,omitempty"`
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

// Error is the body of every error.
type Error struct {
	Message string `json:"message"`
}
