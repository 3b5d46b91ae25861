package catalog

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The words in which a value is refused.
const (
	msgRequired  = "This field is required."
	msgNull      = "This field may not be null."
	msgBlank     = "This field may not be blank."
	msgNotString = "Not a valid string."
	msgNotInt    = "A valid integer is required."
	msgNegative  = "Ensure this value is greater than or equal to 0."
	msgNUL       = "Null characters are not allowed."
)

// text is a field that is a string.
type text struct {
	max   int  // characters; 0: no bound
	bytes int  // bytes; 0: no bound
	blank bool // may be empty
	null  bool // may be null, which is as empty
}

// read makes a string of a value: numbers become text, and white space around it goes.
// problem is empty when the value is fine.
func (f text) read(v any) (s, problem string) {
	switch v := v.(type) {
	case nil:
		if f.null {
			return "", ""
		}
		return "", msgNull
	case string:
		s = v
	case json.Number:
		s = numberText(v)
	default:
		return "", msgNotString
	}
	s = strings.TrimFunc(s, isSpace)
	switch {
	case s == "" && !f.blank:
		return "", msgBlank
	case strings.ContainsRune(s, 0):
		return "", msgNUL
	case f.max > 0 && utf8.RuneCountInString(s) > f.max:
		return "", fmt.Sprintf("Ensure this field has no more than %d characters.", f.max)
	case f.bytes > 0 && len(s) > f.bytes:
		return "", fmt.Sprintf("Ensure this field has no more than %d bytes.", f.bytes)
	}
	return s, ""
}

// isSpace is white space as Python's str.strip has it.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

// numberText is a number as Python writes it, which is how clients in the field see it:
// 1.5 is "1.5", 1e3 is "1000.0", and integers keep all their digits.
func numberText(n json.Number) string {
	s := n.String()
	if !strings.ContainsAny(s, ".eE") {
		if s == "-0" {
			return "0"
		}
		return s // JSON has no other integers than Python writes
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return s // it has no float: its own text is the best there is
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// The words for yes and no in a body. Others, and other cases of these, are neither.
var (
	yes = []string{"t", "T", "y", "Y", "yes", "YES", "true", "True", "TRUE", "on", "On", "ON", "1"}
	no  = []string{"f", "F", "n", "N", "no", "NO", "false", "False", "FALSE", "off", "Off", "OFF", "0"}
)

// readBool makes a boolean of a value.
func readBool(v any) (b bool, problem string) {
	word := ""
	switch v := v.(type) {
	case nil:
		return false, msgNull
	case bool:
		return v, ""
	case string:
		word = v
	case json.Number:
		word = v.String()
		if f, err := v.Float64(); err == nil && (f == 0 || f == 1) {
			word = strconv.Itoa(int(f))
		}
	default:
		word = string(encode(v))
	}
	for _, w := range yes {
		if word == w {
			return true, ""
		}
	}
	for _, w := range no {
		if word == w {
			return false, ""
		}
	}
	return false, `"` + word + `" is not a valid boolean.`
}

// readEpoch makes an RPM's epoch of a value: a number, or its text.
func readEpoch(v any) (n int64, problem string) {
	word := ""
	switch v := v.(type) {
	case nil:
		return 0, msgNull
	case string:
		word = strings.TrimFunc(v, isSpace)
	case json.Number:
		word = v.String()
		if f, err := v.Float64(); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			word = strconv.FormatInt(int64(f), 10)
		}
	}
	n, err := strconv.ParseInt(word, 10, 64)
	switch {
	case err != nil:
		return 0, msgNotInt
	case n < 0:
		return 0, msgNegative
	case n > math.MaxInt32:
		return 0, fmt.Sprintf("Ensure this value is less than or equal to %d.", math.MaxInt32)
	}
	return n, ""
}

// typeName is what the original, a Python program, calls the type of a JSON value.
func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case string:
		return "unicode"
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "float"
		}
		return "int"
	case []any:
		return "list"
	default:
		return "dict"
	}
}
