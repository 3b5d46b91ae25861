package mgmt

import (
	"fmt"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestTheCAIsShown(t *testing.T) {
	f := newFixture(t)
	w := f.ask("user", "GET", "/device/ca"+v, "")
	require.Equal(t, 200, w.Code)
	require.Contains(t, w.Body.String(), `{"source":"device","subject":"CN=edged CA x"`)
	require.Contains(t, w.Body.String(), `"serial":"4711","renewAt":"1970-01-01T00:40:00Z","certificate":"PEM","trust":[{"subject":"CN=edged CA x"`)
	require.Equal(t, 404, f.ask("root", "GET", "/device/ca?api-version=2019-01-30", "").Code)
}

func TestTheCAIsRenewed(t *testing.T) {
	f := newFixture(t)
	w := f.ask("edged", "POST", "/device/ca/renew"+v, "")
	require.Equal(t, 200, w.Code)
	require.Contains(t, w.Body.String(), `"source":"device"`)
	require.Equal(t, []string{"renew"}, f.sup.asked)
	f.sup.fail = fmt.Errorf("TPM does not answer: %w", errdefs.ErrUnavailable)
	w = f.ask("root", "POST", "/device/ca/renew"+v, "")
	require.Equal(t, 503, w.Code)
	require.Equal(t, "TPM does not answer", message(t, w))
}
