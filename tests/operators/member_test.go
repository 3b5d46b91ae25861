package operators

import (
	"bytes"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// someone is a user of the host with no right but that of their groups.
type someone struct {
	o      *operator
	uid    uint32
	groups []uint32
}

// run runs a program as this user.
func (s someone) run(name string, args ...string) result {
	s.o.t.Helper()
	cmd := exec.CommandContext(s.o.t.Context(), name, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "EDGED_HOST=" + s.o.Management()}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: s.uid, Gid: s.uid, Groups: s.groups}}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// TestAMemberOfTheGroupAppliesWithoutReachingIntoTheHome: the folders of keys, database
// and secrets stay root's, and edged says who did it.
func TestAMemberOfTheGroupAppliesWithoutReachingIntoTheHome(t *testing.T) {
	o := newOperator(t)
	group, err := user.LookupGroup("edged")
	require.NoError(t, err, "groupadd --system edged")
	gid, err := strconv.ParseUint(group.Gid, 10, 32)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(o.Root, 0o711)) // as /run and /var/lib are
	edgectl := filepath.Join(o.Root, "edgectl")
	o.copy(filepath.Join(device.Repository(), "bin", "edgectl"), edgectl)
	require.NoError(t, os.Chmod(edgectl, 0o755))
	member, stranger := someone{o, 54321, []uint32{uint32(gid)}}, someone{o, 54322, nil}

	text := `{"schemaVersion":"1.1","modules":{` + waiting("pump", "one") + `}}`
	manifest := o.put("member.json", text)
	require.NoError(t, os.Chmod(manifest, 0o644))
	for _, args := range [][]string{{"apply", "--yes", "-f", manifest}, {"deployment", "show"}, {"deployment", "history"}, {"deployment", "rollback", "--yes"}} {
		got := stranger.run(edgectl, args...)
		require.Equal(t, 4, got.code, "%q: %s", args, got.out+got.err)
		require.Contains(t, got.err, "be root or a member of the group edged")
	}
	_, status := o.Get("pump")
	require.Equal(t, 404, status)

	got := member.run(edgectl, "apply", "--yes", "-f", manifest)
	require.Zero(t, got.code, got.out+got.err)
	o.WaitFor("pump", "running")
	got = member.run(edgectl, "deployment", "show", "--format", "manifest")
	require.Equal(t, result{out: text}, got)
	require.Contains(t, member.run(edgectl, "check", "--config", o.config(), "deployment").out, "is applied\n")
	require.Zero(t, member.run(edgectl, "apply", "--yes", "-f", manifest).code, "again")
	line := o.auditOf(`"/deployment"`)
	require.Contains(t, line, `"caller_uid":"54321"`)
	require.Contains(t, line, `"event":"change"`)
	require.Contains(t, line, `"revision":"`)

	for _, path := range []string{"", "keys", "edged.db", "agent", "agent/desired", "agent/desired/deployment.json", "agent/status/status.json", "agent/desired/x"} {
		for _, who := range []someone{member, stranger} {
			path := filepath.Join(o.Home, path)
			require.NotZero(t, who.run("ls", path).code, path)
			require.NotZero(t, who.run("touch", path).code, path)
		}
	}
	desired, err := os.Stat(filepath.Join(o.Home, "agent", "desired"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o750)|os.ModeDir, desired.Mode())
	home, err := os.Stat(o.Home)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700)|os.ModeDir, home.Mode())
}

// auditOf is the last line of the audit log with a text in it.
func (o *operator) auditOf(text string) string {
	o.t.Helper()
	found := ""
	for line := range strings.Lines(o.EdgedLog()) {
		if strings.Contains(line, `"audit":true`) && strings.Contains(line, text) {
			found = line
		}
	}
	require.NotEmpty(o.t, found, "no audit of %s", text)
	return found
}
