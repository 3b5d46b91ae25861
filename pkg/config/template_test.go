package config

import (
	"os"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// templateFile is what the packages install as /etc/edged/config.toml.
const templateFile = "../../contrib/config/config.toml"

// setting is a default in the template: "#key = value" or "#[[table]]", where a
// remark is "# words".
var setting = regexp.MustCompile(`(?m)^#([a-z0-9_]+ = |\[\[)`)

func uncomment(template string) string { return setting.ReplaceAllString(template, "$1") }

func TestTemplateIsAnEmptyConfiguration(t *testing.T) {
	text, err := os.ReadFile(templateFile)
	require.NoError(t, err)
	for _, e := range outline(text, map[string]int{}) {
		require.Equal(t, "Table", e.kind.String(), "%s is set", e.key)
	}
	c, err := loadText(t, string(text))
	require.NoError(t, err)
	empty, err := loadText(t, "")
	require.NoError(t, err)
	require.Equal(t, empty, c)
}

func TestTemplateTellsEveryKeyAndItsDefault(t *testing.T) {
	text, err := os.ReadFile(templateFile)
	require.NoError(t, err)
	document := uncomment(string(text))

	told := make(map[string]bool)
	for _, e := range outline([]byte(document), map[string]int{}) {
		told[withoutIndexes(e.key)] = true
	}
	var missing []string
	for key := range newSchema() {
		if !told[key] {
			missing = append(missing, key)
		}
	}
	sort.Strings(missing)
	require.Empty(t, missing, "keys that %s does not tell", templateFile)

	// The other way round an unknown key is an error, and a value that is not
	// the default is a difference.
	m := merger{config: Default(), schema: newSchema(), tables: map[string]int{}, places: map[string]place{}}
	require.NoError(t, m.merge(templateFile, []byte(document)))
	want := Default()
	want.Grants = append(want.Grants, builtinGrant())
	require.Equal(t, want, m.config)
}

func TestTemplateRemarksEveryKey(t *testing.T) {
	text, err := os.ReadFile(templateFile)
	require.NoError(t, err)
	remarked := false
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.HasPrefix(line, "# "):
			remarked = true
		case setting.MatchString(line):
			require.True(t, remarked, "no remark above %q", line)
		case strings.TrimSpace(line) == "":
			remarked = false
		}
	}
}
