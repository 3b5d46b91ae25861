package engine

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// withUser looks names and supplementary groups up in the image, as Docker does. To
// look, the file system has to be mounted; what is in an image never changes, so what
// was found there once is remembered with it.
func withUser(o *options, image unpacked) oci.SpecOpts {
	user := image.config.User
	if o.User != "" {
		user = o.User
	}
	return func(ctx context.Context, c oci.Client, ctr *ociContainer, s *oci.Spec) error {
		if found, ok := image.users.Load(user); ok {
			s.Process.User = cloneUser(found.(specs.User))
			return nil
		}
		if user != "" {
			if err := oci.WithUser(user)(ctx, c, ctr, s); err != nil {
				return fmt.Errorf("cannot use User %q: %w", user, unknownToImage(err))
			}
		}
		name, _, _ := strings.Cut(user, ":")
		if name == "" {
			name = "0"
		}
		if err := oci.WithAdditionalGIDs(name)(ctx, c, ctr, s); err != nil {
			return err
		}
		image.users.Store(user, cloneUser(s.Process.User))
		return nil
	}
}

// unknownToImage is the class of an error that says that an image does not know a name.
func unknownToImage(err error) error {
	if err = classify(err); errdefs.IsUnavailable(err) {
		return err
	}
	return fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
}

func cloneUser(u specs.User) specs.User {
	u.AdditionalGids = slices.Clone(u.AdditionalGids)
	return u
}

// imageGroup is the key under which a group's number is remembered with its image; a
// User cannot begin so.
type imageGroup string

// checkGroups refuses entries that no image could know.
func checkGroups(o *options) error {
	for _, g := range o.HostConfig.GroupAdd {
		_, err := strconv.ParseUint(g, 10, 64)
		number := err == nil
		if _, err := strconv.ParseUint(g, 10, 31); g == "" || number && err != nil || strings.ContainsAny(g, ":\n\x00") {
			return invalid("HostConfig.GroupAdd", "%q is neither a group's name nor its number", g)
		}
	}
	return nil
}

// withGroupAdd adds groups by number or by their name in the image, as Docker does.
func withGroupAdd(o *options, image unpacked) oci.SpecOpts {
	return func(ctx context.Context, c oci.Client, ctr *ociContainer, s *oci.Spec) error {
		var gids []uint32
		for _, g := range o.HostConfig.GroupAdd {
			if n, err := strconv.ParseUint(g, 10, 31); err == nil {
				gids = append(gids, uint32(n))
				continue
			}
			gid, ok := image.users.Load(imageGroup(g))
			if !ok {
				look := &oci.Spec{Root: s.Root, Process: &specs.Process{}}
				if err := oci.WithAppendAdditionalGroups(g)(ctx, c, ctr, look); err != nil {
					return invalid("HostConfig.GroupAdd", "%q: %w", g, unknownToImage(err))
				}
				all := look.Process.User.AdditionalGids
				gid = all[len(all)-1]
				image.users.Store(imageGroup(g), gid)
			}
			gids = append(gids, gid.(uint32))
		}
		return withGroups(gids)(ctx, c, ctr, s)
	}
}

func withGroups(gids []uint32) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *ociContainer, s *oci.Spec) error {
		for _, gid := range gids {
			if !slices.Contains(s.Process.User.AdditionalGids, gid) {
				s.Process.User.AdditionalGids = append(s.Process.User.AdditionalGids, gid)
			}
		}
		return nil
	}
}

// maxUmask is every permission bit.
const maxUmask = 0o777

func checkUmask(o *options) error {
	if u := o.HostConfig.Umask; u != nil && *u > maxUmask {
		return invalid("HostConfig.Umask", "%d is above %d (0777)", *u, maxUmask)
	}
	return nil
}

func withUmask(o *options) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *ociContainer, s *oci.Spec) error {
		s.Process.User.Umask = o.HostConfig.Umask
		return nil
	}
}
