package main

import "os"

// Colours of a terminal (ECMA-48, 8.3.117).
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	grey   = "90"
)

// colour paints text for a terminal, and for nothing else: a file or a pipe gets the
// text as it is, and so does who asked for none (https://no-color.org).
func (a *app) colour(code, text string) string {
	if !a.terminal || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
