// Package identity attacks edged's knowledge of who is asking: real containers on a real containerd against the real daemon, and each attack once more against
// one with the build tag "weakened" that leaves the defence out, where it must succeed.
package identity

import (
	"fmt"
	"os"
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
	if kernelProof, err = proofOfKernel(); err != nil {
		return fail(err)
	}
	// Who runs the suite for the sake of one proof must not be told of another.
	if asked := os.Getenv("EDGED_TEST_PROOF"); asked != "" && asked != kernelProof {
		return fail(fmt.Errorf("this kernel proves callers by %s, and EDGED_TEST_PROOF asks for %s", kernelProof, asked))
	}
	if built, err = os.MkdirTemp("", "edb"); err != nil {
		return fail(err)
	}
	defer os.RemoveAll(built)
	for _, p := range []struct{ out, pkg, tag string }{
		{"real/edged", "./edged", ""}, {"weakened/edged", "./edged", "weakened"}, {"real/edged-logger", "./edged/logger", ""},
	} {
		if err := device.Build(filepath.Join(built, p.out), p.pkg, p.tag); err != nil {
			return fail(err)
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
