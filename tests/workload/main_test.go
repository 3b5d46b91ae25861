// Package workload tests the workload API on whole devices: modules that are real
// containers sign, encrypt and get certificates through their sockets, and others try
// to do so in their name.
package workload

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
