package catalog

import (
	"slices"
	"strings"
)

// FilterKind says what a filter compares, and how.
type FilterKind int

// The filters. Those of one column compare without regard to case; those of what a
// build needs and contains compare exactly and take several values, of which one has
// to fit.
const (
	ByUID FilterKind = iota
	ByName
	ByStream
	ByVersion
	ByContext
	ByKojiTag
	ByActive
	ByRuntimeDepName
	ByRuntimeDepStream
	ByBuildDepName
	ByBuildDepStream
	ByComponentName
	ByComponentBranch
	ByComponent
	ByRPMFilename
)

// Filter is one condition; all of a query's have to hold, each for itself: two of them
// may be met by two different dependencies.
type Filter struct {
	Kind FilterKind
	// Values are alternatives; without any nothing fits. A filter of one column has one,
	// ByActive none.
	Values []string
	// Active is the value of ByActive.
	Active bool
}

// filters are the names that the API has for them.
var filters = []struct {
	name string
	kind FilterKind
}{
	{"uid", ByUID},
	{"name", ByName},
	{"stream", ByStream},
	{"version", ByVersion},
	{"context", ByContext},
	{"koji_tag", ByKojiTag},
	{"active", ByActive},
	{"runtime_dep_name", ByRuntimeDepName},
	{"runtime_dep_stream", ByRuntimeDepStream},
	{"build_dep_name", ByBuildDepName},
	{"build_dep_stream", ByBuildDepStream},
	{"component_name", ByComponentName},
	{"component_branch", ByComponentBranch},
	{"component", ByComponent},
	{"rpm_filename", ByRPMFilename},
}

// column says whether a filter is of one column.
func (k FilterKind) column() bool { return k <= ByActive }

// ParseFilters reads the filters among the parameters of a query; other parameters are
// passed over. Of a column's filter the last value counts, and an empty one is as none;
// of the others an empty value alone fits nothing. Errors: *Invalid.
func ParseFilters(params map[string][]string) ([]Filter, error) {
	var all []Filter
	for _, f := range filters {
		values := params[f.name]
		if len(values) == 0 {
			continue
		}
		last := strings.TrimFunc(values[len(values)-1], isSpace)
		switch {
		case f.kind == ByActive && last != "":
			active, err := parseActive(last)
			if err != nil {
				return nil, err
			}
			all = append(all, Filter{Kind: f.kind, Active: active})
		case f.kind.column() && last != "":
			all = append(all, Filter{Kind: f.kind, Values: []string{last}})
		case f.kind.column():
		case len(values) == 1 && values[0] == "":
			all = append(all, Filter{Kind: f.kind})
		default:
			values = slices.Clone(values)
			slices.Sort(values)
			all = append(all, Filter{Kind: f.kind, Values: slices.Compact(values)})
		}
	}
	return all, nil
}

func parseActive(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "true", "t", "1":
		return true, nil
	case "false", "f", "0":
		return false, nil
	}
	return false, invalid("%s is not a valid boolean value", s)
}

// Component splits the value of ByComponent: the name of an RPM and, with hasBranch,
// the branch that the same RPM is from.
func Component(value string) (name, branch string, hasBranch bool) {
	name, branch, hasBranch = strings.Cut(value, "/")
	if strings.Contains(branch, "/") {
		return value, "", false
	}
	return name, branch, hasBranch
}

// params are the names of all parameters that a request may have.
var params = func() []string {
	names := []string{"ordering", "fields", "exclude_fields", "page", "page_size"}
	for _, f := range filters {
		names = append(names, f.name)
	}
	return names
}()

// CheckParams refuses parameters that mean nothing: *Invalid.
func CheckParams(given map[string][]string) error {
	var unknown []string
	for name := range given {
		if !slices.Contains(params, name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	return invalid("Unknown query params: %s.", strings.Join(unknown, ", "))
}
