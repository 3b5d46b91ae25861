package operators

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

func TestWhatBecomesOfModulesIsFollowed(t *testing.T) {
	d := device.New(t, device.Options{})
	o := &operator{d, t}
	events := o.start("events", "--format", "{{.Kind}} {{.Module}} {{.Status}}", "--initial")
	o.Eventually("the stream has begun", func() bool { return strings.Contains(events(), "present edgeAgent running\n") })
	o.Create(o.CommandSpec("pump", "sleep"))
	require.Equal(t, 1, o.edgectl("wait", "pump", "--timeout", "300ms").code)
	o.must("start", "pump")
	o.must("wait", "pump", "--for", "running")
	o.must("wait", "pump", "edgeAgent", "--for", "healthy", "--timeout", "30s")
	o.must("stop", "pump")
	o.must("wait", "pump", "--for", "stopped")
	o.Delete("pump")
	o.must("wait", "pump", "--for", "removed")
	want := []string{"created pump stopped\n", "changed pump running\n", "changed pump stopped\n", "deleted pump \n"}
	o.Eventually("all is told", func() bool { return strings.Contains(events(), want[3]) })
	rest := events()
	for _, line := range want {
		_, after, found := strings.Cut(rest, line)
		require.True(t, found, "%q in its place in %s", line, events())
		rest = after
	}
}

func TestTheLogLevelIsChangedWhileEdgedRuns(t *testing.T) {
	o := &operator{device.New(t, device.Options{NoAgent: true}), t}
	require.Equal(t, "debug -> error\n", o.must("system", "set-log-level", "error"))
	require.Equal(t, "error -> info\n", o.must("system", "set-log-level", "info"))
	got := o.edgectl("system", "set-log-level", "loud")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.err, "error, warn, info, debug")
	require.Contains(t, o.EdgedLog(), `"/system/log-level"`, "it is audited")
}
