package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func (d *device) configuration(context.Context) outcome {
	switch {
	case errors.Is(d.cfgErr, fs.ErrPermission):
		return skip("%v: run the check as root or as a member of the group edged", d.cfgErr)
	case errors.Is(d.cfgErr, fs.ErrNotExist):
		return bad("name edged's configuration file with --config, or write one: edgectl init", "%v", d.cfgErr)
	case d.cfgErr != nil:
		return bad("correct the file; until then edged does not start, and a reload changes nothing",
			"%s", strings.ReplaceAll(d.cfgErr.Error(), "\n", "; "))
	}
	if _, err := os.Stat(d.File); err != nil {
		return fine("%s is not there: the defaults hold", d.File)
	}
	if bundle := d.cfg.Device.TrustBundle; bundle != "" {
		if _, err := os.Stat(bundle); err != nil {
			return warn("bring the file and reload (systemctl reload edged.service), or take the key out", "[device] trust_bundle, which modules are to trust: %v", err)
		}
	}
	if numbers := d.cfg.Metrics.Textfile; numbers != "" {
		if _, err := os.Stat(filepath.Dir(numbers)); err != nil {
			return warn("make its folder, or take the key out", "[metrics] textfile cannot be written: %v", err)
		}
	}
	return fine("%s is valid", d.File)
}

// configMode matters because what the file says of [agent] is run with any right on
// the device, and registries' passwords may stand in it.
func (d *device) configMode(context.Context) outcome {
	dir := filepath.Dir(d.File)
	paths := append([]string{dir, d.File, filepath.Join(dir, "config.d")}, dropIns(dir)...)
	var all []outcome
	for _, p := range paths {
		st, err := os.Stat(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return skip("%v: run the check as root", err)
		}
		uid, _ := owner(st)
		mode := st.Mode()
		switch {
		case uid != 0:
			all = append(all, bad("chown root:edged "+p, "%s belongs to user %d, who decides with it what runs as root", p, uid))
		case mode.Perm()&0o022 != 0 && mode&fs.ModeSticky == 0:
			all = append(all, bad("chmod go-w "+p, "%s has mode %04o: others than root can change it", p, mode.Perm()))
		case mode.IsRegular() && mode.Perm()&0o004 != 0:
			all = append(all, warn("chmod o-r "+p, "%s has mode %04o: everybody can read it, and passwords may stand in it", p, mode.Perm()))
		}
	}
	if len(all) == 0 {
		return fine("only root can change %s", d.File)
	}
	return worst(all...)
}

func dropIns(dir string) []string {
	found, err := filepath.Glob(filepath.Join(dir, "config.d", "*.toml"))
	if err != nil {
		return nil // the pattern is fixed
	}
	return found
}

func (d *device) group(context.Context) outcome {
	if gid := d.groupID(); gid >= 0 {
		return fine("its id is %d", gid)
	}
	return warn("groupadd --system edged, then restart edged", "there is no group edged: only root can use edgectl, and the agent cannot read what is desired")
}

// protected is what the unit needs to be told for a folder to be edged's; empty where it
// is anyway. contrib/systemd/edged.service says the same.
func protected(folder string) string {
	below := func(above string) bool { return strings.HasPrefix(folder, above+"/") }
	switch {
	case slices.ContainsFunc([]string{"/usr", "/boot", "/etc", "/home", "/root"}, below):
		return "ReadWritePaths=" + folder
	case slices.ContainsFunc([]string{"/tmp", "/var/tmp"}, below):
		return "PrivateTmp=no"
	}
	return ""
}

// home holds the keys and the database. Anybody who may enter it may at least learn
// the names of volumes and logs.
func (d *device) home(context.Context) outcome {
	st, err := os.Stat(d.cfg.Home)
	switch {
	case errors.Is(err, fs.ErrNotExist) && d.asked != nil && protected(d.cfg.Home) != "":
		return bad(fmt.Sprintf("install -d -m 0700 %s; then a drop-in: systemctl edit edged.service, [Service], %s", d.cfg.Home, protected(d.cfg.Home)),
			"%s is not there, and the unit does not let edged make it", d.cfg.Home)
	case errors.Is(err, fs.ErrNotExist) && d.asked != nil:
		return warn("start edged: systemctl start edged", "%s is not there yet: edged makes it at its first start", d.cfg.Home)
	case err != nil:
		return skip("%v", err)
	case !st.IsDir():
		return bad("give home, at the top of the configuration, a folder of its own", "%s is not a folder", d.cfg.Home)
	}
	if uid, _ := owner(st); uid != 0 {
		return bad("chown root "+d.cfg.Home, "%s belongs to user %d, who can replace the database and the keys in it", d.cfg.Home, uid)
	}
	if st.Mode().Perm()&0o022 != 0 {
		return bad("chmod 0700 "+d.cfg.Home, "%s has mode %04o: others than root can write there", d.cfg.Home, st.Mode().Perm())
	}
	if st.Mode().Perm()&0o044 != 0 {
		return warn("chmod 0700 "+d.cfg.Home, "%s has mode %04o: others than root can look into it", d.cfg.Home, st.Mode().Perm())
	}
	return fine("%s has mode %04o", d.cfg.Home, st.Mode().Perm())
}
