// Package observe has whole-system tests of what operators and their monitoring see of edged: metrics, the audit table and profiles.
package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

// evil is a name that would clear a terminal and turn its text around.
const evil = "evil\u202e\u2028\"x"

func TestWhatIsSeenOfEdged(t *testing.T) {
	address := freeAddress(t)
	textfile := filepath.Join(t.TempDir(), "edged.prom")
	d := device.New(t, device.Options{Config: fmt.Sprintf("[metrics]\nlisten = %q\ntextfile = %q\ninterval = \"1s\"\n", address, textfile)})
	spec := d.Spec(evil)
	spec.Config.Settings.Management = true
	d.CreateAndStart(spec)
	require.Equal(t, http.StatusForbidden, d.Host("POST", "/modules?"+device.Version, "{}").Status)
	require.Equal(t, http.StatusNotFound, d.Host("GET", "/secret-path?"+device.Version, "").Status)

	t.Run("metrics", func(t *testing.T) { metricsAre(t, d.For(t)) })
	t.Run("loopback", func(t *testing.T) { loopback(t, d.For(t), address) })
	t.Run("textfile", func(t *testing.T) {
		d := d.For(t)
		d.Eventually("the file is there", func() bool { _, err := os.Stat(textfile); return err == nil })
		st, err := os.Stat(textfile)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o644), st.Mode())
		b, err := os.ReadFile(textfile)
		require.NoError(t, err)
		promtool(t, string(b), "check", "metrics")
		require.NotContains(t, string(b), "evil")
	})
	t.Run("profiles", func(t *testing.T) { profiles(t, d.For(t)) })
	t.Run("alerts", func(t *testing.T) {
		folder := filepath.Join(device.Repository(), "contrib", "prometheus")
		promtool(t, "", "check", "rules", filepath.Join(folder, "edged.rules.yaml"))
		promtool(t, "", "test", "rules", filepath.Join(folder, "edged.rules.test.yaml"))
	})
	t.Run("audit", func(t *testing.T) { auditIs(t, d.For(t)) }) // restarts edged
	d.Edged.Signal(syscall.SIGTERM)
	require.NoFileExists(t, textfile, "it is of an edged that runs")
}

func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// promtool runs Prometheus' own checks.
func promtool(t *testing.T, input string, args ...string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(device.Repository(), "build", "debian", "promtool"), args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s (make deps-test installs promtool)", out)
}

func metricsAre(t *testing.T, d *device.Device) {
	a := d.Host("GET", "/metrics", "")
	require.Equal(t, http.StatusOK, a.Status)
	promtool(t, a.Body, "check", "metrics")
	for _, line := range []string{
		`edged_modules{state="running"} 2`,
		`edged_module_running{module="edgeAgent"} 1`,
		`edged_module_running{module="` + strings.ReplaceAll(evil, `"`, `\"`) + `"} 1`,
		`edged_http_refusals_total{reason="not_agent",rule="agent"} 1`,
		`edged_http_requests_total{api="management",caller="none",code="4xx",method="other",route="other"} 1`,
		`edged_http_requests_total{api="management",caller="host",code="4xx",method="POST",route="/modules"} 1`,
		`edged_database_ballast 1`, `edged_bundles_framework_running 0`, `edged_bundles{state="active"} 0`, `edged_audit_lost_total 0`,
		`edged_supervisor_queue_length 0`, `edged_packages 0`, `edged_content_bytes 0`,
	} {
		require.Contains(t, a.Body, "\n"+line+"\n")
	}
	for _, name := range []string{
		"edged_log_bytes ", `edged_database_size_bytes{database="catalog"} `, `edged_database_wal_bytes{database="edged"} `, "edged_database_write_seconds_count ",
		"edged_catalog_rows ", "edged_device_ca_not_after_timestamp_seconds ", "edged_build_info{", "go_goroutines ", "process_open_fds ", "edged_restarts_total ", "edged_image_pulls_total ",
	} {
		require.Contains(t, a.Body, "\n"+name)
	}
	require.NotContains(t, a.Body, "secret-path")
}

// loopback is without names, and without anything but metrics. The device has no network of its own, so it is this machine's.
func loopback(t *testing.T, d *device.Device, address string) {
	get := func(path string) (int, string) {
		res, err := http.Get("http://" + address + path)
		require.NoError(t, err)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(b)
	}
	var status int
	var text string
	d.Eventually("it listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	status, text = get("/metrics")
	require.Equal(t, http.StatusOK, status)
	promtool(t, text, "check", "metrics")
	require.Contains(t, text, `edged_modules{state="running"} 2`)
	require.NotContains(t, text, "edged_module_running")
	require.NotContains(t, text, "edgeAgent")
	for _, path := range []string{"/", "/modules?" + device.Version, "/debug/pprof/heap", "/audit?" + device.Version} {
		status, _ = get(path)
		require.Equal(t, http.StatusNotFound, status, path)
	}
}

// profiles are read by Go's own tool, and only root gets them.
func profiles(t *testing.T, d *device.Device) {
	for _, path := range []string{"/debug/pprof/heap", "/debug/pprof/profile?seconds=1"} {
		a := d.Host("GET", path, "")
		require.Equal(t, http.StatusOK, a.Status, a.Body)
		file := filepath.Join(t.TempDir(), "profile")
		require.NoError(t, os.WriteFile(file, []byte(a.Body), 0o600))
		out, err := exec.Command("go", "tool", "pprof", "-top", file).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "flat%")
	}
	require.Equal(t, http.StatusOK, d.Host("GET", "/debug/pprof/trace?seconds=1", "").Status)
	require.Equal(t, http.StatusForbidden, d.Agent().Manage("GET", "/debug/pprof/heap", "").Status, "not for the agent")
	require.Equal(t, http.StatusForbidden, d.Probe(evil).Manage("GET", "/debug/pprof/heap", "").Status)
}

func edgectl(t *testing.T, d *device.Device, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(device.Repository(), "bin", "edgectl"), args...)
	cmd.Env = append(os.Environ(), "EDGED_HOST="+d.Management())
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	require.NoError(t, err, "%s", errs.String())
	return string(out)
}

// auditIs shows that a flood of refusals costs rows of its own kind, and few, that a change is there when it is answered, also when edged is
// killed then, and that what waits is there after a stop.
func auditIs(t *testing.T, d *device.Device) {
	events := func(args ...string) (all []wire.AuditEvent) {
		require.NoError(t, json.Unmarshal([]byte(edgectl(t, d, append([]string{"audit", "--format", "json", "-n", "0"}, args...)...)), &all))
		return all
	}
	made := events("--kind", "change", "--module", evil, "--caller", "edgeAgent")
	require.NotEmpty(t, made)
	require.Equal(t, "/modules", made[0].Route)
	require.Equal(t, http.StatusForbidden, d.Probe(evil).Manage("GET", "/audit", "").Status)

	changes := len(events("--kind", "change"))
	for range 500 {
		require.Equal(t, http.StatusForbidden, d.Host("DELETE", "/modules/flood?"+device.Version, "").Status)
	}
	require.Equal(t, http.StatusNoContent, d.Host("POST", "/modules/edgeAgent/start?"+device.Version, "").Status)
	d.Edged.Signal(syscall.SIGKILL)
	d.StartEdged()
	all := events("--kind", "change")
	require.Len(t, all, changes+1, "a change outlives a kill at once after its answer")
	require.Equal(t, "host", all[changes].Caller)
	require.Equal(t, "edgeAgent", all[changes].Module)

	for range 7 {
		require.Equal(t, http.StatusForbidden, d.Host("DELETE", "/modules/other?"+device.Version, "").Status)
	}
	d.Edged.Signal(syscall.SIGTERM)
	d.StartEdged()
	var refused []wire.AuditEvent
	for _, e := range events("--kind", "refusal", "--caller", fmt.Sprint(os.Getuid())) {
		if e.Method == http.MethodDelete {
			refused = append(refused, e)
		}
	}
	require.Len(t, refused, 1, "those before and after are one row")
	require.GreaterOrEqual(t, refused[0].Count, 7)
	require.Equal(t, "other", refused[0].Module)
	table := edgectl(t, d, "audit", "-n", "0")
	require.Contains(t, table, "not_agent")
	require.NotContains(t, table, "\u202e", "a name steers no terminal")
	require.NotContains(t, table, "\u2028")
}
