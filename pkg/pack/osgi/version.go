package osgi

import (
	"cmp"
	"math"
	"strconv"
	"strings"

	"github.com/edged/edged/pkg/lazyregexp"
)

// maxVersion is the longest text of a version, in bytes: it is a segment of a bundle's key.
const maxVersion = 255

// Version is a version of a bundle or package (OSGi Core 3.2.5). The zero value is 0.0.0, which
// is what a framework takes for a version that is missing.
type Version struct {
	// The numbers are from 0 to 2147483647: those of a Java int.
	Major, Minor, Micro int
	// Qualifier has letters, digits, "_" and "-"; empty comes before all others.
	Qualifier string
}

var versionForm = lazyregexp.New(`^([0-9]+)(?:\.([0-9]+)(?:\.([0-9]+)(?:\.([A-Za-z0-9_-]+))?)?)?$`)

// ParseVersion reads a version: one to three numbers, and a qualifier after the third. "1.0-SNAPSHOT"
// is none. Errors: *pack.Error (Invalid).
func ParseVersion(text string) (Version, error) {
	m := versionForm().FindStringSubmatch(strings.TrimSpace(text))
	if m == nil || len(text) > maxVersion {
		return Version{}, invalid("%s is no version: it is not of the form 1.2.3.qualifier", quote(text))
	}
	v := Version{Qualifier: m[4]}
	for i, n := range []*int{&v.Major, &v.Minor, &v.Micro} {
		if m[i+1] == "" {
			break
		}
		number, err := strconv.ParseInt(m[i+1], 10, 64)
		if err != nil || number > math.MaxInt32 {
			return Version{}, invalid("%s is no version: %s is more than %d", quote(text), m[i+1], math.MaxInt32)
		}
		*n = int(number)
	}
	return v, nil
}

// String is the version as a framework writes it: all three numbers, and the qualifier if there
// is one.
func (v Version) String() string {
	text := strconv.Itoa(v.Major) + "." + strconv.Itoa(v.Minor) + "." + strconv.Itoa(v.Micro)
	if v.Qualifier != "" {
		text += "." + v.Qualifier
	}
	return text
}

// Compare is negative, 0 or positive: numbers as numbers, then the qualifier as text, so that
// 1.0.0 comes before 1.0.0.SNAPSHOT.
func (v Version) Compare(o Version) int {
	return cmp.Or(cmp.Compare(v.Major, o.Major), cmp.Compare(v.Minor, o.Minor), cmp.Compare(v.Micro, o.Micro), strings.Compare(v.Qualifier, o.Qualifier))
}

// quote shortens what a message repeats of a hostile text.
func quote(text string) string {
	const longest = 80
	if len(text) > longest {
		return strconv.Quote(text[:longest]) + "..."
	}
	return strconv.Quote(text)
}
