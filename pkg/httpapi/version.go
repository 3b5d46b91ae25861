package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// versions are the api-versions of the management and workload contracts, oldest
// first. There is no upper limit to a route: what came once stays.
var versions = []string{"2018-06-28", "2019-01-30", "2019-10-22", "2019-11-05", "2020-07-07", "2021-12-07", "2022-08-03"}

// versionIndex orders versions; a mount without versions has index 0 throughout,
// and -1 is a version that nobody knows.
func versionIndex(v string) int {
	if v == "" {
		return -1
	}
	return slices.Index(versions, v)
}

// version reads api-version from the query. Missing, unknown or given twice is 400.
func (m *Mount) version(query url.Values) (int, error) {
	if !m.Versions {
		return 0, nil
	}
	switch given := query["api-version"]; {
	case len(given) == 0 || len(given) == 1 && given[0] == "":
		return 0, &statusError{http.StatusBadRequest, "api-version not specified"}
	case len(given) > 1:
		return 0, &statusError{http.StatusBadRequest, "api-version is given more than once"}
	default:
		if i := versionIndex(given[0]); i >= 0 {
			return i, nil
		}
		return 0, &statusError{http.StatusBadRequest, fmt.Sprintf("invalid api-version %q", given[0])}
	}
}
