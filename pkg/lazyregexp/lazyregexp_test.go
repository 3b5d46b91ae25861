package lazyregexp

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnExpressionIsCompiledWhenItIsAsked(t *testing.T) {
	args := os.Args
	os.Args = []string{"/usr/bin/edged"}
	wrong, right := New("("), New("^[0-9]+$")
	os.Args = args
	require.Panics(t, func() { wrong() })
	require.True(t, right().MatchString("12"))
	require.Same(t, right(), right())
	require.Panics(t, func() { New("(") }, "in a test at once")
}
