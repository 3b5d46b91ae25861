package peer

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOnlyALastLineBesidesTheRootProvesTheLinesBefore(t *testing.T) {
	for _, tc := range []struct {
		cgroup string
		want   bool
	}{
		{"2:cpu:/\n1:name=systemd:/user.slice/session-3.scope\n", true},
		{"2:cpu:/\n1:name=systemd:/user.slice/session-3.scope\n0::/user.slice/session-3.scope\n", true},
		{"2:cpu:/\n1:name=systemd:/user.slice/session-3.scope\n0::/\n", true},
		{"2:cpu:/user.slice\n1:name=systemd:/\n", false},
		{"2:cpu:/user.slice\n1:name=systemd:/\n0::/user.slice\n", false},
		{"0::/user.slice/session-3.scope\n", false},
		{"1:name=systemd:/user.slice\nno line\n", false},
		{"", false},
	} {
		require.Equal(t, tc.want, linesProven([]byte(tc.cgroup)), tc.cgroup)
	}
}
