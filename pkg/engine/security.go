package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/containerd/containerd/v2/pkg/oci"
	dockerseccomp "github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/edged/edged/contrib/apparmor"
)

// security is SecurityOpt, read.
type security struct {
	noNewPrivileges bool
	// seccomp is empty (Docker's profile), "unconfined", or a profile in Docker's JSON.
	seccomp string
	// appArmor is empty (edged's profile), "unconfined", or the name of one that is loaded.
	appArmor string
	// openPaths shows /proc and /sys whole.
	openPaths       bool
	writableCgroups bool
}

// readSecurity reads the entries as Docker's API does: "key=value", or "key:value" as
// it was once.
func readSecurity(o *options) (security, error) {
	var s security
	seen := map[string]bool{}
	for _, entry := range o.HostConfig.SecurityOpt {
		key, value, given := cutOption(entry)
		err := s.set(key, value, given)
		if err == nil && seen[key] && key != "label" {
			err = errors.New("it is given twice")
		}
		if err != nil {
			return s, invalid("HostConfig.SecurityOpt", "%s: %w", shorten(entry), err)
		}
		seen[key] = true
	}
	return s, nil
}

func cutOption(entry string) (key, value string, given bool) {
	if key, value, given = strings.Cut(entry, "="); given && !strings.Contains(key, ":") {
		return key, value, true
	}
	return strings.Cut(entry, ":")
}

func (s *security) set(key, value string, given bool) error {
	switch key {
	case "no-new-privileges":
		return readFlag(&s.noNewPrivileges, value, given)
	case "writable-cgroups":
		return readFlag(&s.writableCgroups, value, given)
	case "seccomp":
		s.seccomp = value
		if value == "builtin" {
			s.seccomp = ""
			return nil
		}
		return checkSeccomp(value)
	case "apparmor":
		switch value {
		case "":
			return errors.New("it names no profile")
		case "docker-default":
			s.appArmor = "" // the same rules under edged's name
		default:
			s.appArmor = value
		}
	case "systempaths":
		if value != "unconfined" {
			return errors.New(`it is "systempaths=unconfined"`)
		}
		s.openPaths = true
	case "label":
		if value == "" {
			return errors.New("it says nothing")
		}
	default:
		return errors.New("unknown option: it is no-new-privileges, seccomp, apparmor, label, systempaths or writable-cgroups")
	}
	return nil
}

func readFlag(into *bool, value string, given bool) (err error) {
	if *into = true; given {
		if *into, err = strconv.ParseBool(value); err != nil {
			return fmt.Errorf("%q is neither true nor false", value)
		}
	}
	return nil
}

// shorten keeps a whole seccomp profile out of an error.
func shorten(entry string) string {
	if len(entry) > 60 {
		return strconv.Quote(entry[:60]) + "..."
	}
	return strconv.Quote(entry)
}

func checkSeccomp(profile string) error {
	if profile == "unconfined" {
		return nil
	}
	if !strings.HasPrefix(strings.TrimSpace(profile), "{") {
		return errors.New("the API takes the profile itself as JSON, \"unconfined\" or \"builtin\"; a file's name is for Docker's command line")
	}
	_, err := loadSeccomp(profile, &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}})
	return err
}

func loadSeccomp(profile string, s *specs.Spec) (*specs.LinuxSeccomp, error) {
	var whole json.RawMessage
	if err := json.Unmarshal([]byte(profile), &whole); err != nil {
		return nil, fmt.Errorf("the profile is not JSON: %w", err)
	}
	loaded, err := dockerseccomp.LoadProfile(profile, s)
	if err != nil {
		return nil, fmt.Errorf("cannot use the profile: %w", err)
	}
	if loaded != nil && loaded.ListenerPath != "" {
		return nil, errors.New("the profile's listenerPath is not supported: it would hand a module's calls to a socket of the host")
	}
	return loaded, nil
}

// checkSecurity refuses what this host's security modules cannot do.
func (m *machine) checkSecurity(o *options) error {
	s, err := readSecurity(o)
	if err != nil {
		return err
	}
	switch {
	case s.writableCgroups && o.HostConfig.CgroupnsMode == "host":
		// It could move itself into a group of the host's and pass for a host user.
		return invalid("HostConfig.SecurityOpt", "writable-cgroups contradicts HostConfig.CgroupnsMode \"host\"")
	case s.appArmor == "" || s.appArmor == "unconfined":
	case !m.appArmor():
		return invalid("HostConfig.SecurityOpt", "apparmor=%s: this host has no AppArmor", s.appArmor)
	case !profileLoaded(s.appArmor):
		return invalid("HostConfig.SecurityOpt", "apparmor=%s: no such profile is loaded on this host", s.appArmor)
	}
	if m.seLinux {
		for _, entry := range o.HostConfig.SecurityOpt {
			// Without SELinux a label means nothing, and Docker takes it as nothing, too.
			if key, value, _ := cutOption(entry); key == "label" && value != "disable" {
				return invalid("HostConfig.SecurityOpt", "%q: edged gives modules no SELinux labels; it is \"label=disable\" or nothing", entry)
			}
		}
	}
	for name, paths := range map[string][]string{"HostConfig.MaskedPaths": o.HostConfig.MaskedPaths, "HostConfig.ReadonlyPaths": o.HostConfig.ReadonlyPaths} {
		for _, p := range paths {
			if !path.IsAbs(p) || path.Clean(p) == "/" || strings.ContainsRune(p, 0) {
				return invalid(name, "%q is not an absolute path below /", p)
			}
			if err := besideSockets(path.Clean(p)); err != nil {
				return invalid(name, "%w", err)
			}
		}
	}
	return nil
}

// withSecurity is applied last: the seccomp profile allows calls by the capabilities
// that it finds.
func (m *machine) withSecurity(o *options) oci.SpecOpts {
	h := &o.HostConfig
	return func(ctx context.Context, c oci.Client, ctr *ociContainer, s *oci.Spec) error {
		sec, err := readSecurity(o)
		if err != nil {
			return err
		}
		s.Process.NoNewPrivileges = sec.noNewPrivileges
		if h.Privileged || sec.openPaths {
			s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil
		}
		if h.MaskedPaths != nil {
			s.Linux.MaskedPaths = h.MaskedPaths
		}
		if h.ReadonlyPaths != nil {
			s.Linux.ReadonlyPaths = h.ReadonlyPaths
		}
		if sec.writableCgroups || h.Privileged {
			writableCgroup(s)
		}
		if m.appArmor() {
			switch {
			case sec.appArmor == "unconfined", sec.appArmor == "" && h.Privileged:
				s.Process.ApparmorProfile = ""
			case sec.appArmor != "":
				s.Process.ApparmorProfile = sec.appArmor
			default:
				if err := loadProfile(ctx); err != nil {
					return err
				}
				s.Process.ApparmorProfile = apparmor.Name
			}
		}
		switch {
		case sec.seccomp == "unconfined", sec.seccomp == "" && h.Privileged:
			s.Linux.Seccomp = nil
		case sec.seccomp != "":
			if s.Linux.Seccomp, err = loadSeccomp(sec.seccomp, s); err != nil {
				return invalid("HostConfig.SecurityOpt", "seccomp: %w", err)
			}
		default:
			return seccomp.WithDefaultProfile()(ctx, c, ctr, s)
		}
		return nil
	}
}

func writableCgroup(s *oci.Spec) {
	for i := range s.Mounts {
		if s.Mounts[i].Type == "cgroup" {
			s.Mounts[i].Options = []string{"rw", "nosuid", "noexec", "nodev"}
		}
	}
}
