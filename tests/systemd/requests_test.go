package systemd

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/systemd/nspawn"
)

// answer is edged's to a request of the machine's root.
type answer struct {
	status, body string
	// took is the time from connect to the last byte.
	took time.Duration
}

// curl asks the management socket of the machine, as a service of its root. A request without an answer ends the test.
func curl(t *testing.T, m *nspawn.Machine, method, path string) answer {
	t.Helper()
	const mark = "\nanswer:"
	out, err := m.Run("curl", "--silent", "--show-error", "--max-time", "60", "--unix-socket", "/run/edged/mgmt.sock", "--request", method,
		"--write-out", mark+"%{http_code} %{time_total}", "http://localhost"+path)
	require.NoError(t, err)
	i := strings.LastIndex("\n"+out, mark) // an answer without a body begins the output, which is trimmed
	require.GreaterOrEqual(t, i, 0, out)
	a := answer{body: strings.TrimPrefix(("\n" + out)[:i], "\n")}
	var seconds float64
	_, err = fmt.Sscanf(("\n" + out)[i+len(mark):], "%s %g", &a.status, &seconds)
	require.NoError(t, err, out)
	a.took = time.Duration(seconds * float64(time.Second))
	return a
}

// requireListed asks for the list of modules as the host's root, and returns how long that took.
func requireListed(t *testing.T, m *nspawn.Machine) time.Duration {
	t.Helper()
	a := curl(t, m, "GET", listPath)
	require.Equal(t, "200", a.status, a.body)
	return a.took
}

func requireOneProbe(t *testing.T, m *nspawn.Machine) int {
	t.Helper()
	pids := m.Processes(probeProcess)
	require.Len(t, pids, 1, "the probe runs once")
	return pids[0]
}

// request is one that the probe made.
type request struct {
	took time.Duration
	// outcome is the status, or "failed: " and why there is none.
	outcome string
}

var requestLine = regexp.MustCompile(`^request (\d+) (\S+) (.*)$`)

// requests are all that the probe's log has. Each is in it once and in order: else lines were lost or written twice.
func requests(t *testing.T, m *nspawn.Machine) []request {
	t.Helper()
	a := curl(t, m, "GET", logsPath)
	require.Equal(t, "200", a.status, a.body)
	var made []request
	for line := range strings.Lines(a.body) {
		match := requestLine.FindStringSubmatch(strings.TrimSpace(line))
		require.NotNilf(t, match, "the probe says %q", line)
		number, err := strconv.Atoi(match[1])
		require.NoError(t, err)
		require.Equal(t, len(made)+1, number, "number of the line in the module's log")
		took, err := time.ParseDuration(match[2])
		require.NoError(t, err)
		made = append(made, request{took: took, outcome: match[3]})
	}
	return made
}

// awaitRequests waits until the probe has made some more requests than when it was called, and returns all.
func awaitRequests(t *testing.T, m *nspawn.Machine, more int) []request {
	t.Helper()
	made := requests(t, m)
	start := len(made)
	await(t, fmt.Sprintf("the probe makes %d requests more", more), func() bool {
		made = requests(t, m)
		return len(made) >= start+more
	})
	return made
}

func requireAnswered(t *testing.T, made []request) {
	t.Helper()
	for i, r := range made {
		require.Equalf(t, "200", r.outcome, "request %d of %d, which took %s", i+1, len(made), r.took)
	}
}

func longest(made []request) time.Duration {
	var most time.Duration
	for _, r := range made {
		most = max(most, r.took)
	}
	return most
}
