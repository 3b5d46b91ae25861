package store

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// writerEnv makes the test binary the process that a test kills: see durability_test.go.
const writerEnv = "EDGED_STORE_TEST_WRITER"

func TestMain(m *testing.M) {
	if os.Getenv(writerEnv) != "" {
		write()
		return
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "the tests of store mount a small file system: run them as root")
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
