package network

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/containerd/errdefs"
)

// firewalldTimeout bounds a question to firewalld, which starts a program in Python.
const firewalldTimeout = 10 * time.Second

// trust puts the bridge into firewalld's zone "trusted" where firewalld runs: it filters
// beside iptables, so that what is accepted there is refused here. What a module may
// reach is still up to edged's own rules. program is firewall-cmd; it is no fault that
// there is none, or that firewalld does not run.
func trust(ctx context.Context, program, bridge string) error {
	path, err := findProgram(program)
	if err != nil {
		return nil //nolint:nilerr // no firewalld on this host
	}
	ctx, cancel := context.WithTimeout(ctx, firewalldTimeout)
	defer cancel()
	var stderr bytes.Buffer
	if _, err := run(ctx, path, []string{"--state"}, os.Environ(), nil, &stderr); err != nil {
		return nil //nolint:nilerr // it does not run
	}
	stderr.Reset()
	if _, err := run(ctx, path, []string{"--zone=trusted", "--change-interface=" + bridge}, os.Environ(), nil, &stderr); err != nil {
		return fmt.Errorf("cannot put %s into firewalld's zone trusted: %w: %s: %w", bridge, err, strings.TrimSpace(stderr.String()), errdefs.ErrUnavailable)
	}
	return nil
}
