package wire

// Build is a row of the catalog.
type Build struct {
	// UID is name, stream, version and context with colons between.
	UID         string     `json:"uid"`
	Name        string     `json:"name"`
	Stream      string     `json:"stream"`
	Version     string     `json:"version"`
	Context     string     `json:"context"`
	Active      bool       `json:"active"`
	KojiTag     string     `json:"koji_tag"`
	ModuleMD    string     `json:"modulemd"`
	RuntimeDeps []BuildDep `json:"runtime_deps"`
	BuildDeps   []BuildDep `json:"build_deps"`
	// RPMs are what it contains, name-epoch:version-release.arch.rpm.
	RPMs []string `json:"rpms"`
}

// BuildDep is a build that another one needs.
type BuildDep struct {
	Dependency string `json:"dependency"`
	Stream     string `json:"stream"`
}

// BuildPage is the answer of GET /rest_api/v1/modules/.
type BuildPage struct {
	// Count of all builds that were asked for, on all pages.
	Count   int     `json:"count"`
	Next    string  `json:"next"`
	Results []Build `json:"results"`
}
