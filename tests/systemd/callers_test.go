package systemd

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/systemd/nspawn"
)

const (
	listPath = "/modules?api-version=2018-06-28"
	logsPath = "/modules/" + probeModule + "/logs?api-version=2018-06-28"
)

// exitForbidden is edgectl's exit code for a caller that may not.
const exitForbidden = 4

func membersMayList(t *testing.T, m *nspawn.Machine) {
	for _, args := range [][]string{{"useradd", "--groups=edged", "member"}, {"useradd", "stranger"}} {
		out, err := m.Enter(args...)
		require.NoError(t, err, out)
	}
	list := []string{"edgectl", "list", "--format", "{{.Name}} {{.Status}}"}
	for _, run := range []func(string, ...string) (string, error){m.RunAs, m.RunInSession} {
		out, err := run("member", list...)
		require.NoError(t, err)
		require.Equal(t, "edgeAgent running\nprobe running", out)

		_, err = run("stranger", list...)
		requireRefused(t, err, "cannot reach edged at /run/edged/mgmt.sock: permission denied (be root or a member of the group edged)")
	}
	// The workload socket is for everyone, and edged itself decides.
	out, err := m.RunAs("stranger", "curl", "--silent", "--unix-socket", "/run/edged/workload.sock", "--output", "/dev/null", "--write-out", "%{http_code}",
		"http://localhost"+listPath)
	require.NoError(t, err)
	require.Equal(t, "200", out)

	// A process of root that is in no service and no session of this machine could be another runtime's container.
	var exit *exec.ExitError
	out, err = m.Enter(list...)
	require.ErrorAs(t, err, &exit, out)
	require.Equal(t, exitForbidden, exit.ExitCode(), out)
	require.Contains(t, out, "edged refused this caller; its audit log says why")
	said := journal(t, m, "EDGED_AUDIT=refusal", "EDGED_CALLER=unknown")
	require.Len(t, said, 1)
	requireFields(t, said[0], entry{"EDGED_REASON": "foreign_container", "EDGED_ROUTE": "/modules", "EDGED_METHOD": "GET"})
}

func requireRefused(t *testing.T, err error, why string) {
	t.Helper()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, exitForbidden, exit.ExitCode(), err.Error())
	require.Contains(t, err.Error(), why)
	require.NotContains(t, err.Error(), "\n", "one line says it")
}
