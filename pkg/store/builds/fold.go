package builds

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// isASCII says whether SQLite's own comparison without regard to case does.
func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fold gives all texts that differ in case alone one form: of the characters that are
// the same but for their case, the first. Texts with other than ASCII characters equal
// no text without.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, s)
}
