// Package network tests modules' networks on whole devices, each in a network
// namespace of its own.
package network

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
