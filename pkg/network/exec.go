package network

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/edged/edged/pkg/mountns"
)

// pluginExec runs CNI plugins. Plugins run others, for addresses; one that hangs is
// killed with all that it started, which would else hold its output open for ever.
type pluginExec struct {
	mounts *mountns.Namespace
	version.PluginDecoder
}

var _ invoke.Exec = (*pluginExec)(nil)

// FindInPath looks for a plugin in folders.
func (*pluginExec) FindInPath(plugin string, folders []string) (string, error) {
	path, err := invoke.FindInPath(plugin, folders)
	if err != nil {
		return "", fmt.Errorf("cannot find CNI plugin %q in %s: %w", plugin, strings.Join(folders, ", "), errdefs.ErrUnavailable)
	}
	return path, nil
}

// ExecPlugin runs a plugin until it ends or ctx does. The error is the plugin's own
// words; errdefs.ErrUnavailable, when it did not answer in time.
func (p *pluginExec) ExecPlugin(ctx context.Context, path string, stdin []byte, env []string) ([]byte, error) {
	var stderr bytes.Buffer
	out, err := run(ctx, p.mounts, path, nil, env, stdin, &stderr)
	if err == nil {
		return out, nil
	}
	name := filepath.Base(path)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("CNI plugin %s did not answer in time: %w", name, errdefs.ErrUnavailable)
	}
	var said types.Error
	if json.Unmarshal(out, &said) == nil && said.Msg != "" {
		return nil, &said
	}
	return nil, fmt.Errorf("CNI plugin %s failed: %w: %s", name, err, strings.TrimSpace(stderr.String()))
}

// run runs a program in a process group of its own and kills the group when ctx ends. It
// sees what the machine does, and is kept from nothing there that edged keeps itself from.
func run(ctx context.Context, mounts *mountns.Namespace, path string, args, env []string, stdin []byte, stderr *bytes.Buffer) ([]byte, error) {
	var stdout bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if errors.Is(err, syscall.ESRCH) {
			return nil
		}
		return err
	}
	cmd.WaitDelay = time.Second
	err := mounts.Run(cmd.Run)
	return stdout.Bytes(), err
}
