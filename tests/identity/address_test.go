package identity

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// hostile is a name that says who has it. A client may bind its socket to any.
const hostile = "/tmp/x;uid=0;module=edgeAgent;"

func TestNameThatAClientBindsTo(t *testing.T) {
	r := newRig(t)
	r.module(t, "attacker", nil)
	p := r.puppet(t, "attacker")
	t.Run("is refused", func(t *testing.T) {
		for i, name := range []string{hostile, "@" + hostile} { // a file, and an abstract name
			conn := fmt.Sprintf("c%d", i)
			p.do(t, command{Op: "dial", Conn: conn, Path: device.ManagementInside, Text: name})
			require.Equal(t, http.StatusNoContent, p.ask(t, conn, harmless).Status)
			require.Equal(t, "attacker", r.audited(t).CallerModule)
			require.Equal(t, http.StatusForbidden, p.ask(t, conn, r.planted("planted")).Status)
		}
		require.False(t, r.exists("planted"))
		log, err := os.ReadFile(filepath.Join(r.Root, "edged.log"))
		require.NoError(t, err)
		require.NotContains(t, string(log), hostile, "it is nowhere to be read as if it said something")
	})
	t.Run("against a resolver that reads it", func(t *testing.T) {
		l, err := net.Listen("unix", filepath.Join(r.ProbeDir("attacker"), "believer.sock"))
		require.NoError(t, err)
		defer l.Close()
		p.do(t, command{Op: "dial", Conn: "believer", Path: "/probe/believer.sock", Text: strings.Replace(hostile, "x", "y", 1)})
		c, err := l.Accept()
		require.NoError(t, err)
		defer c.Close()
		require.Equal(t, "edgeAgent", believe(c))
	})
}

// believe is how a daemon goes wrong that carries who is asking in the connection's address: what it knows, then the address as it is; the last word counts.
func believe(c net.Conn) (module string) {
	for word := range strings.SplitSeq("uid=1000;module=attacker;socket="+c.RemoteAddr().String(), ";") {
		if name, ok := strings.CutPrefix(word, "module="); ok {
			module = name
		}
	}
	return module
}
