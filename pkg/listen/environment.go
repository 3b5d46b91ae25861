package listen

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	// firstFD is SD_LISTEN_FDS_START, sd_listen_fds(3).
	firstFD = 3
	// maxFDs bounds LISTEN_FDS: no unit stores more (FileDescriptorStoreMax).
	maxFDs = 16384
	// leftover is what systemd calls a stored descriptor without FDNAME.
	leftover = "stored"
	// unnamed is what systemd calls a descriptor without any name.
	unnamed = "unknown"
)

// activationEnv are the variables by which descriptors are passed. A child that
// inherited one would take edged's sockets for its own.
var activationEnv = [...]string{"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES"}

// readEnvironment gives the name of each descriptor that is ours, and clears
// the environment. It marks the descriptors close-on-exec before anything else
// can fail, because a child started by accident must not keep them.
func readEnvironment(k kernel) ([]string, error) {
	value := make(map[string]string, len(activationEnv))
	var faults []error
	for _, key := range activationEnv {
		if v, ok := k.lookupEnv(key); ok {
			value[key] = v
		}
		if err := k.unsetEnv(key); err != nil {
			faults = append(faults, fmt.Errorf("cannot clear %s: %w", key, err))
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if value["LISTEN_PID"] == "" || value["LISTEN_FDS"] == "" {
		return nil, nil
	}
	pid, err := strconv.Atoi(value["LISTEN_PID"])
	if err != nil || pid <= 0 {
		return nil, invalid("LISTEN_PID is %q, not a process id", value["LISTEN_PID"])
	}
	if pid != k.pid() {
		// Meant for another process, whose variables we inherited: the
		// descriptors of these numbers are not ours to touch.
		return nil, nil
	}
	count, err := strconv.Atoi(value["LISTEN_FDS"])
	if err != nil || count < 0 || count > maxFDs {
		return nil, invalid("LISTEN_FDS is %q, not a number from 0 to %d", value["LISTEN_FDS"], maxFDs)
	}
	for fd := firstFD; fd < firstFD+count; fd++ {
		if err := k.closeOnExec(fd); err != nil {
			faults = append(faults, fmt.Errorf("LISTEN_FDS is %d, but descriptor %d is not usable: %w", count, fd, err))
		}
	}
	names := slices.Repeat([]string{unnamed}, count)
	if list, ok := value["LISTEN_FDNAMES"]; ok && (list != "" || count > 0) {
		names = strings.Split(list, ":")
	}
	if len(names) != count {
		faults = append(faults, invalid("LISTEN_FDNAMES %q has %d names for %d descriptors", value["LISTEN_FDNAMES"], len(names), count))
	}
	if len(faults) > 0 {
		for fd := firstFD; fd < firstFD+count; fd++ {
			k.close(fd)
		}
		return nil, errors.Join(faults...)
	}
	return names, nil
}
