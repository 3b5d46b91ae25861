package system

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/client/wire"
)

// cpuTimes are the clock ticks since boot of all processors together, /proc/stat.
type cpuTimes struct{ busy, total uint64 }

// userHZ is the unit of /proc/stat and /proc/<pid>/stat on every architecture that Linux runs on today.
const userHZ = 100

func (r Root) cpu() (t cpuTimes) {
	b, err := r.read("proc/stat")
	if err != nil {
		return t
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	words := strings.Fields(string(line))
	if len(words) < 5 || words[0] != "cpu" {
		return t
	}
	for i, word := range words[1:] {
		n, err := strconv.ParseUint(word, 10, 64)
		if err != nil || i > 7 { // guest times are in user and nice already
			break
		}
		t.total += n
		if i != 3 && i != 4 { // idle, iowait
			t.busy += n
		}
	}
	return t
}

// percent is how much of all processors was used since earlier times, of which none are since boot.
func (t cpuTimes) percent(since cpuTimes) float64 {
	if t.total <= since.total || t.busy < since.busy {
		return 0
	}
	return 100 * float64(t.busy-since.busy) / float64(t.total-since.total)
}

func (r Root) uptime() time.Duration {
	first, _, _ := strings.Cut(r.word("proc/uptime"), " ")
	seconds, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}

func (r Root) memory() (used, total uint64) {
	m := r.pairs("proc/meminfo")
	return (m["MemTotal"] - min(m["MemAvailable"], m["MemTotal"])) << 10, m["MemTotal"] << 10
}

// unifiedHost says that the host has cgroup v2 alone: its root has a list of controllers.
func (r Root) unifiedHost() bool {
	_, err := r.read("sys/fs/cgroup/cgroup.controllers")
	return err == nil
}

// disks are the file systems on block devices, each once, at the folder with the shortest
// path where it is mounted: a file or a part of one may be mounted anywhere, and first.
func (r Root) disks() []wire.Disk {
	disks := []wire.Disk{}
	b, err := r.read("proc/self/mountinfo")
	if err != nil {
		return disks
	}
	type mount struct{ where, fileSystem, number, device string }
	var mounts []mount
	for line := range bytes.Lines(b) {
		// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw (proc_pid_mountinfo(5))
		before, after, ok := strings.Cut(string(line), " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(rest) < 2 || !strings.HasPrefix(rest[1], "/dev/") {
			continue
		}
		m := mount{unescape(fields[4]), rest[0], fields[2], rest[1]}
		if st, err := os.Stat(m.where); err != nil || !st.IsDir() {
			continue
		}
		i := slices.IndexFunc(mounts, func(other mount) bool { return other.number == m.number })
		if i < 0 {
			mounts = append(mounts, m)
		} else if len(m.where) < len(mounts[i].where) {
			mounts[i] = m
		}
	}
	for _, m := range mounts {
		var fs unix.Statfs_t
		if unix.Statfs(m.where, &fs) != nil {
			continue
		}
		size := uint64(fs.Bsize) //nolint:gosec,unconvert // positive; 32 bits wide on arm
		disks = append(disks, wire.Disk{
			Name: m.where, FileSystem: m.fileSystem, FileType: r.fileType(m.number), Device: m.device,
			AvailableSpace: fs.Bavail * size, TotalSpace: fs.Blocks * size,
		})
	}
	return disks
}

// fileType says what a block device, "major:minor", is. A partition's queue is its disk's, one folder up.
func (r Root) fileType(device string) string {
	dir, err := filepath.EvalSymlinks(filepath.Join(string(r), "sys/dev/block", device))
	if err != nil {
		return "Unknown"
	}
	for _, dir := range []string{dir, filepath.Dir(dir)} {
		switch Root(dir).word("queue/rotational") {
		case "0":
			return "SSD"
		case "1":
			return "HDD"
		}
	}
	return "Unknown"
}

// unescape reads the octal escapes of mountinfo: space, tab, newline, backslash.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
