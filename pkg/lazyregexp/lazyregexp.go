// Package lazyregexp compiles expressions when they are first asked. Compiled with their
// packages, those of edged took a millisecond of every start and a megabyte, most of them
// for requests that a device never gets.
package lazyregexp

import (
	"os"
	"regexp"
	"strings"
	"sync"
)

// New takes what regexp.MustCompile takes, and gives what returns the same. A wrong
// expression panics when it is first asked, and in tests at once.
func New(expression string) func() *regexp.Regexp {
	compiled := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
	if len(os.Args) > 0 && strings.HasSuffix(os.Args[0], ".test") {
		compiled()
	}
	return compiled
}
