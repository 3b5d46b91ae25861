package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSecretsAreSealedAsTheyAre(t *testing.T) {
	var asked string
	d := newDevice(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		asked = r.Method + " " + r.URL.Path + " " + string(b)
		_, _ = io.WriteString(w, `{"sealed":"edged-secret1d-x"}`)
	}))
	d.in = "pass\n"
	require.Equal(t, result{0, "edged-secret1d-x\n", ""}, d.run("secret", "seal"))
	require.Equal(t, `POST /secrets/seal {"value":"cGFzcwo="}`, asked)
	file := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(file, []byte("v"), 0o600))
	require.Equal(t, 0, d.run("secret", "seal", "--module", "m", file).code)
	require.Equal(t, `POST /secrets/seal {"value":"dg==","module":"m"}`, asked)
	asked = ""
	require.Equal(t, 0, d.run("secret", "seal", "-").code)
	require.NotEmpty(t, asked)

	asked = ""
	require.Equal(t, exitUsage, d.run("secret", "seal", "/no/such/file").code)
	require.Equal(t, exitUsage, d.run("secret", "seal", file, file).code)
	d.in = ""
	require.Equal(t, exitUsage, d.run("secret", "seal").code)
	d.in = string(make([]byte, maxSecret+1))
	require.Equal(t, exitUsage, d.run("secret", "seal").code)
	require.Empty(t, asked, "what cannot be sealed is not sent")
}
