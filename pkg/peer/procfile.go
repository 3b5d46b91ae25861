package peer

import (
	"bytes"
	"fmt"
	"math"

	"github.com/containerd/errdefs"
)

// procStat is what is needed of /proc/<pid>/stat (proc_pid_stat(5)).
type procStat struct {
	state   byte   // field 3
	flags   uint64 // field 9, PF_* of the first thread
	threads uint64 // field 20: 0 once the last thread is gone
	start   uint64 // field 22, clock ticks since boot
}

// dead says that no thread of the process runs any more. A process whose first thread exited before the others shows as a zombie too, and is not.
func (s procStat) dead() bool {
	return s.state == 'X' || s.state == 'x' || (s.state == 'Z' && s.threads <= 1)
}

// exitingFlag is PF_EXITING (include/linux/sched.h): the first thread is on its way out, or is out.
const exitingFlag = 0x4

// exiting says that the first thread has begun to exit. From then on the lines of v1 hierarchies in /proc/<pid>/cgroup read "/", wherever the process was;
// what was read before a look at this flag that does not find it is true.
func (s procStat) exiting() bool { return s.flags&exitingFlag != 0 }

// parseStat reads /proc/<pid>/stat. The process chooses its comm, field 2, which may hold spaces and parentheses: the fields start after the last ')'.
func parseStat(b []byte) (procStat, error) {
	i := bytes.LastIndexByte(b, ')')
	if i < 0 || !bytes.HasPrefix(b[i+1:], []byte(" ")) {
		return procStat{}, malformed("stat")
	}
	var s procStat
	rest := b[i+2:]
	for field := 3; field <= 22; field++ {
		var word []byte
		word, rest, _ = bytes.Cut(rest, []byte(" "))
		var ok bool
		switch field {
		case 3:
			if len(word) != 1 {
				return procStat{}, malformed("stat")
			}
			s.state, ok = word[0], true
		case 9:
			s.flags, ok = parseUint(word)
		case 20:
			s.threads, ok = parseUint(word)
		case 22:
			s.start, ok = parseUint(bytes.TrimSuffix(word, []byte("\n")))
		default:
			ok = len(word) > 0
		}
		if !ok {
			return procStat{}, malformed("stat")
		}
	}
	return s, nil
}

// parseStatus reads the effective uid and gid of /proc/<pid>/status (proc_pid_status(5)): the second of the four numbers on the lines Uid and Gid. The
// kernel escapes a newline in Name, so that a process cannot make a line of its own.
func parseStatus(b []byte) (uid, gid uint32, err error) {
	var haveUID, haveGID bool
	for len(b) > 0 && (!haveUID || !haveGID) {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte("\n"))
		switch {
		case !haveUID && bytes.HasPrefix(line, []byte("Uid:\t")):
			uid, haveUID = effective(line[len("Uid:\t"):])
			if !haveUID {
				return 0, 0, malformed("status")
			}
		case !haveGID && bytes.HasPrefix(line, []byte("Gid:\t")):
			gid, haveGID = effective(line[len("Gid:\t"):])
			if !haveGID {
				return 0, 0, malformed("status")
			}
		}
	}
	if !haveUID || !haveGID {
		return 0, 0, malformed("status")
	}
	return uid, gid, nil
}

// effective takes the second of four numbers with tabs between them.
func effective(b []byte) (uint32, bool) {
	var id uint32
	for i := range 4 {
		word, rest, more := bytes.Cut(b, []byte("\t"))
		if more != (i < 3) {
			return 0, false
		}
		n, ok := parseUint(word)
		if !ok || n > math.MaxUint32 {
			return 0, false
		}
		if i == 1 {
			id = uint32(n)
		}
		b = rest
	}
	return id, true
}

// identityMap says whether a uid_map or gid_map (user_namespaces(7)) maps every id to itself. The one line that does leaves no room for another.
func identityMap(b []byte) bool {
	words := bytes.Fields(b)
	return len(words) == 3 && bytes.Count(b, []byte("\n")) <= 1 &&
		string(words[0]) == "0" && string(words[1]) == "0" && string(words[2]) == "4294967295"
}

// parseNSLink reads the text of a /proc/<pid>/ns link, "pid:[4026531836]".
func parseNSLink(b []byte) (uint64, error) {
	_, number, ok := bytes.Cut(b, []byte(":["))
	if !ok || !bytes.HasSuffix(number, []byte("]")) {
		return 0, malformed("namespace link")
	}
	inode, ok := parseUint(number[:len(number)-1])
	if !ok {
		return 0, malformed("namespace link")
	}
	return inode, nil
}

// parseUint reads a decimal number without sign; strconv would want a string.
func parseUint(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		d := uint64(c - '0')
		if n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// malformed is the error for a /proc file that is not what proc(5) says (errdefs.ErrDataLoss: there is no fact in it).
func malformed(file string) error {
	return fmt.Errorf("cannot parse %s: unexpected form: %w", file, errdefs.ErrDataLoss)
}
