package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span, in the file a string such as "1h30m" or "250ms".
type Duration struct {
	time.Duration
}

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf(`%q is not a duration such as "90s" or "1h30m"`, text)
	}
	d.Duration = v
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) {
	return []byte(d.String()), nil
}

// Size is a number of bytes, in the file an integer or a string such as "64KiB".
type Size int64

// units of Size. Those of 1000 are left out: in half of the world's files "MB"
// means one thing and in the other half the other.
var units = []struct {
	name  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"B", 1}}

// UnmarshalText reads digits and a unit: B, KiB, MiB, GiB or TiB.
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := strings.TrimSpace(string(text)), int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimRight(rest, " "), u.bytes
			break
		}
	}
	v, err := strconv.ParseUint(number, 10, 63)
	if err != nil {
		return fmt.Errorf(`%q is not a size such as "64KiB" (units: B, KiB, MiB, GiB, TiB)`, text)
	}
	if v > uint64(math.MaxInt64/unit) {
		return errors.New("the size is too large")
	}
	*s = Size(int64(v) * unit)
	return nil
}

// String is the size in its largest whole unit, as UnmarshalText reads it.
func (s Size) String() string {
	for i := len(units) - 2; i >= 0; i-- {
		if u := units[i]; s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}
