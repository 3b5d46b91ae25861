package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/edged/agent/manifest"
	"github.com/edged/edged/edged/edgectl/check"
	"github.com/edged/edged/pkg/config"
	"github.com/edged/edged/pkg/deployment"
)

// top is the repository's.
const top = "../.."

// documents are all pages that people read, by their path from the top.
func documents(t *testing.T) map[string]string {
	t.Helper()
	var names []string
	for _, folder := range []string{"docs", "docs/internals"} {
		found, err := filepath.Glob(filepath.Join(top, folder, "*.md"))
		require.NoError(t, err)
		require.NotEmpty(t, found)
		names = append(names, found...)
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"} {
		names = append(names, filepath.Join(top, name))
	}
	pages := map[string]string{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		rel, err := filepath.Rel(top, name)
		require.NoError(t, err)
		pages[rel] = string(b)
	}
	return pages
}

var (
	fence   = regexp.MustCompile("(?ms)^ *```([a-z]*)\n(.*?)^ *```$")
	span    = regexp.MustCompile("`([^`\n]+)`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// blocks are a page's fenced blocks of a language.
func blocks(page, language string) (all []string) {
	for _, m := range fence.FindAllStringSubmatch(page, -1) {
		if m[1] == language {
			all = append(all, m[2])
		}
	}
	return all
}

// titles are a page's headings, each as it is linked to.
func titles(page string) map[string]bool {
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		name := strings.ToLower(strings.Map(func(r rune) rune {
			if strings.ContainsRune("`?!.,:'()", r) {
				return -1
			}
			return r
		}, m[1]))
		all[strings.ReplaceAll(name, " ", "-")] = true
	}
	return all
}

func TestLinksInTheDocumentsLeadSomewhere(t *testing.T) {
	pages := documents(t)
	for name, page := range pages {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			path, anchor, _ := strings.Cut(m[1], "#")
			to := name
			if path != "" {
				to = filepath.Join(filepath.Dir(name), path)
				_, err := os.Stat(filepath.Join(top, to))
				require.NoError(t, err, "%s links to %s", name, m[1])
			}
			if anchor != "" {
				require.True(t, titles(pages[to])[anchor], "%s links to %s, and %s has no such heading", name, m[1], to)
			}
		}
	}
}

// TestEachCheckHasItsSection and each section is about a check.
func TestEachCheckHasItsSection(t *testing.T) {
	ids := check.IDs()
	var sections []string
	for _, m := range regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(documents(t)["docs/troubleshooting.md"], -1) {
		sections = append(sections, m[1])
	}
	require.Equal(t, ids, sections, "in the order of the checks")
}

// TestTheAgentInTheDocumentationIsTheOneThatIsRun on a device, by tests/agent.
func TestTheAgentInTheDocumentationIsTheOneThatIsRun(t *testing.T) {
	program, err := os.ReadFile(filepath.Join(top, "docs", "examples", "agent", "main.go"))
	require.NoError(t, err)
	require.Equal(t, []string{string(program)}, blocks(documents(t)["docs/agent.md"], "go"))
}

// TestTheQuickStartShowsWhatItsManifestMakes: its revision is the hash of the text.
func TestTheQuickStartShowsWhatItsManifestMakes(t *testing.T) {
	page := documents(t)["docs/quick-start.md"]
	require.Contains(t, page, "\n"+short(deployment.Revision([]byte(blocks(page, "json")[0])))+" is applied\n")
}

func TestConfigurationsAndManifestsInTheDocumentsAreValid(t *testing.T) {
	found := 0
	for name, page := range documents(t) {
		for _, text := range blocks(page, "toml") {
			file := filepath.Join(t.TempDir(), "config.toml")
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			_, err := config.Load(file)
			require.NoError(t, err, "%s: %s", name, text)
			found++
		}
		for _, text := range append(blocks(page, "json"), blocks(page, "yaml")...) {
			_, err := manifest.Parse([]byte(text), func(string) (string, bool) { return "x", true })
			require.NoError(t, err, "%s: %s", name, text)
			found++
		}
	}
	require.Positive(t, found)
}

// TestCommandsInTheDocumentsExist with all their flags.
func TestCommandsInTheDocumentsExist(t *testing.T) {
	ids := check.IDs()
	seen := map[string]bool{}
	for name, page := range documents(t) {
		var lines []string
		for _, text := range append(blocks(page, "sh"), blocks(page, "")...) {
			lines = append(lines, strings.Split(text, "\n")...)
		}
		for _, text := range strings.Split(fence.ReplaceAllString(page, ""), "\n") {
			if strings.HasPrefix(text, "    ") {
				lines = append(lines, text)
			}
			for _, m := range span.FindAllStringSubmatch(text, -1) {
				lines = append(lines, m[1])
			}
		}
		for _, line := range lines {
			for _, args := range commands(line) {
				cmd, rest, err := new(app).root().Find(args)
				require.NoError(t, err, "%s: %s", name, line)
				require.True(t, cmd.HasParent(), "%s: %s: there is no such command", name, line)
				require.NoError(t, parse(cmd, rest), "%s: %s", name, line)
				require.False(t, cmd.HasSubCommands() && cmd.Flags().NArg() > 0, "%s: %s: there is no such command", name, line)
				if cmd.Name() == "check" {
					require.Subset(t, ids, cmd.Flags().Args(), "%s: %s", name, line)
				}
				seen[cmd.CommandPath()] = true
			}
		}
	}
	for _, cmd := range new(app).root().Commands() {
		if !cmd.Hidden && cmd.IsAvailableCommand() && cmd.Name() != "docs" {
			used := false
			for path := range seen {
				used = used || path == cmd.CommandPath() || strings.HasPrefix(path, cmd.CommandPath()+" ")
			}
			require.True(t, used, "no page shows %s", cmd.CommandPath())
		}
	}
}

// parse reads flags as the command does. A page may leave values out.
func parse(cmd *cobra.Command, args []string) error {
	err := cmd.ParseFlags(args)
	if err != nil && strings.HasPrefix(err.Error(), "flag needs an argument") {
		return nil
	}
	return err
}

// commands are the arguments of each edgectl in a line of a shell, in the simple forms
// that pages have: "a | b", alternatives that are "a | b" in words, and comments.
func commands(line string) (all [][]string) {
	line, _, _ = strings.Cut(line, " #")
	line, _, _ = strings.Cut(line, ";")
	for part := range strings.SplitSeq(line, " | ") {
		words := strings.Fields(part)
		if len(words) > 1 && words[0] == "sudo" {
			words = words[1:]
		}
		if len(words) < 2 || words[0] != "edgectl" || strings.HasPrefix(words[1], "COMMAND") || strings.HasPrefix(words[1], "completion") || strings.HasPrefix(words[1], "--") {
			continue
		}
		for i, w := range words {
			words[i] = strings.TrimSuffix(w, ",")
			if strings.ContainsAny(w, "<>&") {
				words = words[:i]
				break
			}
		}
		all = append(all, words[1:])
	}
	return all
}
