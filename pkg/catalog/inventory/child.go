package inventory

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/catalog"
)

// Argument is how the daemon's program is told to be the process that parses.
const Argument = "--read-packages"

// What the process may use: maxMemory for data, processor time, size of a file that it
// writes (a copy in memory), open files. Reading the database of an image with two
// thousand packages takes some megabytes and less than a second.
const (
	goMemory = 128 << 20
	maxCPU   = 30
	maxOpen  = maxFiles + 64
)

// firstFile is the descriptor of the first database.
const firstFile = 3

// entry is a line of what the process prints: a package, or why it stopped.
type entry struct {
	catalog.RPM
	Error string `json:",omitempty"`
}

// Serve is the process: it reads the kinds of the databases, a JSON list, from stdin, and
// the databases from the descriptors that follow, and prints a line for each package.
func Serve() error {
	if err := confine(); err != nil {
		return err
	}
	var kinds []kind
	if err := json.NewDecoder(os.Stdin).Decode(&kinds); err != nil {
		return fmt.Errorf("cannot read what to read: %w", err)
	}
	out := bufio.NewWriter(os.Stdout)
	os.Stdout = os.Stderr // a library has something to say of files that are broken
	lines := json.NewEncoder(out)
	for i, k := range kinds {
		f := os.NewFile(uintptr(firstFile+i), string(k))
		if err := parse(k, f, func(p catalog.RPM) error { return lines.Encode(entry{RPM: p}) }); err != nil {
			return errors.Join(lines.Encode(entry{Error: err.Error()}), out.Flush())
		}
	}
	return out.Flush()
}

func parse(k kind, f *os.File, each func(catalog.RPM) error) error {
	switch k {
	case kindDpkg:
		return parseDpkg(io.LimitReader(f, maxText), each)
	case kindAPK:
		return parseAPK(io.LimitReader(f, maxText), each)
	case kindRPM:
		return parseRPM(f, each)
	}
	return fmt.Errorf("unknown kind %q", k)
}

// confine gives up what can still be given up. Who the process is, and that it has no
// network, was decided when it was started.
func confine() error {
	if os.Getuid() == 0 {
		return errors.New("this is not for root to run")
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot give up privileges: %w", err)
	}
	debug.SetMemoryLimit(goMemory)
	for resource, limit := range map[int]uint64{
		unix.RLIMIT_DATA: maxMemory, unix.RLIMIT_CPU: maxCPU, unix.RLIMIT_FSIZE: maxRPMDB, unix.RLIMIT_NOFILE: maxOpen, unix.RLIMIT_CORE: 0,
	} {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
			return fmt.Errorf("cannot limit resources: %w", err)
		}
	}
	// Before anything else on the device, when memory runs out. Where it cannot be, it cannot.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	return nil
}
