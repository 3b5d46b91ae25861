//go:build clients

package workload

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// The Node SDK, azure-iot-device from npm, unmodified: make test-clients installs it. Its token is of the form
// "SharedAccessSignature sr=<resource>&sig=<signature>&se=<expiry>", whose signature is that of the module's primary key over resource and expiry.
func TestTheNodeSDKGetsItsToken(t *testing.T) {
	modules := filepath.Join(device.Repository(), "build", "clients", "node_modules")
	require.DirExists(t, filepath.Join(modules, "azure-iot-device"), "make test-clients installs it")
	for _, name := range []string{"node", "$edgeHub"} {
		t.Run(name, func(t *testing.T) {
			d := device.New(t, device.Options{Config: "[device]\nid = \"dev-1\"\nhub = \"hub.example\"\n"})
			registered := identity(t, d, name)
			printed := borrow(t, d, bare(name), map[string]string{"client.js": "testdata/client.js"}, []string{modules + ":/probe/node_modules:ro"}, node(t), "/probe/client.js")
			var answer struct{ Token, Bundle, Stale string }
			require.NoError(t, json.Unmarshal([]byte(printed), &answer), printed)
			const scheme = "SharedAccessSignature "
			require.Contains(t, answer.Token, scheme)
			token, err := url.ParseQuery(answer.Token[len(scheme):])
			require.NoError(t, err)
			require.Equal(t, "hub.example/devices/dev-1/modules/"+registered.ModuleID, token.Get("sr"))

			deleteModule(t, d, bare(name))
			m := run(t, d, bare(name))
			signed := url.QueryEscape(token.Get("sr")) + "\n" + token.Get("se")
			require.Equal(t, m.sign(signed), token.Get("sig"))
			require.Equal(t, m.field(m.get("/trust-bundle"), "certificate"), answer.Bundle)
			require.Equal(t, "Error: Not found", answer.Stale)
		})
	}
}

func bare(name string) string {
	if name[0] == '$' {
		return name[1:]
	}
	return name
}

// node is the interpreter, in the part of the host that the module borrows.
func node(t *testing.T) string {
	for _, path := range []string{"/usr/bin/node", "/usr/bin/nodejs"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	require.FailNow(t, "there is no node in /usr/bin: make test-clients installs it")
	return ""
}
