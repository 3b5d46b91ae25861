package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/config"
)

// findLogger finds the program that keeps modules' logs.
func findLogger() (string, error) { return findProgram("edged-logger") }

// findProgram looks beside edged first, so that a build runs with its own, then
// where the package puts it.
func findProgram(name string) (string, error) {
	places := []string{filepath.Join("/usr/libexec/edged", name)}
	if exe, err := os.Executable(); err == nil {
		places = append([]string{filepath.Join(filepath.Dir(exe), name)}, places...)
	}
	for _, p := range places {
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() {
			return p, nil
		}
	}
	return "", fmt.Errorf("cannot find %s, looked at %s", name, strings.Join(places, " and "))
}

// systemdOwnsCgroups says that scopes are to be asked of systemd: it runs, and
// there is one hierarchy, which is then its own.
func systemdOwnsCgroups() bool {
	var st unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &st); err != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
		return false
	}
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}

// bootFile holds the boot id under which modules were last taken up. The run
// folder does not outlive a reboot, so its absence says the same.
func bootFile(cfg *config.Config) string { return filepath.Join(cfg.Run, "boot-id") }

// powerCut says that this boot's modules were not started yet.
func (d *daemon) powerCut() bool {
	b, err := os.ReadFile(bootFile(d.cfg))
	return err != nil || string(b) != d.kernel.BootID()
}

// markBoot is called once they were: until then a crash must not forget it.
func (d *daemon) markBoot() error {
	return os.WriteFile(bootFile(d.cfg), []byte(d.kernel.BootID()), 0o600)
}

// edgedGroup is the gid of the group edged, -1 without one.
func edgedGroup() (int, error) {
	g, err := user.LookupGroup("edged")
	if err != nil {
		return -1, err
	}
	return strconv.Atoi(g.Gid)
}

// grants resolves names of users and groups once: a look-up at each request would
// ask whoever serves names on this host.
func (d *daemon) grants(cfg *config.Config) []access.Grant {
	var grants []access.Grant
	for _, g := range cfg.Grants {
		r := access.Grant{Modules: g.Modules, ServerNames: g.ServerNames}
		for _, p := range g.Permissions {
			r.Permissions = append(r.Permissions, access.Permission(p))
		}
		for _, name := range g.Users {
			if u, err := user.Lookup(name); err == nil {
				name = u.Uid
			}
			r.UIDs = d.appendID(r.UIDs, "user", name)
		}
		for _, name := range g.Groups {
			if gr, err := user.LookupGroup(name); err == nil {
				name = gr.Gid
			}
			r.GIDs = d.appendID(r.GIDs, "group", name)
		}
		grants = append(grants, r)
	}
	return grants
}

func (d *daemon) appendID(ids []uint32, kind, name string) []uint32 {
	id, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		d.log.Warnf("grant names %s %q, which this host does not know", kind, name)
		return ids
	}
	return append(ids, uint32(id))
}

// gateway is the name by which modules are told to find the gateway.
func gateway(cfg *config.Config) string { return cmp.Or(cfg.Device.Gateway, hostname(cfg)) }

func hostname(cfg *config.Config) string {
	if cfg.Hostname != "" {
		return cfg.Hostname
	}
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

func deviceID(cfg *config.Config) string {
	if cfg.Device.ID != "" {
		return cfg.Device.ID
	}
	return hostname(cfg)
}

// makeFolder makes a folder with exactly this mode and group, whatever the umask.
func makeFolder(path string, mode fs.FileMode, gid int) error {
	if err := os.Mkdir(path, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot make folder: %w", err)
	}
	if gid >= 0 {
		if err := os.Lchown(path, 0, gid); err != nil {
			return fmt.Errorf("cannot give folder to its group: %w", err)
		}
	}
	return os.Chmod(path, mode)
}
