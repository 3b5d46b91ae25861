package systemd

import (
"os"
	"testing"

	"github.com/edged/edged/tests/systemd/nspawn"
)

func TestZZ(t *testing.T) {
	m := boot(t)
	for _, f := range []func(*testing.T, *nspawn.Machine){unitsAreWithoutFault, socketsHaveTheirOwnersAndModes, firstCallWakes, agentStartsTheProbe} {
		f(t, m)
	}
	dropIn(t, m, "debug", "ExecStart=\nExecStart=/usr/bin/edged --log-level=debug")
	m.Systemctl("restart", "edged.service")
	first := len(awaitRequests(t, m, 10))
	for range 60 {
		m.Systemctl("restart", "edged.service")
		awaitRequests(t, m, 3)
	}
	made := awaitRequests(t, m, 10)[first:]
	bad := 0
	for i, r := range made {
		if r.outcome != "200" {
			bad++
			t.Log(i, r.took, r.outcome)
		}
	}
	out, _ := m.Enter("journalctl", "--no-pager", "-o", "short-precise", "--unit=edged.service")
	os.WriteFile("/tmp/zz.journal", []byte(out), 0o644)
	t.Logf("%d requests, %d bad, longest %s", len(made), bad, longest(made))
}
