package keystore

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const pin = "4711-0815"

// softToken is a token in software, in a folder of the test.
type softToken struct {
	t       *testing.T
	dir     string
	conf    string
	pinFile string
}

// modules are where distributions have the library.
var modules = []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"}

func module(t *testing.T) string {
	for _, path := range modules {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	require.FailNow(t, "libsofthsm2.so is not there: make deps-test installs it")
	return ""
}

// newToken makes a token with the label "edge". The helper, which inherits the
// environment, finds it by that.
func newToken(t *testing.T) *softToken {
	s := &softToken{t: t, dir: t.TempDir()}
	s.conf, s.pinFile = filepath.Join(s.dir, "softhsm2.conf"), filepath.Join(s.dir, "pin")
	tokens := filepath.Join(s.dir, "tokens")
	require.NoError(t, os.Mkdir(tokens, 0o700))
	require.NoError(t, os.WriteFile(s.conf, []byte("directories.tokendir = "+tokens+"\nlog.level = ERROR\n"), 0o600))
	s.writePIN(pin + "\n")
	s.use()
	out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", "edge", "--so-pin", "12345678", "--pin", pin).CombinedOutput()
	require.NoError(t, err, string(out))
	return s
}

func (s *softToken) use() { s.t.Setenv("SOFTHSM2_CONF", s.conf) }

func (s *softToken) writePIN(text string) {
	require.NoError(s.t, os.WriteFile(s.pinFile, []byte(text), 0o600))
}

func (s *softToken) uri() string {
	return fmt.Sprintf("pkcs11:token=edge?module-path=%s&pin-source=file:%s", module(s.t), s.pinFile)
}
