package openapi_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/contrib/openapi"
)

// eachDocument parses every document once and does something with it.
func eachDocument(t *testing.T, do func(t *testing.T, text []byte, doc *openapi3.T)) {
	for _, name := range openapi.Names {
		t.Run(name, func(t *testing.T) {
			text, err := openapi.Read(name)
			require.NoError(t, err)
			doc, err := openapi3.NewLoader().LoadFromData(text)
			require.NoError(t, err)
			do(t, text, doc)
		})
	}
}

func TestEachFileIsADocumentThatIsServed(t *testing.T) {
	files, err := filepath.Glob("*.yaml")
	require.NoError(t, err)
	require.ElementsMatch(t, openapi.Names, files)
	for _, name := range []string{"", "none.yaml", "../openapi/management.yaml", "openapi.go", "/etc/passwd"} {
		_, err := openapi.Read(name)
		require.ErrorIs(t, err, errdefs.ErrNotFound, name)
	}
}

// TestDocumentsAreValid by OpenAPI 3.0, their examples and defaults by their own schemas.
func TestDocumentsAreValid(t *testing.T) {
	eachDocument(t, func(t *testing.T, _ []byte, doc *openapi3.T) {
		require.NoError(t, doc.Validate(t.Context(), openapi3.EnableExamplesValidation(), openapi3.EnableSchemaDefaultsValidation(),
			openapi3.EnableSchemaFormatValidation(), openapi3.EnableSchemaPatternValidation(), openapi3.EnableMultiError()))
		require.True(t, strings.HasPrefix(doc.OpenAPI, "3.0."), "what every generator of clients reads")
	})
}

var (
	identifier = regexp.MustCompile(`^[a-z][A-Za-z]+$`)
	sentence   = regexp.MustCompile(`(?s)[.:)]\s*$`)
	reference  = regexp.MustCompile(`"#/components/([a-zA-Z]+)/([^"]+)"`)
)

// TestDocumentsFollowTheRules that readers and generators of clients profit from.
func TestDocumentsFollowTheRules(t *testing.T) {
	eachDocument(t, func(t *testing.T, text []byte, doc *openapi3.T) {
		tags := map[string]bool{}
		for _, tag := range doc.Tags {
			tags[tag.Name] = false
			requireWords(t, "tag "+tag.Name, tag.Description)
		}
		ids := map[string]bool{}
		for path, item := range doc.Paths.Map() {
			for method, op := range item.Operations() {
				name := method + " " + path
				require.Regexp(t, identifier, op.OperationID, name)
				require.False(t, ids[op.OperationID], "%s: the operationId %s comes twice", name, op.OperationID)
				ids[op.OperationID] = true
				require.Len(t, op.Tags, 1, name)
				require.Contains(t, tags, op.Tags[0], name)
				tags[op.Tags[0]] = true
				require.NotEmpty(t, op.Summary, name)
				require.LessOrEqual(t, len(op.Summary), 80, name)
				require.NotRegexp(t, `\.$`, op.Summary, "%s: a summary is no sentence", name)
				if op.Description != "" {
					requireWords(t, name, op.Description)
				}
				require.NotEmpty(t, op.Extensions["x-edged-rule"], name)
				for _, p := range slices.Concat(op.Parameters, item.Parameters) {
					requireWords(t, name+": parameter "+p.Value.Name, p.Value.Description)
					require.NotNil(t, p.Value.Schema, name)
				}
				answers(t, name, op)
				if body := op.RequestBody; body != nil {
					require.NotContains(t, []string{http.MethodGet, http.MethodHead, http.MethodOptions}, method, name)
					for media, as := range body.Value.Content {
						require.NotNil(t, as.Schema, "%s: %s", name, media)
					}
				}
			}
		}
		for tag, used := range tags {
			require.True(t, used, "tag %s has no operation", tag)
		}
		for name, s := range doc.Components.Schemas {
			requireWords(t, "schema "+name, s.Value.Description)
			for _, need := range s.Value.Required {
				require.Contains(t, s.Value.Properties, need, "schema %s needs a member that it has not", name)
			}
		}
		for name, r := range doc.Components.Responses {
			requireWords(t, "response "+name, *r.Value.Description)
		}
		unused(t, text, doc)
		for i, line := range bytes.Split(text, []byte("\n")) {
			require.Equal(t, len(bytes.TrimRight(line, " \t\r")), len(line), "line %d ends with space", i+1)
		}
	})
}

// answers are what an operation has at least: its success, refusals, and what befalls all.
func answers(t *testing.T, name string, op *openapi3.Operation) {
	t.Helper()
	var success, refusal bool
	for status, ref := range op.Responses.Map() {
		success = success || status[0] == '2'
		refusal = refusal || status == "403" || status == "401"
		requireWords(t, name+": "+status, *ref.Value.Description)
		for header, h := range ref.Value.Headers {
			requireWords(t, name+": "+header, h.Value.Description)
		}
		for media, as := range ref.Value.Content {
			require.NotNil(t, as.Schema, "%s: %s: %s", name, status, media)
		}
	}
	require.True(t, success, "%s has no answer of success", name)
	require.True(t, refusal, "%s has no refusal", name)
	for _, status := range []string{"500", "503"} {
		require.NotNil(t, op.Responses.Value(status), "%s has no answer %s", name, status)
	}
}

func requireWords(t *testing.T, what, text string) {
	t.Helper()
	require.Regexp(t, sentence, text, "%s has no description that is a sentence", what)
}

// unused finds components that nothing refers to. Answers to what has no operation are used by being there.
func unused(t *testing.T, text []byte, doc *openapi3.T) {
	t.Helper()
	used := map[string]bool{}
	for _, m := range reference.FindAllSubmatch(text, -1) {
		used[string(m[1])+"/"+string(m[2])] = true
	}
	for name := range doc.Components.Schemas {
		require.True(t, used["schemas/"+name], "nothing uses the schema %s", name)
	}
	for name := range doc.Components.Parameters {
		require.True(t, used["parameters/"+name], "nothing uses the parameter %s", name)
	}
	for name := range doc.Components.Headers {
		require.True(t, used["headers/"+name], "nothing uses the header %s", name)
	}
	for name := range doc.Components.RequestBodies {
		require.True(t, used["requestBodies/"+name], "nothing uses the request body %s", name)
	}
	for name, r := range doc.Components.Responses {
		require.True(t, used["responses/"+name] || r.Value.Extensions["x-edged-outside"] != nil, "nothing uses the response %s", name)
	}
}

// TestPackagesInstallTheDocuments where the pages say that they are.
func TestPackagesInstallTheDocuments(t *testing.T) {
	recipe, err := os.ReadFile(filepath.Join("..", "packages", "edged", "nfpm.yaml"))
	require.NoError(t, err)
	for _, name := range openapi.Names {
		require.Contains(t, string(recipe), "src: contrib/openapi/"+name+", dst: /usr/share/doc/edged/openapi/"+name+",")
	}
}
