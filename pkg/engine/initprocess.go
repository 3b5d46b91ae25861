package engine

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/pkg/oci"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// initInside is where HostConfig.Init puts the program that reaps a module's orphans
// and passes signals on.
const initInside = "/sbin/edged-init"

// initPrograms are static ones, since an image's libraries are not the host's. Podman's
// packages keep theirs out of PATH.
func initPrograms() []string {
	return []string{"catatonit", "tini-static", "/usr/libexec/podman/catatonit", "/usr/lib/podman/catatonit"}
}

func (e *Engine) initProgram() (string, error) {
	for _, name := range e.inits {
		if found, err := exec.LookPath(name); err == nil {
			return filepath.EvalSymlinks(found)
		}
	}
	return "", errors.New("this host has neither catatonit nor tini-static: install one of these packages, or leave Init out")
}

// wantsInit says whether Init means anything: in another's PID namespace there is a
// first process already.
func wantsInit(o *options) bool {
	return o.HostConfig.Init != nil && *o.HostConfig.Init && o.HostConfig.PidMode == ""
}

func (e *Engine) checkInit(o *options) error {
	if !wantsInit(o) {
		return nil
	}
	if _, err := e.initProgram(); err != nil {
		return invalid("HostConfig.Init", "%w", err)
	}
	return nil
}

// withInit comes behind the arguments and the mounts.
func (e *Engine) withInit(o *options) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *ociContainer, s *oci.Spec) error {
		if !wantsInit(o) {
			return nil
		}
		program, err := e.initProgram()
		if err != nil {
			return invalid("HostConfig.Init", "%w", err)
		}
		if slices.ContainsFunc(s.Mounts, func(m specs.Mount) bool { return within(initInside, m.Destination) }) {
			return invalid("HostConfig.Init", "a mount lies on %s, where the init goes", initInside)
		}
		if len(s.Process.Args) == 0 {
			return nil // there is no command, which is said elsewhere
		}
		if strings.HasPrefix(s.Process.Args[0], "-") {
			return fmt.Errorf("cannot run %q: %w", s.Process.Args[0], invalid("Entrypoint", "it begins with a dash"))
		}
		s.Mounts = append(s.Mounts, specs.Mount{Destination: initInside, Source: program, Type: "bind", Options: []string{"bind", "rprivate", "ro", "nosuid", "nodev"}})
		s.Process.Args = slices.Concat([]string{initInside, "--"}, s.Process.Args)
		return nil
	}
}
