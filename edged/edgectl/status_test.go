package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
)

func TestStatusReadsAsWords(t *testing.T) {
	exit := func(ago time.Duration, code string) *wire.ExitStatus {
		return &wire.ExitStatus{ExitTime: before(ago), StatusCode: code}
	}
	run := func(status, why string) wire.RuntimeStatus {
		return wire.RuntimeStatus{Status: status, Description: why}
	}
	for _, tc := range []struct {
		want   string
		status wire.ModuleStatus
	}{
		{"Up 5 minutes", wire.ModuleStatus{StartTime: before(5 * time.Minute), RuntimeStatus: run("running", "running")}},
		{"Up 5 minutes", wire.ModuleStatus{StartTime: before(5 * time.Minute), ExitStatus: exit(time.Hour, "1"), RuntimeStatus: run("running", "running")}},
		{"Up 5 minutes (healthy)", wire.ModuleStatus{StartTime: before(5 * time.Minute), RuntimeStatus: run("running", "running (healthy)")}},
		{"Up 5 minutes (unhealthy: x): no", wire.ModuleStatus{StartTime: before(5 * time.Minute), RuntimeStatus: run("running", "running (unhealthy: x): no")}},
		{"Up about a minute", wire.ModuleStatus{StartTime: before(70 * time.Second), RuntimeStatus: run("running", "")}},
		{"Up less than a second", wire.ModuleStatus{StartTime: before(-time.Hour), RuntimeStatus: run("running", "")}},
		{"Up", wire.ModuleStatus{RuntimeStatus: run("running", "")}},
		{"Stopped 2 hours ago", wire.ModuleStatus{StartTime: before(3 * time.Hour), ExitStatus: exit(2*time.Hour, "0"), RuntimeStatus: run("stopped", "")}},
		{"Failed (137) 3 minutes ago", wire.ModuleStatus{StartTime: before(time.Hour), ExitStatus: exit(3*time.Minute, "137"), RuntimeStatus: run("failed", "")}},
		{"Stopped 2 hours ago", wire.ModuleStatus{StartTime: before(3 * time.Hour), ExitStatus: exit(2*time.Hour, "0"), RuntimeStatus: run("stopped", "stopped by request, exit code 0")}},
		{"Failed (143) 3 minutes ago: stopped by request", wire.ModuleStatus{StartTime: before(time.Hour), ExitStatus: exit(3*time.Minute, "143"), RuntimeStatus: run("failed", "stopped by request, exit code 143")}},
		{"Failed (137) 3 minutes ago: out of memory", wire.ModuleStatus{StartTime: before(time.Hour), ExitStatus: exit(3*time.Minute, "137"), RuntimeStatus: run("failed", "exited, out of memory, exit code 137")}},
		{"Failed (1) 3 minutes ago: restart due in 100ms", wire.ModuleStatus{StartTime: before(time.Hour), ExitStatus: exit(3*time.Minute, "1"), RuntimeStatus: run("failed", "exited, exit code 1; restart due in 100ms")}},
		{"Failed (1) 3 minutes ago", wire.ModuleStatus{StartTime: before(time.Hour), ExitStatus: exit(3*time.Minute, "1"), RuntimeStatus: run("failed", "exited, exit code 1")}},
		{"Failed (1) 3 minutes ago: restarts in 1s", wire.ModuleStatus{StartTime: before(time.Hour), ExitStatus: exit(3*time.Minute, "1"), RuntimeStatus: run("failed", "restarts in 1s")}},
		{"Failed (255)", wire.ModuleStatus{StartTime: before(time.Hour), ExitStatus: &wire.ExitStatus{ExitTime: "0001-01-01T00:00:00Z", StatusCode: "255"}, RuntimeStatus: run("failed", "")}},
		{"Created", wire.ModuleStatus{RuntimeStatus: run("stopped", "created")}},
		{"Created: cannot start: no such file", wire.ModuleStatus{RuntimeStatus: run("stopped", "cannot start: no such file")}},
		{"Stopped", wire.ModuleStatus{StartTime: before(time.Hour), RuntimeStatus: run("stopped", "")}},
		{"Dead", wire.ModuleStatus{RuntimeStatus: run("dead", "")}},
		{"Unknown", wire.ModuleStatus{RuntimeStatus: run("unknown", "")}},
		{"Unknown", wire.ModuleStatus{}},
	} {
		require.Equal(t, tc.want, describe(tc.status, now))
	}
}

func TestTextOfOthersIsHarmlessToATerminal(t *testing.T) {
	for in, want := range map[string]string{
		"plain Ünïcode 日本": "plain Ünïcode 日本",
		"\x1b[2Jgone":      `\x1b[2Jgone`,
		"a\r\nb\tc\x00":    `a\r\nb\tc\x00`,
		"\u009b31m":        `\u009b31m`,
		"txt.\u202eexe":    `txt.\u202eexe`,
		"\u2028":           `\u2028`,
		"a\u00a0b":         "a b",
		"bad \xff\xc3":     `bad \xff\xc3`,
	} {
		require.Equal(t, want, printable(in))
	}
	require.Equal(t, "a\n\tb\\x1b", printableText("a\n\tb\x1b"))
	require.Equal(t, "\"a\\u009b\\u202e\\udb40\\udc01é\"\n", printableJSON("\"a\u009b\u202e\U000e0001é\"\n"))
}
