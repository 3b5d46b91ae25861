// Package cockpit holds the page for Cockpit to rules that a browser cannot be asked about.
package cockpit

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// forbidden is what no file of the page may hold, by the ending of its name: each is a way in which the text of a stranger becomes markup or code, or
// in which the page asks for something from elsewhere.
var forbidden = map[string]string{
	".js": `innerHTML|outerHTML|insertAdjacentHTML|setHTML|createContextualFragment|DOMParser|srcdoc|document\.write|\beval\b|\bFunction\(|\bimport\(|javascript:|\.style\s*[.=[]|` +
		`set(Timeout|Interval)\(\s*['"` + "`" + `]|['"]on[a-z]+['"]|https?://|\bfetch\(|XMLHttpRequest|WebSocket|\bspawn\(\s*[^[]|cockpit\.(script|file)\b`,
	".html": `(?i)<style|\sstyle=|\son[a-z]+=|javascript:|https?://|<script[^>]*>[^<]`,
	".css":  `(?i)@import|https?:|expression\(|url\("?[^".]`,
}

func files(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.js", "*.html", "*.css"} {
		names, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, names)
		for _, name := range names {
			b, err := os.ReadFile(name)
			require.NoError(t, err)
			all[name] = string(b)
		}
	}
	return all
}

func TestNothingMakesMarkupOrCodeOfText(t *testing.T) {
	for name, text := range files(t) {
		rule := regexp.MustCompile(forbidden[filepath.Ext(name)])
		for i, line := range strings.Split(text, "\n") {
			require.False(t, rule.MatchString(line), "%s:%d: %s", name, i+1, line)
		}
	}
}

// TestTheRulesFindWhatTheyAreFor keeps a slip in an expression from making it find nothing.
func TestTheRulesFindWhatTheyAreFor(t *testing.T) {
	for ending, lines := range map[string][]string{
		".js": {
			"e.innerHTML = x", "e.insertAdjacentHTML('beforeend', x)", "eval(x)", "new Function(x)", "setTimeout('x()')", "e.setAttribute('onclick', x)",
			"fetch('https://x')", "document.write(x)", "e.style.color = x", "cockpit.spawn('sh -c x')", "await import(x)",
		},
		".html": {`<p style="x">`, `<p onclick="x">`, `<script>x</script>`, `<script src="http://x">`, "<style>"},
		".css":  {`@import "x"`, `a { background: url(http://x) }`, `a { background: url("data:x") }`},
	} {
		rule := regexp.MustCompile(forbidden[ending])
		for _, line := range lines {
			require.True(t, rule.MatchString(line), line)
		}
	}
}

// TestElementsAreMadeInOnePlace is what makes the first test enough: dom.js alone makes elements and sets their attributes by a name in a variable.
func TestElementsAreMadeInOnePlace(t *testing.T) {
	making := regexp.MustCompile(`createElement|setAttribute\([^'"]`)
	for name, text := range files(t) {
		if name != "dom.js" && filepath.Ext(name) == ".js" {
			require.False(t, making.MatchString(text), name)
		}
	}
}

func TestTheManifestAllowsNothingFromElsewhere(t *testing.T) {
	b, err := os.ReadFile("manifest.json")
	require.NoError(t, err)
	var manifest struct {
		Policy string            `json:"content-security-policy"`
		Config map[string]string `json:"config"`
	}
	require.NoError(t, json.Unmarshal(b, &manifest))
	require.Contains(t, manifest.Policy, "default-src 'self';")
	for _, word := range []string{"unsafe", "*", "http", "data:", "blob:"} {
		require.NotContains(t, manifest.Policy, word)
	}
	require.Equal(t, "/run/edged/mgmt.sock", manifest.Config["socket"])
}
