package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/moby/moby/api/types/mount"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// bindMount reads a bind of Mounts. ReadOnly is for all that is mounted below the
// source, too, as far as the kernel can, as in Docker.
func bindMount(in *mount.Mount, m specs.Mount) (specs.Mount, error) {
	if in.TmpfsOptions != nil || !filepath.IsAbs(in.Source) {
		return m, errors.New("a bind has an absolute Source and no TmpfsOptions")
	}
	b := in.BindOptions
	if b == nil {
		b = &mount.BindOptions{}
	}
	bind, propagation := "rbind", "rprivate"
	if b.Propagation != "" {
		if propagation = string(b.Propagation); !slices.Contains(propagations, propagation) {
			return m, fmt.Errorf("unknown BindOptions.Propagation %q", propagation)
		}
	}
	if b.NonRecursive {
		bind = "bind"
	}
	m.Options = []string{bind, propagation, "rw"}
	switch {
	case !in.ReadOnly && (b.ReadOnlyNonRecursive || b.ReadOnlyForceRecursive):
		return m, errors.New("BindOptions.ReadOnlyNonRecursive and ReadOnlyForceRecursive go with ReadOnly")
	case b.ReadOnlyNonRecursive && b.ReadOnlyForceRecursive:
		return m, errors.New("BindOptions.ReadOnlyNonRecursive and ReadOnlyForceRecursive contradict each other")
	case b.ReadOnlyForceRecursive && (b.NonRecursive || propagation != "rprivate"):
		return m, errors.New("BindOptions.ReadOnlyForceRecursive goes with a recursive bind and Propagation \"rprivate\"")
	case in.ReadOnly:
		m.Options[2] = "ro"
	}
	switch {
	case b.ReadOnlyForceRecursive:
		m.Options = append(m.Options, forceReadOnly)
	case in.ReadOnly && !b.ReadOnlyNonRecursive && !b.NonRecursive && propagation == "rprivate":
		m.Options = append(m.Options, recursiveReadOnly)
	}
	if _, err := os.Stat(in.Source); err != nil && !b.CreateMountpoint {
		return m, fmt.Errorf("bind source path does not exist: %s", in.Source)
	}
	return m, nil
}

// recursiveReadOnly is runc's word, beside "ro", for all mounts below the source; a
// runc before 1.1 takes "ro" and ignores it. forceReadOnly stands in its place until
// it is known that the kernel can.
const (
	recursiveReadOnly = "rro"
	forceReadOnly     = "rro!"
)

// kernelCan leaves out what this kernel cannot do, or refuses it where it was insisted on.
func (m *machine) kernelCan(in specs.Mount) (specs.Mount, error) {
	for i, opt := range in.Options {
		switch {
		case opt == forceReadOnly && !m.recursiveReadOnly:
			return in, errors.New("BindOptions.ReadOnlyForceRecursive needs Linux 5.12")
		case opt == forceReadOnly:
			in.Options[i] = recursiveReadOnly
		case opt == recursiveReadOnly && !m.recursiveReadOnly:
			in.Options = slices.Delete(in.Options, i, i+1)
			return in, nil
		}
	}
	return in, nil
}
