package spine

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

func TestAgentMakesAModuleRunStopAndGo(t *testing.T) {
	d := device.New(t, device.Options{})
	d.CreateAndStart(d.Spec("sensor"))
	require.Equal(t, "running", d.WaitFor("sensor", "running").Status.RuntimeStatus.Status)
	p := d.Probe("sensor")

	own := p.Call(device.Call{Socket: device.WorkloadInside, Method: "GET", Path: "/modules?" + device.Version})
	require.Equal(t, http.StatusOK, own.Status, own.Body+own.Error)

	d.Post("sensor", "stop")
	m, _ := d.Get("sensor")
	require.Equal(t, "stopped", m.Status.RuntimeStatus.Status)
	require.Equal(t, "0", m.Status.ExitStatus.StatusCode)

	a := d.Agent().Manage(http.MethodDelete, "/modules/sensor", "")
	require.Equal(t, http.StatusNoContent, a.Status, a.Body)
	_, status := d.Get("sensor")
	require.Equal(t, http.StatusNotFound, status)
}
