package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/module"
)

func TestModulesAreInTheMetrics(t *testing.T) {
	state := func(name string, status module.Status) *module.State {
		return &module.State{Spec: module.Spec{Name: name}, Status: status}
	}
	var b bytes.Buffer
	writeModuleMetrics(&b, []*module.State{
		state("app", module.Status{Runtime: module.Running, Restarts: 3, Health: &module.Health{Status: module.Unhealthy}}),
		state("a\"b\\c\u202e", module.Status{Runtime: module.Failed}),
	})
	require.Equal(t, `edged_module_running{module="app"} 1
edged_module_running{module="a\"b\\c`+"\u202e"+`"} 0
edged_module_restarts{module="app"} 3
edged_module_restarts{module="a\"b\\c`+"\u202e"+`"} 0
edged_module_health{module="app",status="starting"} 0
edged_module_health{module="app",status="healthy"} 0
edged_module_health{module="app",status="unhealthy"} 1
`, b.String())
}
