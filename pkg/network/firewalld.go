package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/mountns"
)

// firewalldTimeout bounds a question to firewalld, which starts a program in Python.
const firewalldTimeout = 10 * time.Second

// Exit codes of firewall-cmd(1): there is no zone, firewalld does not run.
const (
	firewalldNoZone     = 2
	firewalldNotRunning = 252
)

// errFirewalld says that firewall-cmd is there and fails to answer: nobody knows whether firewalld filters.
var errFirewalld = errors.New("cannot ask firewalld")

// trust puts the bridge into firewalld's zone "trusted" where firewalld runs: it filters
// beside iptables, so that what is accepted there is refused here. What a module may
// reach is still up to edged's own rules. A restart of firewalld forgets it. program is
// firewall-cmd; it is no fault that there is none, or that firewalld does not run.
func trust(ctx context.Context, mounts *mountns.Namespace, program, bridge string) (changed bool, err error) {
	path, err := findProgram(program)
	if err != nil {
		return false, nil //nolint:nilerr // no firewalld on this host
	}
	ctx, cancel := context.WithTimeout(ctx, firewalldTimeout)
	defer cancel()
	var stderr bytes.Buffer
	zone, err := run(ctx, mounts, path, []string{"--get-zone-of-interface=" + bridge}, os.Environ(), nil, &stderr)
	var exit *exec.ExitError
	switch {
	case err == nil && strings.TrimSpace(string(zone)) == "trusted":
		return false, nil
	case err == nil, errors.As(err, &exit) && exit.ExitCode() == firewalldNoZone:
	case exit != nil && exit.ExitCode() == firewalldNotRunning:
		return false, nil
	default:
		return false, fmt.Errorf("%w: %w: %s", errFirewalld, err, strings.TrimSpace(stderr.String()))
	}
	stderr.Reset()
	if _, err := run(ctx, mounts, path, []string{"--zone=trusted", "--change-interface=" + bridge}, os.Environ(), nil, &stderr); err != nil {
		return false, fmt.Errorf("cannot put %s into firewalld's zone trusted: %w: %s: %w", bridge, err, strings.TrimSpace(stderr.String()), errdefs.ErrUnavailable)
	}
	return true, nil
}

// trust is trust for the bridge; that firewalld does not answer is said once, and keeps no module from its start.
func (f *firewall) trust(ctx context.Context) (changed bool, err error) {
	changed, err = trust(ctx, f.families[0].mounts, f.firewallCmd, f.families[0].bridge)
	if !errors.Is(err, errFirewalld) {
		f.mute = f.mute && err != nil
		return changed, err
	}
	if !f.mute && ctx.Err() == nil {
		f.log.WithError(err).Warn("modules may be cut off where firewalld filters")
		f.mute = true
	}
	return false, nil
}
