// Package identity attacks edged's knowledge of who is asking: real containers on a real containerd against the real daemon, and each attack once more against
// one with the build tag "weakened" that leaves the defence out, where it must succeed.
package identity

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/edged/edged/tests/device"
)

// built is where TestMain has put the two daemons, each with a logger beside it.
var built string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if built, err = os.MkdirTemp("", "edb"); err != nil {
		return fail(err)
	}
	defer os.RemoveAll(built)
	for _, args := range [][]string{
		{"-o", filepath.Join(built, "real", "edged"), "./edged"},
		{"-o", filepath.Join(built, "weakened", "edged"), "-tags", "weakened", "./edged"},
		{"-o", filepath.Join(built, "real", "edged-logger"), "./edged/logger"},
	} {
		cmd := exec.Command("go", append([]string{"build", "-buildvcs=false"}, args...)...)
		cmd.Dir, cmd.Stderr = device.Repository(), os.Stderr
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if err := cmd.Run(); err != nil {
			return fail(fmt.Errorf("cannot build %v: %w", args, err))
		}
	}
	if err := os.Link(filepath.Join(built, "real", "edged-logger"), filepath.Join(built, "weakened", "edged-logger")); err != nil {
		return fail(err)
	}
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		return fail(err)
	}
	return code
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}
