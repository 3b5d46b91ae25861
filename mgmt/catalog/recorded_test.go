package catalog

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAnswersAreThoseOfTheOriginal replays what the original catalog server was asked,
// in order, and answered. What it broke on has the answer of its document here.
func TestAnswersAreThoseOfTheOriginal(t *testing.T) {
	text, err := os.ReadFile("testdata/recorded.json")
	require.NoError(t, err)
	var recorded []struct {
		Name, Method, Path string
		Body               json.RawMessage
		Status             int
		Headers            map[string]string
		Response           string
	}
	require.NoError(t, json.Unmarshal(text, &recorded))
	require.Len(t, recorded, 36)
	broken := map[string]struct {
		status int
		body   string
	}{
		// A name is any string, and the row has a URL, in which the slash is escaped.
		"name with slash": {201, strings.NewReplacer("a:", "a/b:", `"a"`, `"a/b"`).Replace(row("a", "2"))},
	}
	r := newRig(t)
	for _, c := range recorded {
		body := string(c.Body)
		if body == "null" {
			body = ""
		}
		w := r.do(c.Method, c.Path, body)
		if c.Status == 503 {
			require.Contains(t, broken, c.Name)
			require.Equal(t, broken[c.Name].status, w.Code, c.Name)
			require.JSONEq(t, broken[c.Name].body, w.Body.String(), c.Name)
		} else {
			require.Equal(t, c.Status, w.Code, "%s: %s", c.Name, w.Body)
			if c.Response == "" {
				require.Empty(t, w.Body.String(), c.Name)
			} else {
				require.JSONEq(t, c.Response, w.Body.String(), c.Name)
			}
		}
		for name, value := range c.Headers {
			require.Equal(t, value, w.Header().Get(name), "%s: %s", c.Name, name)
		}
		if c.Status < 300 {
			// Members in their order, without spaces, UTF-8 as it is.
			require.Equal(t, c.Response, strings.TrimSpace(w.Body.String()), c.Name)
		}
	}
}
