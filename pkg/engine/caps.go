package engine

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/pkg/cap"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// normalCap brings a capability to the form that runc reads.
func normalCap(name string) (string, error) {
	c := strings.ToUpper(name)
	if c == "ALL" {
		return c, nil
	}
	if !strings.HasPrefix(c, "CAP_") {
		c = "CAP_" + c
	}
	if !slices.Contains(cap.Known(), c) {
		return "", fmt.Errorf("unknown capability %q: %w", name, errdefs.ErrInvalidArgument)
	}
	return c, nil
}

func checkCaps(o *options) error {
	for _, list := range [][]string{o.HostConfig.CapAdd, o.HostConfig.CapDrop} {
		for _, name := range list {
			if _, err := normalCap(name); err != nil {
				return fmt.Errorf("invalid createOptions.HostConfig.CapAdd or CapDrop: %w", err)
			}
		}
	}
	return nil
}

// withCaps applies CapAdd and CapDrop to Docker's default set as Docker does: ALL
// in one list means all but what the other says. "All" is what containerd holds, which
// starts the module: edged's own unit leaves edged less.
func (e *Engine) withCaps(o *options) oci.SpecOpts {
	return func(ctx context.Context, c oci.Client, ctr *ociContainer, s *oci.Spec) error {
		add, drop := normalCaps(o.HostConfig.CapAdd), normalCaps(o.HostConfig.CapDrop)
		var caps []string
		switch {
		case slices.Contains(add, "ALL"):
			held, err := e.held()
			if err != nil {
				return err
			}
			caps = without(held, drop)
		case slices.Contains(drop, "ALL"):
			caps = add
		default:
			caps = without(s.Process.Capabilities.Bounding, drop)
			for _, a := range add {
				if !slices.Contains(caps, a) {
					caps = append(caps, a)
				}
			}
		}
		return oci.WithCapabilities(caps)(ctx, c, ctr, s)
	}
}

// withHeldCaps is what Privileged means for capabilities, and comes behind
// oci.WithPrivileged, which takes those of the process that asks.
func (e *Engine) withHeldCaps(ctx context.Context, c oci.Client, ctr *ociContainer, s *oci.Spec) error {
	held, err := e.held()
	if err != nil {
		return err
	}
	return oci.WithCapabilities(held)(ctx, c, ctr, s)
}

// capsBehind are the capabilities of the process that listens on a socket (socket(7),
// SO_PEERCRED; proc(5), status).
func capsBehind(socket string) ([]string, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("cannot ask who listens on %s (%w): %w", socket, err, errdefs.ErrUnavailable)
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	var peer *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) { peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, fmt.Errorf("cannot ask who listens on %s: %w", socket, failed)
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", peer.Pid))
	if err != nil {
		return nil, fmt.Errorf("cannot read capabilities of who listens on %s (%w): %w", socket, err, errdefs.ErrUnavailable)
	}
	defer f.Close()
	caps, err := cap.ParseProcPIDStatus(f)
	if err != nil {
		return nil, fmt.Errorf("cannot read capabilities of who listens on %s: %w", socket, err)
	}
	names, _ := cap.FromBitmap(caps[cap.Effective])
	return names, nil
}

// normalCaps is for lists that checkCaps has passed.
func normalCaps(list []string) []string {
	var caps []string
	for _, name := range list {
		if c, err := normalCap(name); err == nil {
			caps = append(caps, c)
		}
	}
	return caps
}

func without(all, drop []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(c string) bool { return slices.Contains(drop, c) })
}
