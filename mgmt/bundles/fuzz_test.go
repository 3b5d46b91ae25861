package bundles

import (
	"slices"
	"strings"
	"testing"

	"github.com/edged/edged/pkg/bundle"
)

// FuzzSelectors: what stands in a path is a form that a route has, of which nothing is lost, or of no route.
func FuzzSelectors(f *testing.F) {
	for _, seed := range []string{"news", "g/news/2.0", "*", "*/*/*", "g/*/*", "[news, none/1]", "[,a,,b]", "[a", "a]b", "[*]", "", "/", "a/b/c/d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, ok := anySelector(text)
		switch {
		case !ok:
		case s.one && (len(s.keys) != 1 || s.keys[0] != text || strings.ContainsAny(text, "[]*")):
			t.Fatalf("%q is one key: %+v", text, s)
		case s.listed && slices.ContainsFunc(s.keys, func(key string) bool { return key == "" || strings.ContainsAny(key, "[],*") }):
			t.Fatalf("%q has keys that are none: %+v", text, s)
		}
		if key, ok := bundle.ParseKey(text); ok && !strings.Contains(key.Name, "/") { // else no bundle can have it
			if again, ok := bundle.ParseKey(key.String()); !ok || again != key {
				t.Fatalf("%q is %+v, and that is %+v", text, key, again)
			}
		}
	})
}
