package modulelog

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
)

// ParseTime reads the time of a query. In this order it is: RFC 3339; seconds since 1970, signed, of 64 bits, a fraction
// allowed; a duration, which means so long before now. A duration is Go's ("1h30m", "1.5h") or people's ("30m",
// "1h 20m", "2 days 3 hours", "1 week"). A month is 30.44 days, a year 365.25 days. Errors are errdefs.ErrInvalidArgument.
func ParseTime(s string, now time.Time) (time.Time, error) {
	s = strings.TrimSpace(s)
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if t, ok := parseUnix(s); ok {
		return t, nil
	}
	d, err := parseDuration(s)
	if err != nil {
		return time.Time{}, fmt.Errorf("cannot parse time %s: %w: want RFC 3339, unix seconds or a duration such as \"1h 20m\": %w", quote(s), err, errdefs.ErrInvalidArgument)
	}
	return now.Add(-d), nil
}

// ParseTail reads the number of lines of a query: "all", which is -1, or a number that is not negative.
// Errors are errdefs.ErrInvalidArgument.
func ParseTail(s string) (int, error) {
	if s == "all" {
		return -1, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("cannot parse tail %s: want \"all\" or a number that is not negative: %w", quote(s), errdefs.ErrInvalidArgument)
	}
	return int(min(n, math.MaxInt)), nil
}

// quote bounds what an error repeats of a query.
func quote(s string) string {
	if len(s) > 64 {
		return strconv.Quote(s[:64]) + "..."
	}
	return strconv.Quote(s)
}

func parseUnix(s string) (time.Time, bool) {
	whole, fraction, dotted := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	var nano int64
	if dotted {
		if fraction == "" {
			return time.Time{}, false
		}
		for i, c := range []byte(fraction) {
			if c < '0' || c > '9' {
				return time.Time{}, false
			}
			if i < 9 {
				nano = nano*10 + int64(c-'0')
			}
		}
		for i := len(fraction); i < 9; i++ {
			nano *= 10
		}
		if whole[0] == '-' {
			nano = -nano
		}
	}
	return time.Unix(sec, nano), true
}

// unit is the length of a unit of time by any of its names, zero for what is none.
func unit(name string) time.Duration {
	const day = 24 * time.Hour
	switch name {
	case "ns", "nsec", "nanos":
		return time.Nanosecond
	case "us", "µs", "μs", "usec", "micros":
		return time.Microsecond
	case "ms", "msec", "millis":
		return time.Millisecond
	case "s", "sec", "secs", "second", "seconds":
		return time.Second
	case "m", "min", "mins", "minute", "minutes":
		return time.Minute
	case "h", "hr", "hrs", "hour", "hours":
		return time.Hour
	case "d", "day", "days":
		return day
	case "w", "week", "weeks":
		return 7 * day
	case "M", "month", "months":
		return 30*day + 10*time.Hour + 33*time.Minute + 36*time.Second
	case "y", "yr", "yrs", "year", "years":
		return 365*day + 6*time.Hour
	}
	return 0
}

// parseDuration reads numbers, each with a unit, blanks allowed between them all.
func parseDuration(s string) (time.Duration, error) {
	if s == "" {
		return 0, fmt.Errorf("it is empty")
	}
	const longest = 9.2e18 // nanoseconds: what fits into a time.Duration
	var total float64
	var exact int64
	for s != "" {
		n := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if n <= 0 {
			return 0, fmt.Errorf("there is a number without a unit, or none")
		}
		number := s[:n]
		s = strings.TrimLeft(s[n:], " ")
		n = strings.IndexFunc(s, func(r rune) bool { return r == ' ' || r >= '0' && r <= '9' || r == '.' })
		if n < 0 {
			n = len(s)
		}
		length := unit(s[:n])
		if length == 0 {
			return 0, fmt.Errorf("%s is no unit of time", quote(s[:n]))
		}
		s = strings.TrimLeft(s[n:], " ")
		value, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return 0, fmt.Errorf("%s is no number", quote(number))
		}
		total += value * float64(length)
		if total >= longest {
			return 0, fmt.Errorf("it is over 292 years")
		}
		if i, err := strconv.ParseInt(number, 10, 64); err == nil {
			exact += i * int64(length) // a float has no nanoseconds of a century
		} else {
			exact += int64(value * float64(length))
		}
	}
	return time.Duration(max(exact, 0)), nil
}
