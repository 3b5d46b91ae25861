package identity

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/module"
)

// TestAModuleServesUnderItsHostname, also under the one that it is given when createOptions name
// none: it is $HOSTNAME inside, and what its neighbours find it by. The host's own is never a module's.
func TestAModuleServesUnderItsHostname(t *testing.T) {
	host, err := os.Hostname()
	require.NoError(t, err)
	own := module.DefaultHostname("tempSensor")
	for _, tc := range []struct {
		createOptions string
		name          string
		want          bool
	}{
		{``, own, true},
		{`{}`, own, true},
		{`{}`, "TEMPSENSOR", true},
		{`{"Hostname":""}`, own, true},
		{`{"Hostname":"thermometer"}`, "thermometer", true},
		{`{"Hostname":"thermometer"}`, own, false},
		{`{"NetworkingConfig":{"EndpointsConfig":{"edged":{"Aliases":["probe"]}}}}`, "probe", true},
		{`{}`, module.DefaultHostname("other"), false},
		{`{}`, host, false},
		{`{"HostConfig":{"NetworkMode":"host"}}`, host, false},
		{`{"HostConfig":{"UTSMode":"host"}}`, host, false},
		{`{"NetworkingConfig":{"EndpointsConfig":{"host":{}}}}`, host, false},
	} {
		c := Certificates{Device: "dev", Gateway: "gw", Spec: func(_ context.Context, name string) (*module.Spec, error) {
			return &module.Spec{Name: name, CreateOptions: []byte(tc.createOptions)}, nil
		}}
		got, err := c.Serves(t.Context(), Identity{Module: "tempSensor"}, tc.name)
		require.NoError(t, err)
		require.Equal(t, tc.want, got, "%s for %s", tc.name, tc.createOptions)
	}
}
