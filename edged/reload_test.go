package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/ca"
	"github.com/edged/edged/pkg/listen"
)

func TestAReloadThatLeavesTrustAsItWasSaysSo(t *testing.T) {
	d, said := quiet(nil)
	d.notifier, d.decider, d.ca = new(listen.Notifier), access.New(nil), new(ca.Authority)
	d.file = filepath.Join(t.TempDir(), "config.toml")
	bundle := filepath.Join(t.TempDir(), "trust.pem")
	require.NoError(t, os.WriteFile(bundle, []byte("no certificate"), 0o600))
	require.NoError(t, os.WriteFile(d.file, fmt.Appendf(nil, "[device]\ntrust_bundle = %q\n", bundle), 0o600))
	require.ErrorContains(t, d.reload(), "cannot reload trust")
	require.Contains(t, said.String(), "cannot reload trust")
	require.NotContains(t, said.String(), "reloaded grants and trust")
}

func TestAReloadTakesOverAnotherLogLevel(t *testing.T) {
	d, _ := quiet(nil)
	d.notifier, d.decider, d.ca = new(listen.Notifier), access.New(nil), new(ca.Authority)
	d.logLevel = "info"
	d.file = filepath.Join(t.TempDir(), "config.toml")
	bundle := filepath.Join(t.TempDir(), "trust.pem") // of no use: trust is another test's
	require.NoError(t, os.WriteFile(bundle, []byte("no certificate"), 0o600))
	for _, step := range []struct {
		text string
		want logrus.Level
	}{
		{"", logrus.WarnLevel}, // which somebody set meanwhile
		{"log_level = 'debug'\n", logrus.DebugLevel},
		{"", logrus.InfoLevel},
		{"log_level = 'loud'\n", logrus.InfoLevel},
	} {
		if step.want == logrus.WarnLevel {
			d.log.SetLevel(step.want)
		}
		require.NoError(t, os.WriteFile(d.file, fmt.Appendf(nil, "%s[device]\ntrust_bundle = %q\n", step.text, bundle), 0o600))
		require.Error(t, d.reload())
		require.Equal(t, step.want, d.log.GetLevel(), "%q", step.text)
	}
}
