package wire

import "encoding/json"

// PackageModule is a package on the device, as /v1/modules and /v2/modules answer it.
type PackageModule struct {
	Architecture            string                       `json:"architecture"`
	Author                  string                       `json:"author"`
	BigstoreVersion2Support bool                         `json:"bigstore_version_2_support"`
	Capabilities            []string                     `json:"capabilities"`
	CapabilityName          string                       `json:"capability_name"`
	CommandLineArgs         string                       `json:"command_line_args"`
	CompatibleRedisVersion  string                       `json:"compatible_redis_version"`
	ConfigCommand           string                       `json:"config_command"`
	CRDB                    json.RawMessage              `json:"crdb"`
	Dependencies            map[string]PackageDependency `json:"dependencies"`
	Description             string                       `json:"description"`
	DisplayName             string                       `json:"display_name"`
	// Edged is what the contract has no word for.
	Edged               PackageFacts               `json:"edged"`
	Email               string                     `json:"email"`
	Homepage            string                     `json:"homepage"`
	IsBundled           bool                       `json:"is_bundled"`
	License             string                     `json:"license"`
	MinRedisPackVersion string                     `json:"min_redis_pack_version"`
	MinRedisVersion     string                     `json:"min_redis_version"`
	ModuleFile          string                     `json:"module_file"`
	ModuleName          string                     `json:"module_name"`
	OS                  string                     `json:"os"`
	OSList              []string                   `json:"os_list"`
	Platforms           map[string]PackagePlatform `json:"platforms"`
	SemanticVersion     string                     `json:"semantic_version"`
	SHA256              string                     `json:"sha256"`
	UID                 string                     `json:"uid"`
	Version             int64                      `json:"version"`
}

// PackageDependency is what a package needs besides. One without a URL is in it.
type PackageDependency struct {
	SHA256 string `json:"sha256"`
	URL    string `json:"url"`
}

// PackagePlatform is a system and machine that a package is for.
type PackagePlatform struct {
	Dependencies map[string]PackageDependency `json:"dependencies"`
	SHA256       string                       `json:"sha256"`
}

// PackageFacts are edged's own about a package.
type PackageFacts struct {
	// Created is when it came, RFC 3339 in UTC.
	Created string `json:"created"`
	// Format is "ramp" or "image".
	Format string `json:"format"`
	// Image is what a module names in settings.image, with the pull policy "never"; empty
	// when none is made of the package. ImagePending says why it is not there yet.
	Image        string `json:"image"`
	ImagePending string `json:"image_pending,omitempty"`
	// SignedBy is the id of the key whose signature was verified.
	SignedBy string `json:"signed_by,omitempty"`
	// Size is that of the package in bytes.
	Size int64 `json:"size"`
}

// PackageAction is what becomes of work that goes on after its answer.
type PackageAction struct {
	ActionUID    string `json:"action_uid"`
	CreationTime string `json:"creation_time"`
	ErrorCode    string `json:"error_code,omitempty"`
	ErrorMessage string `json:"error_message,omitempty"`
	Name         string `json:"name"`
	NodeUID      string `json:"node_uid"`
	ObjectName   string `json:"object_name"`
	// Progress in per cent.
	Progress string `json:"progress"`
	// Status is "running", "completed" or "failed".
	Status string `json:"status"`
	TaskID string `json:"task_id"`
}

// PackageAdded is the answer of POST /v2/modules: the package as it is to be.
type PackageAdded struct {
	ActionUID string `json:"action_uid"`
	PackageModule
}

// PackageRemoved is the answer of DELETE /v2/modules/{uid}.
type PackageRemoved struct {
	ActionUID string `json:"action_uid"`
}

// PackageCapabilities is the answer of GET /v1/cluster/module-capabilities.
type PackageCapabilities struct {
	AllCapabilities []PackageCapability `json:"all_capabilities"`
}

// PackageCapability is something that a Redis module may be capable of.
type PackageCapability struct {
	Name        string `json:"name"`
	Description string `json:"desc"`
}

// PackageError is every refusal of these APIs. Message and Description are the same:
// clients read the one or the other.
type PackageError struct {
	ErrorCode   string `json:"error_code"`
	Message     string `json:"message"`
	Description string `json:"description"`
}
