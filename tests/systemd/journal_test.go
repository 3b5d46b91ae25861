package systemd

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/systemd/nspawn"
)

// entry is one of the journal, its fields as journalctl shows them in JSON.
type entry map[string]any

// journal asks journalctl for the entries that match, the oldest first.
func journal(t *testing.T, m *nspawn.Machine, match ...string) []entry {
	t.Helper()
	out, err := m.Enter("journalctl", "--sync") // what was written before this is found after it
	require.NoError(t, err, out)
	out, err = m.Enter(append([]string{"journalctl", "--quiet", "--no-pager", "--all", "--output=json"}, match...)...)
	require.NoError(t, err, out)
	var entries []entry
	for line := range strings.Lines(out) {
		var e entry
		require.NoErrorf(t, json.Unmarshal([]byte(line), &e), "journalctl says %q", line)
		entries = append(entries, e)
	}
	return entries
}

// reloads are the lines in which edged says that it reloaded.
func reloads(t *testing.T, m *nspawn.Machine) (said []entry) {
	t.Helper()
	for _, e := range journal(t, m, "_SYSTEMD_UNIT=edged.service", "PRIORITY=6") {
		if strings.HasPrefix(e["MESSAGE"].(string), "reloaded ") {
			said = append(said, e)
		}
	}
	return said
}

func statusShowsNoError(t *testing.T, m *nspawn.Machine) {
	for _, unit := range []string{"edged.service", "edged.mgmt.socket", "edged.workload.socket"} {
		status := m.Systemctl("status", "--no-pager", "--full", unit) // an exit status but 0 ends the test
		require.Contains(t, status, "Active: active (running)")
		require.NotRegexp(t, `(?i)fail|error|warn|cannot|refused`, status)
	}
	// The shims and loggers that stand between edged and its modules are containerd's, or they would end with edged.
	out, err := m.Enter("sh", "-c", `cat "/sys/fs/cgroup/systemd$1/cgroup.procs" 2>/dev/null || cat "/sys/fs/cgroup$1/cgroup.procs"`,
		"sh", m.Property("edged.service", "ControlGroup"))
	require.NoError(t, err, out)
	require.Equal(t, m.Property("edged.service", "MainPID"), out, "processes of edged.service")
}

func logLinesHavePriorities(t *testing.T, m *nspawn.Machine) {
	answers := false
	for _, e := range journal(t, m, "_SYSTEMD_UNIT=edged.service") {
		message, ok := e["MESSAGE"].(string)
		require.Truef(t, ok, "%v is no text", e["MESSAGE"])
		require.NotRegexp(t, `^<\d>`, message, "journald takes the priority off")
		require.NotContains(t, message, "level=", "the priority says the level")
		require.Containsf(t, []any{"5", "6"}, e["PRIORITY"], "%q is no more than a notice: nothing went wrong yet", message)
		if strings.Contains(message, " answers; ") {
			answers = true
			require.Equal(t, "6", e["PRIORITY"], "information")
			require.Equal(t, "stdout", e["_TRANSPORT"])
		}
	}
	require.True(t, answers, "edged says that it answers")
}

func auditIsInFields(t *testing.T, m *nspawn.Machine) {
	made := journal(t, m, "EDGED_AUDIT=change", "EDGED_METHOD=POST", "EDGED_ROUTE=/modules")
	require.Len(t, made, 1, "the agent made the probe")
	requireFields(t, made[0], entry{
		"EDGED_CALLER": "module", "EDGED_CALLER_MODULE": "edgeAgent", "EDGED_STATUS": "201", "EDGED_LISTENER": "management",
		"_SYSTEMD_UNIT": "edged.service", "PRIORITY": "5",
	})

	// Root of the host may not make a module either.
	a := curl(t, m, "POST", "/modules?api-version=2018-06-28")
	require.Equal(t, "403", a.status)
	require.JSONEq(t, `{"message":"forbidden"}`, a.body)
	refused := journal(t, m, "EDGED_AUDIT=refusal")
	require.Len(t, refused, 1)
	requireFields(t, refused[0], entry{
		"EDGED_METHOD": "POST", "EDGED_ROUTE": "/modules", "EDGED_STATUS": "403", "EDGED_CALLER": "host", "EDGED_CALLER_UID": "0",
		"EDGED_LISTENER": "management", "_SYSTEMD_UNIT": "edged.service", "PRIORITY": "5",
	})
	require.NotEmpty(t, refused[0]["EDGED_REASON"])
	require.NotEmpty(t, refused[0]["EDGED_RULE"])
}

func requireFields(t *testing.T, have, want entry) {
	t.Helper()
	for field, value := range want {
		require.Equal(t, value, have[field], "%s of %v", field, have["MESSAGE"])
	}
}
