package wire

// The bundles API, /modules/api/bundles: the Jahia DX Module Manager's, and edged's own
// additions at the end.

// BundleInfo names a bundle in the answer of an operation. GroupID is null for one without a group.
type BundleInfo struct {
	GroupID      *string `json:"groupId"`
	SymbolicName string  `json:"symbolicName"`
	Version      string  `json:"version"`
	Key          string  `json:"key"`
}

// BundleOperation is the answer of an operation.
type BundleOperation struct {
	BundleInfos []BundleInfo `json:"bundleInfos"`
	Message     string       `json:"message"`
}

// BundleState is what is told of one bundle. ModuleState is null for what is no module.
type BundleState struct {
	Type        string  `json:"type"`
	OSGiState   string  `json:"osgiState"`
	ModuleState *string `json:"moduleState"`
}

// BundleNodeError stands for a node of which nothing could be told.
type BundleNodeError struct {
	Message string `json:"message"`
	Cause   string `json:"cause"`
}

// BundleError is every error but a refusal. Cause is of those that the framework made.
type BundleError struct {
	Status       int    `json:"status"`
	ReasonPhrase string `json:"reasonPhrase"`
	Message      string `json:"message"`
	Cause        string `json:"cause,omitempty"`
}

// BundlePersistentState is what is stored of a bundle to be restored.
type BundlePersistentState struct {
	SymbolicName string `json:"symbolicName"`
	Location     string `json:"location"`
	ID           *int64 `json:"id,omitempty"`
	State        int    `json:"state"`
	Version      string `json:"version"`
	StartLevel   int    `json:"startLevel"`
}

// Bundle is a bundle in edged's own list. State is empty, and Trouble says why, when the
// framework does not run.
type Bundle struct {
	Key       string `json:"key"`
	Type      string `json:"type"`
	State     string `json:"state,omitempty"`
	Wanted    bool   `json:"wanted"`
	Held      bool   `json:"held,omitempty"` // left out, because frameworks ended while they started it
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
	Installed string `json:"installed"`
	Updated   string `json:"updated"`
	Name      string `json:"name,omitempty"`
	Vendor    string `json:"vendor,omitempty"`
}

// BundleList is GET /modules/api/bundles/_list, which edgectl asks.
type BundleList struct {
	Bundles []Bundle `json:"bundles"`
	// Trouble says why no state is known.
	Trouble string `json:"trouble,omitempty"`
}
