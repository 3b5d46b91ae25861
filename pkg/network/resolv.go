package network

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// resolv is a resolv.conf (resolv.conf(5)).
type resolv struct {
	servers []netip.Addr
	search  []string
	options []string
}

// maxResolv bounds what is read of the host's; glibc reads three servers of it.
const maxResolv = 64 << 10

// parseResolv reads what a module may use: servers that it can reach (see reachable), the
// search list and options. Lines that mean nothing are passed over, as the C library does.
func parseResolv(text string, v6 bool) (r resolv) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		fields := strings.Fields(line)
		args := fields[1:]
		switch fields[0] {
		case "nameserver":
			if len(args) == 0 {
				continue
			}
			a, err := netip.ParseAddr(args[0])
			if err != nil || !reachable(a) || a.Unmap().Is6() && !v6 {
				continue
			}
			if !slices.Contains(r.servers, a) {
				r.servers = append(r.servers, a)
			}
		case "search", "domain":
			r.search = nil // the last one counts
			for _, s := range args {
				if s == "." || ValidName(strings.TrimSuffix(s, ".")) {
					r.search = append(r.search, s)
				}
			}
		case "options":
			for _, o := range args {
				if ValidOption(o) {
					r.options = append(r.options, o)
				}
			}
		}
	}
	return r
}

// reachable says whether a name server of the host is one for its modules too: those on the
// loopback and those with a zone are not, nor any of fe80::/10. 169.254.0.0/16 is routed and
// masqueraded as everything else, and clouds answer there.
func reachable(a netip.Addr) bool {
	a = a.Unmap()
	return !a.IsLoopback() && !a.IsUnspecified() && a.Zone() == "" && (a.Is4() || !a.IsLinkLocalUnicast())
}

// ValidOption says whether a word may stand behind "options" in a resolv.conf.
func ValidOption(o string) bool {
	return o != "" && !strings.ContainsFunc(o, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' || r == ';' })
}

// with applies what a module's author said.
func (r resolv) with(p *Plan) resolv {
	if len(p.DNS) > 0 {
		r.servers = p.DNS
	}
	if len(p.Search) > 0 {
		r.search = p.Search
		if len(p.Search) == 1 && p.Search[0] == "." { // Docker's way to have none
			r.search = nil
		}
	}
	if len(p.Options) > 0 {
		r.options = p.Options
	}
	return r
}

func (r resolv) render() []byte {
	var b strings.Builder
	for _, s := range r.servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	if len(r.search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(r.search, " "))
	}
	if len(r.options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(r.options, " "))
	}
	return []byte(b.String())
}

// systemd's file of the servers behind its stub, which answers on the loopback alone.
const (
	hostResolv    = "/etc/resolv.conf"
	resolvedFile  = "/run/systemd/resolve/resolv.conf"
	hostHostsFile = "/etc/hosts"
)

// readResolv reads the host's servers for modules, looking behind a stub.
func readResolv(file, behind string, v6 bool) (resolv, error) {
	text, err := readBounded(file)
	if err != nil {
		return resolv{}, err
	}
	r := parseResolv(text, v6)
	if len(r.servers) == 0 && strings.Contains(text, "127.0.0.53") {
		if text, err = readBounded(behind); err != nil {
			return resolv{}, err
		}
		r.servers = parseResolv(text, v6).servers
	}
	return r, nil
}

// readBounded reads a file that may be missing.
func readBounded(file string) (string, error) {
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", file, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxResolv))
	return string(b), err
}
