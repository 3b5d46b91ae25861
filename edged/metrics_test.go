package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/metrics"
	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/peer"
)

func TestModulesAreInTheMetrics(t *testing.T) {
	state := func(name string, status module.Status) *module.State {
		return &module.State{Spec: module.Spec{Name: name}, Status: status}
	}
	states := []*module.State{
		state("app", module.Status{Runtime: module.Running, Restarts: 3, Health: &module.Health{Status: module.Unhealthy}}),
		state("a\"b\\c\u202e", module.Status{Runtime: module.Failed}),
	}
	r := metrics.New("1")
	r.AddNamed(moduleFamilies(func() []*module.State { return states })...)
	r.Add(metrics.Family{Name: "edged_modules", Help: "x", Type: metrics.Gauge, Labels: []string{"state"}, Read: func(t tell) { modulesByState(states, t) }})
	var named, plain bytes.Buffer
	require.NoError(t, r.Write(&named, true))
	require.NoError(t, r.Write(&plain, false))
	for _, line := range []string{
		`edged_module_running{module="app"} 1`,
		`edged_module_running{module="a\"b\\c` + "\u202e" + `"} 0`,
		`edged_module_restarts{module="app"} 3`,
		`edged_module_restarts{module="a\"b\\c` + "\u202e" + `"} 0`,
		`edged_module_health{module="app",status="starting"} 0`,
		`edged_module_health{module="app",status="healthy"} 0`,
		`edged_module_health{module="app",status="unhealthy"} 1`,
	} {
		require.Contains(t, named.String(), line+"\n")
		require.NotContains(t, plain.String(), line)
	}
	require.NotContains(t, plain.String(), "app")
	for _, text := range []string{named.String(), plain.String()} {
		require.Contains(t, text, `edged_modules{state="running"} 1`)
		require.Contains(t, text, `edged_modules{state="failed"} 1`)
		require.Contains(t, text, `edged_modules{state="dead"} 0`)
	}
	states = states[:1]
	named.Reset()
	require.NoError(t, r.Write(&named, true))
	require.NotContains(t, named.String(), "202e", "a module that is gone leaves no series")
	require.NotContains(t, named.String(), `a\"b`)
}

// TestTheMetricsAreNamedAsPrometheusWants holds every metric to its conventions, those without a sample now, too.
func TestTheMetricsAreNamedAsPrometheusWants(t *testing.T) {
	d := new(daemon)
	var text bytes.Buffer
	for _, f := range append(d.families(), d.namedFamilies()...) {
		kind := map[metrics.Type]string{metrics.Counter: "counter", metrics.Gauge: "gauge"}[f.Type]
		text.WriteString("# HELP " + f.Name + " " + f.Help + "\n# TYPE " + f.Name + " " + kind + "\n" + f.Name + " 1\n")
		require.Regexp(t, `^[A-Z0-9].*[^.]\.$`, f.Help)
		require.NotContains(t, f.Help, "\n")
	}
	problems, err := promlint.New(&text).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
}

// TestTheDashboardAndTheAlertsAskForWhatThereIs holds every name in both to what edged tells.
func TestTheDashboardAndTheAlertsAskForWhatThereIs(t *testing.T) {
	d := new(daemon)
	r := metrics.New("1")
	q := r.NewRequests()
	q.Route("api", "/route", "GET").Done(peer.Host, 200, 0)
	q.Refused("rule", "reason")
	r.NewDurations(databaseWrites, "X.")(0)
	var text bytes.Buffer
	require.NoError(t, r.Write(&text, true))
	there := map[string]bool{"node_textfile_mtime_seconds": true} // node exporter's
	for _, m := range regexp.MustCompile(`(?m)^([a-z_]+)[ {]`).FindAllStringSubmatch(text.String(), -1) {
		there[m[1]] = true
	}
	for _, f := range append(d.families(), d.namedFamilies()...) {
		there[f.Name] = true
	}
	for _, file := range []string{"grafana/edged.json", "prometheus/edged.rules.yaml", "prometheus/edged.rules.test.yaml"} {
		b, err := os.ReadFile(filepath.Join("..", "contrib", file))
		require.NoError(t, err)
		require.True(t, strings.HasSuffix(file, ".yaml") || json.Valid(b))
		names := regexp.MustCompile(`\b(edged|go|process|node)_[a-z_]+`).FindAllString(string(b), -1)
		require.Greater(t, len(names), 8, file)
		for _, name := range names {
			require.True(t, there[name], "%s asks for %s, which there is not", file, name)
		}
	}
}
