package osgi

import "strings"

// Range is a range of versions (OSGi Core 3.2.6).
type Range struct {
	Floor     Version
	FloorOpen bool // Floor itself is not in it
	// Ceiling is nil for a range without an end: the text "1.2".
	Ceiling     *Version
	CeilingOpen bool
}

// ParseRange reads "[1.2,2)" and the like; "1.2" is 1.2 and all above. Errors: *pack.Error
// (Invalid).
func ParseRange(text string) (Range, error) {
	inner := strings.TrimSpace(text)
	if inner == "" || !strings.ContainsRune("[(", rune(inner[0])) {
		floor, err := ParseVersion(inner)
		return Range{Floor: floor}, err
	}
	last := inner[len(inner)-1]
	low, high, ok := strings.Cut(strings.TrimSuffix(inner[1:], string(last)), ",")
	if !ok || last != ']' && last != ')' {
		return Range{}, invalid("%s is no range of versions: it is not of the form [1.2,2)", quote(text))
	}
	floor, err := ParseVersion(low)
	if err != nil {
		return Range{}, err
	}
	ceiling, err := ParseVersion(high)
	if err != nil {
		return Range{}, err
	}
	return Range{floor, inner[0] == '(', &ceiling, last == ')'}, nil
}

// Includes says whether a version is in the range.
func (r Range) Includes(v Version) bool {
	if c := v.Compare(r.Floor); c < 0 || c == 0 && r.FloorOpen {
		return false
	}
	if r.Ceiling == nil {
		return true
	}
	c := v.Compare(*r.Ceiling)
	return c < 0 || c == 0 && !r.CeilingOpen
}

// String is the range as a framework writes it.
func (r Range) String() string {
	if r.Ceiling == nil && !r.FloorOpen {
		return r.Floor.String()
	}
	left, right, high := "[", "]", ""
	if r.FloorOpen {
		left = "("
	}
	if r.Ceiling != nil {
		high = r.Ceiling.String()
	}
	if r.CeilingOpen || r.Ceiling == nil {
		right = ")"
	}
	return left + r.Floor.String() + "," + high + right
}

// Filter is the range as terms of a filter on an attribute, to stand in an "&": "(v>=1.4.0)(!(v>=2.0.0))".
func (r Range) Filter(attribute string) string {
	var b strings.Builder
	term := func(format ...string) {
		for _, part := range format {
			b.WriteString(part)
		}
	}
	if r.FloorOpen {
		// "Not at most" is true of what has no such attribute, too.
		term("(", attribute, "=*)(!(", attribute, "<=", r.Floor.String(), "))")
	} else {
		term("(", attribute, ">=", r.Floor.String(), ")")
	}
	switch {
	case r.Ceiling == nil:
	case r.CeilingOpen:
		term("(!(", attribute, ">=", r.Ceiling.String(), "))")
	default:
		term("(", attribute, "<=", r.Ceiling.String(), ")")
	}
	return b.String()
}
