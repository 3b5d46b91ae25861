package engine

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/pkg/oci"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// withUser looks names and supplementary groups up in the image, as Docker does. To
// look, the file system has to be mounted; what is in an image never changes, so what
// was found there once is remembered with it.
func withUser(o *options, image unpacked, look imageLook) oci.SpecOpts {
	user := image.config.User
	if o.User != "" {
		user = o.User
	}
	return func(ctx context.Context, _ oci.Client, _ *ociContainer, s *oci.Spec) error {
		if found, ok := image.users.Load(user); ok {
			s.Process.User = cloneUser(found.(specs.User))
			return nil
		}
		var found specs.User
		err := look(ctx, func(root string) error {
			files, err := readUserFiles(root)
			if err != nil {
				return err
			}
			if found, err = files.lookUp(user); err != nil {
				return fmt.Errorf("cannot use User %q: %w", user, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
		image.users.Store(user, cloneUser(found))
		s.Process.User = found
		return nil
	}
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
func withGroupAdd(o *options, image unpacked, look imageLook) oci.SpecOpts {
	return func(ctx context.Context, c oci.Client, ctr *ociContainer, s *oci.Spec) error {
		var gids []uint32
		for _, g := range o.HostConfig.GroupAdd {
			if n, err := strconv.ParseUint(g, 10, 31); err == nil {
				gids = append(gids, uint32(n))
				continue
			}
			gid, ok := image.users.Load(imageGroup(g))
			if !ok {
				err := look(ctx, func(root string) error {
					files, err := readUserFiles(root)
					if err != nil {
						return err
					}
					if gid, err = files.groupID(g); err != nil {
						return invalid("HostConfig.GroupAdd", "%q: %w", g, err)
					}
					return nil
				})
				if err != nil {
					return err
				}
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
