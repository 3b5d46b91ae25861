package reconcile

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
)

// TestWhatEdgedLeavesOutMakesNoOtherModule: it would be made anew whenever nobody remembers what was made of what.
func TestWhatEdgedLeavesOutMakesNoOtherModule(t *testing.T) {
	options := func(text string) string {
		c := wire.Config{Settings: wire.Settings{Image: "i", CreateOptions: json.RawMessage(text)}}
		return digest(newView("docker", &c))
	}
	for given, kept := range map[string]string{
		`{"HostConfig":{"DeviceRequests":[{"DeviceIDs":null,"Count":1}],"Init":null}}`: `{"HostConfig":{"DeviceRequests":[{"Count":1}]}}`,
		`{"B":1,"A":[null]}`: `{"A":[null],"B":1}`,
		``:                   `{}`,
		`{"N":1000000000}`:   `{"N":1000000000}`,
	} {
		require.Equal(t, options(kept), options(given), given)
	}
	require.NotEqual(t, options(`{"N":1}`), options(`{}`))
}
