package pack

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/edged/edged/pkg/lazyregexp"
)

// maxVersion is the largest version that a JSON number carries unharmed.
const maxVersion = 1 << 53

// parseVersion reads RAMP's version: a number or the text of one, and its packer writes
// either as a float.
func parseVersion(text string) (int64, error) {
	if text == "" {
		return 0, invalid("its version is missing")
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || v < 1 || v > maxVersion || strings.ContainsAny(text, "xX_") {
		return 0, invalid("its version %q is not a number from 1 on", text)
	}
	return int64(v), nil
}

var semantic = lazyregexp.New(`^v?([0-9]{1,6})\.([0-9]{1,2})\.([0-9]{1,2})(?:[-+.].*)?$`)

// Version is the number of a semantic version by RAMP's rule, major*10000+minor*100+patch;
// 0 for what is none, or does not fit.
func Version(semver string) int64 {
	m := semantic().FindStringSubmatch(semver)
	if m == nil {
		return 0
	}
	var parts [3]int64
	for i := range parts {
		parts[i], _ = strconv.ParseInt(m[i+1], 10, 64) // digits, and few
	}
	return parts[0]*10000 + parts[1]*100 + parts[2]
}

// SemanticVersion is the reverse.
func SemanticVersion(version int64) string {
	return fmt.Sprintf("%d.%d.%d", version/10000, version/100%100, version%100)
}

var dotted = lazyregexp.New(`^[0-9]{1,9}(\.[0-9]{1,9}){0,7}$`)

// CompareVersions compares dotted numbers as numbers, a missing one as 0; false when
// one of them is no such version.
func CompareVersions(a, b string) (int, bool) {
	if !dotted().MatchString(a) || !dotted().MatchString(b) {
		return 0, false
	}
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(x), len(y)) {
		if n, m := part(x, i), part(y, i); n != m {
			if n < m {
				return -1, true
			}
			return 1, true
		}
	}
	return 0, true
}

func part(version []string, i int) int {
	if i >= len(version) {
		return 0
	}
	n, _ := strconv.Atoi(version[i]) // nine digits at most
	return n
}
