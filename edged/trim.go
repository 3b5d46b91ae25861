package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// trimWhenQuiet gives back what work took and rest does not need, until ctx ends. The
// start is such work, as is the making of a module.
func trimWhenQuiet(ctx context.Context, log logrus.FieldLogger) {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	var r rest
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now, err := usage()
		if err == nil && r.over(now) {
			err = trim()
		}
		if err != nil {
			log.WithError(err).Debug("cannot give memory back")
		}
	}
}

const (
	trimEvery = 10 * time.Second
	quietCPU  = trimEvery / 20
	// worthIt is what makes up for the faults of those who use again what was given back.
	worthIt = 4 << 20
)

// rest knows how much memory edged has when it does what it does at rest.
type rest struct {
	last    time.Duration
	memory  uint64
	trimmed bool
}

// over says, every ten seconds, whether to trim: after a time in which edged used a twentieth of a
// processor at most, when it came to have more memory than at rest. How much that is shows
// the first such time after a trim, and not the trim.
func (r *rest) over(now used) bool {
	quiet := now.cpu-r.last <= quietCPU
	r.last = now.cpu
	switch {
	case !quiet:
		r.trimmed = false // what shows next is not rest
		return false
	case r.trimmed:
		r.trimmed = false
		r.memory = now.memory
		return false
	}
	r.trimmed = now.memory > r.memory+worthIt
	return r.trimmed
}

// used is the processor time that edged took until now, and the bytes of memory that it
// has at present.
type used struct {
	cpu    time.Duration
	memory uint64
}

func usage() (used, error) {
	self, err := procfs.Self()
	if err != nil {
		return used{}, err
	}
	stat, err := self.Stat()
	if err != nil {
		return used{}, err
	}
	statm, err := self.Statm()
	if err != nil {
		return used{}, err
	}
	return used{time.Duration(stat.CPUTime() * float64(time.Second)), statm.Resident * uint64(os.Getpagesize())}, nil
}

// trim gives back heap, and the pages of the program itself. Those would stay mapped for
// years although most of a program is used once or never; unmapped, they are page cache
// that a device short of memory can take at once, and what is used comes back from there
// with a minor fault.
func trim() error {
	debug.FreeOSMemory()
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("cannot find own program: %w", err)
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("cannot read own mappings: %w", err)
	}
	defer f.Close()
	for _, m := range unchanged(f, exe) {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.first, m.last-m.first, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("cannot give pages of the program back: %w", errno)
		}
	}
	return nil
}

// unchanged returns the mappings of a file, in the text of /proc/<pid>/smaps
// (proc_pid_smaps(5)), that nobody can have changed: not writable, and without a
// page that is not the file's. A page that was relocated before it was made
// read-only would come back as it is in the file.
func unchanged(smaps io.Reader, file string) []mapping {
	var all []mapping
	var candidate mapping
	ours := false
	lines := bufio.NewScanner(io.LimitReader(smaps, 16<<20))
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) >= 6 && strings.Contains(words[0], "-"):
			ours = false
			if words[5] == file && strings.HasPrefix(words[1], "r-") {
				candidate, ours = parseMapping(words[0])
			}
		case len(words) >= 2 && words[0] == "Anonymous:" && words[1] == "0" && ours:
			all = append(all, candidate)
		}
	}
	return all
}

// mapping is a range of addresses, the last one not of it.
type mapping struct{ first, last uintptr }

// parseMapping reads "first-last", in hexadecimal.
func parseMapping(s string) (m mapping, ok bool) {
	first, last, _ := strings.Cut(s, "-")
	from, err := strconv.ParseUint(first, 16, strconv.IntSize)
	to, err2 := strconv.ParseUint(last, 16, strconv.IntSize)
	return mapping{uintptr(from), uintptr(to)}, err == nil && err2 == nil && from < to
}
