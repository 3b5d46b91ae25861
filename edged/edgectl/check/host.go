package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"
)

// Synchronised asks the kernel whether a time service keeps its clock, adjtimex(2).
// A kernel that does not say counts as yes.
func Synchronised() bool {
	var t unix.Timex
	_, err := unix.Adjtimex(&t)
	return err != nil || t.Status&unix.STA_UNSYNC == 0
}

func (d *device) clock(context.Context) outcome {
	const cure = "set it and keep it right with a time service: timedatectl set-ntp true, or install chrony"
	switch {
	case !d.Built.IsZero() && d.Now.Before(d.Built.Add(-24*time.Hour)):
		return bad(cure, "it is %s, before this edgectl was made (%s): certificates are not valid yet, logs have wrong times",
			d.Now.UTC().Format(time.RFC3339), d.Built.UTC().Format(time.DateOnly))
	case !d.Synchronised():
		return warn(cure, "no time service keeps it: it will drift, and certificates will seem expired or not yet valid")
	}
	return fine("it is %s, and kept by a time service", d.Now.UTC().Format(time.RFC3339))
}

// Space from which on a disk is called full, or nearly: the larger of a share and a size.
const (
	fullBytes, nearlyBytes = 64 << 20, 512 << 20
	fullShare, nearlyShare = 2, 10 // per cent
)

func (d *device) diskHome(context.Context) outcome { return disk(d.cfg.Home) }

// containerdRoot is where containerd is by default; another one is in its own configuration.
func (d *device) diskContainerd(context.Context) outcome {
	root := "/var/lib/containerd"
	for line := range strings.Lines(d.read("/etc/containerd/config.toml")) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			break
		}
		if key, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(key) == "root" {
			if v := strings.Trim(strings.TrimSpace(value), `"'`); filepath.IsAbs(v) {
				root = v
			}
		}
	}
	return disk(d.path(root))
}

// disk looks at the file system of a folder or, until it is made, of the one above.
func disk(path string) outcome {
	shown := path
	var s unix.Statfs_t
	for {
		err := unix.Statfs(path, &s)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || path == "/" || path == "." {
			return skip("cannot look at %s: %v", shown, err)
		}
		path = filepath.Dir(path)
	}
	size := uint64(s.Bsize) //nolint:gosec,unconvert // positive; 32 bits wide on arm
	o := judgeDisk(space{path: shown, free: s.Bavail * size, total: s.Blocks * size, files: s.Ffree, allFiles: s.Files})
	if s.Flags&unix.ST_RDONLY != 0 {
		o = bad("see why (dmesg | tail): a kernel makes a file system read-only when its disk fails; check it and mount it anew", "the file system of %s is read-only", shown)
	}
	return o
}

type space struct {
	path            string
	free, total     uint64 // bytes
	files, allFiles uint64 // inodes; none where the file system has no bound
}

func judgeDisk(s space) outcome {
	const cure = "remove what is not needed: edgectl images prune --all, edgectl volume ls --unused, journalctl --vacuum-size=100M"
	left := fmt.Sprintf("%s of %s are free on the disk of %s", units.BytesSize(float64(s.free)), units.BytesSize(float64(s.total)), s.path)
	// On a disk of a few hundred megabytes the fixed sizes would call all of it full.
	full := min(max(fullBytes, s.total/100*fullShare), s.total/20)
	nearly := min(max(nearlyBytes, s.total/100*nearlyShare), s.total/5)
	switch {
	case s.free < full:
		return bad(cure, "%s: edged can soon store nothing", left)
	case s.allFiles > 0 && s.files < s.allFiles/100:
		return bad(cure, "the file system of %s has %d of %d inodes left: no new files can be made, whatever the space", s.path, s.files, s.allFiles)
	case s.free < nearly:
		return warn(cure, "%s", left)
	}
	return fine("%s", left)
}

func (d *device) systemd() bool { return d.exists("/run/systemd/system") }

// journal reads journald.conf(5) for what would lose edged's log and audit trail.
func (d *device) journal(context.Context) outcome {
	if !d.systemd() {
		return skip("systemd does not run here: whoever starts edged keeps its stderr, the audit trail in it")
	}
	set := d.journalSettings()
	switch storage := set["Storage"]; {
	case storage == "none":
		return bad("Storage=persistent in /etc/systemd/journald.conf, then systemctl restart systemd-journald", "journald keeps nothing (Storage=none): edged's log and audit trail are lost")
	case storage == "volatile", storage != "persistent" && !d.exists("/var/log/journal"):
		return warn("mkdir /var/log/journal and systemctl restart systemd-journald; SystemMaxUse=100M bounds it",
			"the journal is in memory: edged's log and audit trail are gone after a restart of the device")
	case set["SystemMaxUse"] == "":
		return fine("the journal is on the disk, within a tenth of it and 4 GB (SystemMaxUse= sets another bound)")
	}
	return fine("the journal is on the disk, at most %s", set["SystemMaxUse"])
}

// journalSettings are journald's, a later file over an earlier one.
func (d *device) journalSettings() map[string]string {
	files := []string{"/etc/systemd/journald.conf"}
	for _, dir := range []string{"/usr/lib/systemd/journald.conf.d", "/run/systemd/journald.conf.d", "/etc/systemd/journald.conf.d"} {
		entries, err := os.ReadDir(d.path(dir))
		if err != nil {
			continue
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".conf") {
				files = append(files, filepath.Join(dir, e.Name()))
			}
		}
	}
	set := map[string]string{}
	for _, f := range files {
		for line := range strings.Lines(d.read(f)) {
			if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
				set[strings.TrimSpace(key)] = strings.TrimSpace(value)
			}
		}
	}
	return set
}

func (d *device) units(ctx context.Context) outcome {
	if !d.systemd() {
		return skip("systemd does not run here: see that something starts edged with the device")
	}
	systemctl, err := program("systemctl")
	if err != nil {
		return skip("%v", err)
	}
	out, err := output(ctx, systemctl, "show", "edged.service", "edged.mgmt.socket", "edged.workload.socket", "--property=Id,LoadState,ActiveState,UnitFileState,NRestarts")
	if err != nil {
		return skip("systemctl does not answer: %s", firstLine(err.Error()))
	}
	return judgeUnits(out)
}

// manyRestarts is how often edged may have ended by itself without a warning.
const manyRestarts = 3

// judgeUnits reads blocks of properties, an empty line between them.
func judgeUnits(text string) outcome {
	named := map[string][]string{} // units by what is wrong with them
	restarts := ""
	for block := range strings.SplitSeq(text, "\n\n") {
		p := map[string]string{}
		for line := range strings.Lines(block) {
			if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
				p[key] = value
			}
		}
		unit, state, wrong := p["Id"], p["ActiveState"], ""
		switch {
		case unit == "":
			continue
		case p["LoadState"] != "loaded":
			wrong = "not-loaded"
		case state == "failed":
			wrong = "failed"
		case state != "active" && state != "activating" && state != "reloading":
			wrong = "down"
		case p["UnitFileState"] == "disabled":
			wrong = "disabled"
		case atoi(p["NRestarts"]) > manyRestarts:
			wrong, restarts = "restarted", p["NRestarts"]
		}
		named[wrong] = append(named[wrong], unit)
	}
	var all []outcome
	tell := func(wrong string, judge func(cure, format string, args ...any) outcome, cure, found string) {
		if units := named[wrong]; units != nil {
			names := strings.Join(units, " ")
			all = append(all, judge(strings.ReplaceAll(cure, "UNITS", names), "%s", names+" "+found))
		}
	}
	tell("not-loaded", bad, "install the package of edged again, or the units by hand, then systemctl daemon-reload", "cannot be loaded")
	tell("failed", bad, "see why: systemctl status UNITS; then systemctl restart UNITS", "has failed")
	tell("down", bad, "systemctl start UNITS", "does not run")
	tell("disabled", warn, "systemctl enable UNITS", "is not enabled: after a restart of the device its modules stay down until somebody connects")
	tell("restarted", warn, "see why: journalctl -u edged.service; systemctl restart UNITS sets the count back", "was started again "+restarts+" times after it had ended by itself")
	if len(all) > 0 {
		return worst(all...)
	}
	return fine("the service and its sockets are active and enabled")
}
