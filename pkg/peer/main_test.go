package peer

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// The test binary is also every other process of the tests: with this variable set it is a helper, not a test.
const helperEnv = "EDGED_PEER_TEST_HELPER"

func TestMain(m *testing.M) {
	if role := os.Getenv(helperEnv); role != "" {
		helper(role)
		return
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "the tests of peer make control groups and namespaces: run them as root")
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
