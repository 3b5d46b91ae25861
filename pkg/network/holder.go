package network

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// holder finds out which program of the host has a port, for the operator: "nginx
// (process 812)", empty when it cannot be told. proc is /proc.
func holder(proc, proto string, port uint16) string {
	inodes := map[string]bool{}
	for _, file := range []string{proto, proto + "6"} {
		collectInodes(filepath.Join(proc, "thread-self", "net", file), port, inodes)
	}
	if len(inodes) == 0 {
		return ""
	}
	links, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil {
			continue // it has ended, or closed it
		}
		inode, ok := strings.CutPrefix(target, "socket:[")
		if !ok || !inodes[strings.TrimSuffix(inode, "]")] {
			continue
		}
		process := filepath.Dir(filepath.Dir(link))
		name, _ := os.ReadFile(filepath.Join(process, "comm"))
		return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), filepath.Base(process))
	}
	return ""
}

// collectInodes reads the sockets that are bound to a port from a table of proc(5),
// /proc/net/tcp and the like.
func collectInodes(file string, port uint16, into map[string]bool) {
	f, err := os.Open(file)
	if err != nil {
		return
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) < 10 {
			continue
		}
		i := strings.LastIndexByte(fields[1], ':')
		have, err := strconv.ParseUint(fields[1][i+1:], 16, 16)
		if err == nil && uint16(have) == port {
			into[fields[9]] = true
		}
	}
}
