package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable makes text that somebody else wrote harmless to a terminal: control
// characters, those that turn the direction of writing, and broken UTF-8 are shown
// as Go would quote them. They could else move the cursor, hide lines or retitle the window.
func printable(s string) string {
	if harmless(s, "") {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				fmt.Fprintf(&b, `\x%02x`, s[i])
				continue
			}
		}
		b.WriteString(quoteRune(r, ""))
	}
	return b.String()
}

// printableText is printable for text of many lines: newlines and tabs stay.
func printableText(s string) string {
	if harmless(s, "\n\t") {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		b.WriteString(quoteRune(r, "\n\t"))
	}
	return b.String()
}

// printableJSON escapes in JSON what its encoder leaves: characters from U+007F
// that are not print. They can only stand inside of strings, where \u means the same.
func printableJSON(s string) string {
	if harmless(s, "\n") {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func harmless(s, also string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) && !strings.ContainsRune(also, r) })
}

func quoteRune(r rune, keep string) string {
	if unicode.IsPrint(r) || strings.ContainsRune(keep, r) {
		return string(r)
	}
	q := strconv.QuoteRuneToGraphic(r)
	if q = q[1 : len(q)-1]; q == string(r) {
		// Graphic but not print: spaces of other widths.
		return " "
	}
	return q
}

// shorten cuts text to n characters.
func shorten(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
