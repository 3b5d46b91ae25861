package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/pkg/cap"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/errdefs"
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
// in one list means all but what the other says. "All" is what edged itself holds.
func withCaps(o *options) oci.SpecOpts {
	return func(ctx context.Context, c oci.Client, ctr *ociContainer, s *oci.Spec) error {
		add, drop := normalCaps(o.HostConfig.CapAdd), normalCaps(o.HostConfig.CapDrop)
		var caps []string
		switch {
		case slices.Contains(add, "ALL"):
			held, err := cap.Current()
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
