package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/moby/moby/api/types/mount"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// tmpfsFlags and tmpfsKeys are the options of a tmpfs that a module may choose, tmpfs(5)
// and mount(8).
var (
	tmpfsFlags = []string{
		"ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "sync", "async", "dirsync", "mand", "nomand", "atime", "noatime",
		"diratime", "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime",
	}
	tmpfsKeys = []string{"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"}
)

// tmpfsDefaults are Docker's; a later word wins over its opposite.
var tmpfsDefaults = []string{"noexec", "nosuid", "nodev"}

// parseTmpfs reads an entry of Tmpfs, whose options are mount(8)'s, comma-separated.
func parseTmpfs(target, opts string) (specs.Mount, error) {
	m := specs.Mount{Destination: target, Type: "tmpfs", Source: "tmpfs", Options: slices.Clone(tmpfsDefaults)}
	if opts == "" {
		return m, nil
	}
	for opt := range strings.SplitSeq(opts, ",") {
		key, value, given := strings.Cut(opt, "=")
		if err := checkTmpfsOption(key, value, given); err != nil {
			return m, err
		}
		m.Options = mergeTmpfs(m.Options, opt)
	}
	return m, nil
}

// tmpfsMount reads a tmpfs of Mounts.
func tmpfsMount(in *mount.Mount, m specs.Mount) (specs.Mount, error) {
	if in.BindOptions != nil || in.Source != "" {
		return m, errors.New("a tmpfs has neither Source nor BindOptions")
	}
	m.Source = "tmpfs"
	mode := "rw"
	if in.ReadOnly {
		mode = "ro"
	}
	m.Options = append(slices.Clone(tmpfsDefaults), mode)
	t := in.TmpfsOptions
	if t == nil {
		return m, nil
	}
	if t.SizeBytes < 0 {
		return m, fmt.Errorf("TmpfsOptions.SizeBytes %d is no size", t.SizeBytes)
	}
	if t.SizeBytes > 0 {
		m.Options = append(m.Options, "size="+strconv.FormatInt(t.SizeBytes, 10))
	}
	if t.Mode != 0 {
		// Docker takes the number as chmod(2) does, sticky bit and all.
		m.Options = append(m.Options, "mode="+strconv.FormatUint(uint64(t.Mode&0o7777), 8))
	}
	for _, opt := range t.Options {
		var key, value string
		switch len(opt) {
		case 1:
			key = opt[0]
		case 2:
			key, value = opt[0], opt[1]
		default:
			return m, fmt.Errorf("TmpfsOptions.Options has an entry of %d parts: a flag is one, a key with its value two", len(opt))
		}
		if err := checkTmpfsOption(key, value, len(opt) == 2); err != nil {
			return m, fmt.Errorf("TmpfsOptions.Options: %w", err)
		}
		m.Options = mergeTmpfs(m.Options, strings.Join(opt, "="))
	}
	return m, nil
}

func checkTmpfsOption(key, value string, given bool) error {
	switch {
	case !given && slices.Contains(tmpfsFlags, key):
		return nil
	case !given || !slices.Contains(tmpfsKeys, key):
		return fmt.Errorf("unknown tmpfs option %q", key)
	case key == "mpol":
		if value == "" || strings.ContainsAny(value, ", \x00\n") {
			return fmt.Errorf("invalid tmpfs option mpol=%q", value)
		}
		return nil
	case key == "mode":
		if n, err := strconv.ParseUint(value, 8, 32); err != nil || n > 0o7777 {
			return fmt.Errorf("invalid tmpfs option mode=%q: it is octal", value)
		}
		return nil
	}
	number, percent := value, false
	if key == "size" {
		number, percent = strings.CutSuffix(value, "%")
	}
	if key != "uid" && key != "gid" && !percent {
		number = strings.TrimRight(number, "kKmMgGtT")
		if len(value)-len(number) > 1 {
			return fmt.Errorf("invalid tmpfs option %s=%q", key, value)
		}
	}
	if _, err := strconv.ParseUint(number, 10, 63); err != nil {
		return fmt.Errorf("invalid tmpfs option %s=%q: it is a number", key, value)
	}
	return nil
}

// mergeTmpfs adds an option and takes away what it overrides.
func mergeTmpfs(all []string, opt string) []string {
	key, _, valued := strings.Cut(opt, "=")
	opposite := "no" + key
	switch {
	case key == "ro":
		opposite = "rw"
	case key == "rw":
		opposite = "ro"
	case key == "async":
		opposite = "sync"
	case key == "sync":
		opposite = "async"
	case strings.HasPrefix(key, "no"):
		opposite = key[2:]
	}
	all = slices.DeleteFunc(all, func(o string) bool {
		k, _, v := strings.Cut(o, "=")
		return o == opposite || k == key && v == valued
	})
	return append(all, opt)
}

// defaultShm is Docker's size of /dev/shm.
const defaultShm = 64 << 20

func checkShm(o *options) error {
	if o.HostConfig.ShmSize < 0 {
		return invalid("HostConfig.ShmSize", "%d is no size", o.HostConfig.ShmSize)
	}
	return nil
}

// withShm sizes /dev/shm, or takes the host's with its IPC namespace, or none. A size is
// nothing to the host's and to none.
func withShm(o *options) oci.SpecOpts {
	return func(ctx context.Context, c oci.Client, ctr *ociContainer, s *oci.Spec) error {
		size := o.HostConfig.ShmSize
		if size == 0 {
			size = defaultShm
		}
		hosts, err := resolve("/dev/shm") // a link on some systems
		if err != nil {
			return err
		}
		for i := range s.Mounts {
			m := &s.Mounts[i]
			switch {
			case o.HostConfig.IpcMode == "host" && m.Destination == "/dev/shm":
				// Message queues need no such thing: mqueue shows those of the namespace.
				*m = specs.Mount{Destination: m.Destination, Type: "bind", Source: hosts, Options: []string{"rbind", "rprivate", "rw", "nosuid", "noexec", "nodev"}}
			case m.Destination == "/dev/shm":
				m.Options = append(slices.DeleteFunc(slices.Clone(m.Options), func(o string) bool { return strings.HasPrefix(o, "size=") }), "size="+strconv.FormatInt(size, 10))
			}
		}
		if o.HostConfig.IpcMode == "none" {
			return oci.WithoutMounts("/dev/shm")(ctx, c, ctr, s)
		}
		return nil
	}
}
