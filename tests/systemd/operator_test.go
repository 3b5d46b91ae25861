package systemd

import (
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/systemd/nspawn"
)

// edgectl runs it as a user of the machine; the error has its exit code.
func edgectl(m *nspawn.Machine, user string, args ...string) (out string, code int, err error) {
	out, err = m.RunAs(user, append([]string{"edgectl"}, args...)...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	return out, code, err
}

func requireEdgectl(t *testing.T, m *nspawn.Machine, user string, args ...string) string {
	t.Helper()
	out, _, err := edgectl(m, user, args...)
	require.NoError(t, err, out)
	return out
}

const allUnits = "edged.service          active, enabled\nedged.mgmt.socket      active, enabled\nedged.workload.socket  active, enabled\n"

func operatorsSeeAndSteerTheService(t *testing.T, m *nspawn.Machine) {
	for _, user := range []string{"root", "member"} {
		out := requireEdgectl(t, m, user, "system", "status")
		require.True(t, strings.HasPrefix(out, allUnits), out)
		require.Regexp(t, `edged \S+ answers; containerd \S+; 2 of 2 modules run$`, out)
	}
	out, code, err := edgectl(m, "stranger", "system", "status")
	require.Equal(t, exitForbidden, code, err)
	require.Equal(t, strings.TrimSpace(allUnits), out, "what systemd tells everybody")

	probe, before := requireOneProbe(t, m), m.Property("edged.service", "MainPID")
	_, code, err = edgectl(m, "member", "system", "restart")
	require.Equal(t, 1, code)
	require.ErrorContains(t, err, "uthenticat", "systemd's own reason")
	require.Equal(t, before, m.Property("edged.service", "MainPID"))
	require.Regexp(t, `^edged \S+ answers$`, requireEdgectl(t, m, "root", "system", "restart"))
	require.NotEqual(t, before, m.Property("edged.service", "MainPID"))
	require.Equal(t, probe, requireOneProbe(t, m))

	// A configuration with which it would not start ends nothing.
	const broken = "/etc/edged/config.d/broken.toml"
	before = m.Property("edged.service", "MainPID")
	m.Write(broken, []byte("nonsense = 1\n"), 0o640)
	_, code, err = edgectl(m, "root", "system", "restart")
	require.Equal(t, 1, code)
	require.ErrorContains(t, err, broken+":1:1: nonsense: unknown key")
	require.Equal(t, before, m.Property("edged.service", "MainPID"))
	removeFile(t, m, broken)

	// The level holds until the next start.
	require.Equal(t, "info -> debug", requireEdgectl(t, m, "member", "system", "set-log-level", "debug"))
	require.NotEmpty(t, journal(t, m, "EDGED_AUDIT=change", "EDGED_ROUTE=/system/log-level"))
	require.Equal(t, "debug -> info", requireEdgectl(t, m, "member", "system", "set-log-level", "info"))
}

func operatorsReadTheLog(t *testing.T, m *nspawn.Machine) {
	all := requireEdgectl(t, m, "root", "system", "logs")
	require.Contains(t, all, " answers; callers are proven by ")
	require.Contains(t, all, "change: module edgeAgent", "the audit trail is in it")
	last := requireEdgectl(t, m, "root", "system", "logs", "--tail", "2")
	require.Len(t, strings.Split(last, "\n"), 2)
	require.Contains(t, requireEdgectl(t, m, "root", "system", "logs", "--since", "-2h", "--until", "-1h"), "No entries")
	for _, args := range [][]string{{"--since", "nonsense"}, {"--tail", "-1"}} {
		_, code, err := edgectl(m, "root", append([]string{"system", "logs"}, args...)...)
		require.NotZero(t, code, args)
		require.ErrorContains(t, err, args[1], args)
	}
}

// stoppedServiceIsNotWokenToBeSeen: who asks whether it runs does not want it started.
func stoppedServiceIsNotWokenToBeSeen(t *testing.T, m *nspawn.Machine) {
	m.Systemctl("stop", "edged.service")
	out, code, err := edgectl(m, "root", "system", "status")
	require.Equal(t, 5, code)
	require.Contains(t, out, "edged.service          inactive, enabled\n")
	require.ErrorContains(t, err, "was not asked")
	require.Equal(t, "inactive", m.Property("edged.service", "ActiveState"))
	require.Contains(t, requireEdgectl(t, m, "root", "list", "-q"), probeModule, "any other call starts it")
	require.Equal(t, "active", m.Property("edged.service", "ActiveState"))
}

// finding is one check's outcome.
type finding struct{ ID, Status, Found, Cure string }

func check(t *testing.T, m *nspawn.Machine, id string) finding {
	t.Helper()
	out, _, _ := edgectl(m, "root", "check", "--format", "json", id)
	var all []finding
	require.NoError(t, json.Unmarshal([]byte(out), &all), out)
	require.Len(t, all, 1)
	return all[0]
}

func checksFindFaultsOfUnitsAndJournal(t *testing.T, m *nspawn.Machine) {
	for _, id := range []string{"units", "journal", "socket-management", "socket-workload", "home", "config-mode", "edged", "agent", "runc", "shim", "cni-plugins"} {
		require.Equal(t, finding{ID: id, Status: "ok"}, finding{ID: id, Status: check(t, m, id).Status}, "%+v", check(t, m, id))
	}

	m.Systemctl("disable", "edged.workload.socket")
	got := check(t, m, "units")
	require.Equal(t, "warning", got.Status)
	require.Contains(t, got.Found, "edged.workload.socket is not enabled")
	require.Equal(t, "systemctl enable edged.workload.socket", got.Cure)
	m.Systemctl(strings.Fields(strings.TrimPrefix(got.Cure, "systemctl "))...)
	require.Equal(t, "ok", check(t, m, "units").Status, "the cure cures")

	m.Systemctl("stop", "edged.mgmt.socket", "edged.workload.socket") // with one of them the check itself would wake all
	got = check(t, m, "units")
	require.Equal(t, "error", got.Status)
	require.Contains(t, got.Found, "edged.service edged.mgmt.socket edged.workload.socket does not run")
	require.Contains(t, got.Cure, "systemctl start ")
	m.Systemctl(strings.Fields(strings.TrimPrefix(got.Cure, "systemctl "))...)
	require.Equal(t, "ok", check(t, m, "units").Status, "the cure cures")

	const settings = "/etc/systemd/journald.conf.d/test.conf"
	for storage, status := range map[string]string{"none": "error", "volatile": "warning", "persistent": "ok"} {
		m.Write(settings, []byte("[Journal]\nStorage="+storage+"\n"), 0o644)
		require.Equal(t, status, check(t, m, "journal").Status, storage)
	}
	removeFile(t, m, settings)
}

// membersMayApply as an operator does who is not root: what becomes of it is in the
// journal, with who did it.
func membersMayApply(t *testing.T, m *nspawn.Machine) {
	probe := requireOneProbe(t, m)
	const file = "/srv/deployment.json"
	m.Write(file, append(manifest(t, modules{probeModule: probeSpec()}), '\n'), 0o644)
	_, code, err := edgectl(m, "stranger", "apply", "--yes", "-f", file)
	require.Equal(t, exitForbidden, code, err)
	out := requireEdgectl(t, m, "member", "apply", "--yes", "-f", file)
	require.Contains(t, out, "no module is other than before\n")
	require.Regexp(t, ` is applied$`, out)
	require.Equal(t, probe, requireOneProbe(t, m), "nothing of the module is another")
	put := journal(t, m, "EDGED_AUDIT=change", "EDGED_ROUTE=/deployment", "EDGED_METHOD=PUT")
	require.Len(t, put, 1)
	uid, err := m.Enter("id", "-u", "member")
	require.NoError(t, err)
	requireFields(t, put[0], entry{"EDGED_CALLER": "host", "EDGED_CALLER_UID": uid, "EDGED_STATUS": "200"})
	require.Regexp(t, `^[0-9a-f]{64}$`, put[0]["EDGED_REVISION"])
}

func removeFile(t *testing.T, m *nspawn.Machine, name string) {
	t.Helper()
	out, err := m.Enter("rm", name)
	require.NoError(t, err, out)
}
