// Package operators runs edgectl as an operator does, against edged and the reference
// agent on a real containerd.
package operators

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// operator is who sits before a device.
type operator struct {
	*device.Device
	t *testing.T
}

// newOperator makes a device whose edgeAgent is the reference agent.
func newOperator(t *testing.T) *operator {
	return &operator{device.New(t, device.Options{Packaged: true}), t}
}

func (o *operator) put(name, text string) string {
	o.t.Helper()
	path := filepath.Join(o.Root, name)
	require.NoError(o.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(o.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func (o *operator) copy(from, to string) {
	o.t.Helper()
	in, err := os.Open(from)
	require.NoError(o.t, err, "make build makes it")
	defer in.Close()
	out, err := os.Create(to)
	require.NoError(o.t, err)
	_, err = io.Copy(out, in)
	require.NoError(o.t, errors.Join(err, out.Close()))
}

// result is what a run of edgectl leaves behind.
type result struct {
	code     int
	out, err string
}

// edgectl runs it; commands that read the configuration are told which one.
func (o *operator) edgectl(args ...string) result {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), 2*time.Minute)
	defer cancel()
	line := append([]string{filepath.Join(device.Repository(), "bin", "edgectl")}, args...)
	if _, err := os.Stat(o.NetNS()); err == nil {
		line = append([]string{"nsenter", "--net=" + o.NetNS()}, line...)
	}
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env = append(os.Environ(), "EDGED_HOST="+o.Management())
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(o.t, err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

func (o *operator) must(args ...string) string {
	o.t.Helper()
	got := o.edgectl(args...)
	require.Zero(o.t, got.code, "%q: %s", args, got.out+got.err)
	return got.out
}

func (o *operator) config() string { return filepath.Join(o.Root, "config.toml") }

// finding is one check's outcome, as JSON has it.
type finding struct{ ID, Status, Found, Cure string }

// check runs checks and returns them by id.
func (o *operator) check(ids ...string) map[string]finding {
	o.t.Helper()
	got := o.edgectl(append([]string{"check", "--config", o.config(), "--format", "json"}, ids...)...)
	var list []finding
	require.NoError(o.t, json.Unmarshal([]byte(got.out), &list), got.out+got.err)
	byID := map[string]finding{}
	for _, r := range list {
		byID[r.ID] = r
	}
	return byID
}

// start runs edgectl until the test ends, and returns what it has written by now.
func (o *operator) start(args ...string) (written func() string) {
	o.t.Helper()
	cmd := exec.Command(filepath.Join(device.Repository(), "bin", "edgectl"), args...)
	cmd.Env = append(os.Environ(), "EDGED_HOST="+o.Management())
	path := filepath.Join(o.t.TempDir(), "out")
	f, err := os.Create(path)
	require.NoError(o.t, err)
	cmd.Stdout, cmd.Stderr = f, f
	require.NoError(o.t, cmd.Start())
	o.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = f.Close()
	})
	return func() string {
		b, err := os.ReadFile(path)
		require.NoError(o.t, err)
		return string(b)
	}
}
