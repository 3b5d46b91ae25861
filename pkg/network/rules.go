package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// published is a host port and where it leads.
type published struct {
	proto  string
	hostIP netip.Addr // zero: any
	port   uint16
	to     netip.AddrPort
}

// rules writes the packet filter of the default network for iptables-restore
// --noflush, in one family. All rules are in chains of edged's own, named after the
// bridge, which no two daemons share; what enters them from the system's chains is in
// hooks. The text replaces the chains whole, so it is the same after a crash.
type rules struct {
	bridge string
	subnet netip.Prefix
	ports  []published
}

// Chains: raw, forwarding, destinations and sources, and the operator's own (USER).
func (r *rules) chain(kind string) string { return "EDGED-" + kind + "-" + r.bridge }

func (r *rules) v6() bool { return r.subnet.Addr().Is6() }

// hook is a rule that leads from a chain of the system into one of edged's.
type hook struct {
	table, chain, match, to string
}

func (r *rules) hooks() []hook {
	loopback := "127.0.0.0/8"
	if r.v6() {
		loopback = "::1/128"
	}
	toOutside := "! -d " + loopback + " -m addrtype --dst-type LOCAL"
	toOwn := "-m addrtype --dst-type LOCAL"
	if r.v6() {
		toOwn = toOutside // the kernel never routes ::1 to another machine (RFC 4291, 2.5.3)
	}
	return []hook{
		{"raw", "PREROUTING", "", r.chain("RAW")},
		{"filter", "FORWARD", "", r.chain("FWD")},
		// A neighbour's packet to 127.0.0.1 would else be led to a port that is published there alone.
		{"nat", "PREROUTING", toOutside, r.chain("DNAT")},
		{"nat", "OUTPUT", toOwn, r.chain("DNAT")},
		{"nat", "POSTROUTING", "", r.chain("SNAT")},
	}
}

func (h hook) rule() string { return strings.Join(strings.Fields(h.match+" -j "+h.to), " ") }

// render returns the text, with what is missing.
func (r *rules) render(missing lacks) string {
	br, subnet := r.bridge, r.subnet.String()
	tables := map[string][]string{}
	add := func(table, kind, rule string) {
		tables[table] = append(tables[table], "-A "+r.chain(kind)+" "+rule)
	}
	if !r.v6() {
		// To reach published ports from 127.0.0.1 the bridge routes such addresses. No module may use that: services of the host that
		// listen there, or trust who comes from there, are not for it.
		add("raw", "RAW", "-i "+br+" -d 127.0.0.0/8 -j DROP")
		add("raw", "RAW", "-i "+br+" -s 127.0.0.0/8 -j DROP")
	}
	// Before the rest of FORWARD, whose policy may be to drop (Docker's, ufw's). Into the network goes what was asked for from
	// inside or is published; nobody outside gets at other ports by a route.
	// What the operator forbids modules comes before all: rules of FORWARD would come too late.
	add("filter", "FWD", "-i "+br+" ! -o "+br+" -j "+r.chain("USER"))
	add("filter", "FWD", "-i "+br+" -j ACCEPT")
	add("filter", "FWD", "-o "+br+" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
	add("filter", "FWD", "-o "+br+" -m conntrack --ctstate DNAT -j ACCEPT")
	add("filter", "FWD", "-o "+br+" -j DROP")
	for _, p := range r.sorted() {
		match := "-p " + p.proto + " --dport " + fmt.Sprint(p.port)
		if p.hostIP.IsValid() && !p.hostIP.IsUnspecified() {
			match = "-d " + netip.PrefixFrom(p.hostIP, p.hostIP.BitLen()).String() + " " + match
		}
		add("nat", "DNAT", match+" -j DNAT --to-destination "+p.to.String())
	}
	add("nat", "SNAT", "-s "+subnet+" ! -o "+br+" -j MASQUERADE")
	// A module that calls a published port, its own or a neighbour's, and the host from 127.0.0.1: the answer has to come back this way.
	add("nat", "SNAT", "-s "+subnet+" -d "+subnet+" -m conntrack --ctstate DNAT -j MASQUERADE")
	if !r.v6() {
		add("nat", "SNAT", "-s 127.0.0.0/8 -o "+br+" -j MASQUERADE")
	}
	var b strings.Builder
	for _, t := range []struct {
		name  string
		kinds []string
	}{{"raw", []string{"RAW"}}, {"filter", []string{"FWD"}}, {"nat", []string{"DNAT", "SNAT"}}} {
		fmt.Fprintf(&b, "*%s\n", t.name)
		for _, kind := range t.kinds {
			fmt.Fprintf(&b, ":%s - [0:0]\n", r.chain(kind)) // makes it, or empties it
		}
		if t.name == "filter" && missing.user {
			fmt.Fprintf(&b, ":%s - [0:0]\n", r.chain("USER")) // never where it is: it is not edged's
		}
		for _, rule := range tables[t.name] {
			b.WriteString(rule + "\n")
		}
		for _, h := range missing.hooks {
			if h.table == t.name {
				fmt.Fprintf(&b, "-I %s 1 %s\n", h.chain, h.rule())
			}
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}

func (r *rules) sorted() []published {
	all := slices.Clone(r.ports)
	slices.SortFunc(all, func(a, b published) int {
		// An address before any address: the first rule that fits is taken.
		return strings.Compare(fmt.Sprint(!a.hostIP.IsValid(), a.hostIP, a.proto, a.port), fmt.Sprint(!b.hostIP.IsValid(), b.hostIP, b.proto, b.port))
	})
	return all
}

// seen is what iptables-save says of edged's own rules.
type seen struct {
	hooks []hook   // that lead into edged's chains, as often as they are there
	lines []string // of edged's chains
	any   bool     // there is a chain of edged's
	// user says that the operator's chain is there, used that it has rules.
	user, used bool
}

// lacks is what is not there: hooks, and the operator's chain.
type lacks struct {
	hooks []hook
	user  bool
}

func (l lacks) none() bool { return len(l.hooks) == 0 && !l.user }

// read picks edged's own out of the text of iptables-save.
func (r *rules) read(text string) (s seen) {
	table := ""
	own := map[string]bool{}
	for _, kind := range []string{"RAW", "FWD", "DNAT", "SNAT"} {
		own[r.chain(kind)] = true
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		f := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "*"):
			table = line[1:]
		case strings.HasPrefix(line, ":") && own[f[0][1:]]:
			s.any = true
		case strings.HasPrefix(line, ":") && table == "filter" && f[0][1:] == r.chain("USER"):
			s.user = true
		case len(f) > 2 && f[0] == "-A" && table == "filter" && f[1] == r.chain("USER"):
			s.used = true
		case len(f) > 3 && f[0] == "-A" && own[f[1]]:
			s.lines = append(s.lines, table+" "+line)
		case len(f) > 3 && f[0] == "-A" && f[len(f)-2] == "-j" && own[f[len(f)-1]]:
			s.hooks = append(s.hooks, hook{table, f[1], strings.Join(f[2:len(f)-2], " "), f[len(f)-1]})
		}
	}
	return s
}

// missing is what is not there. Only place and goal of hooks are compared: how a
// version of iptables writes a match is its own affair.
func (r *rules) missing(s seen) (l lacks) {
	for _, h := range r.hooks() {
		if !slices.ContainsFunc(s.hooks, func(x hook) bool { return x.table == h.table && x.chain == h.chain && x.to == h.to }) {
			l.hooks = append(l.hooks, h)
		}
	}
	l.user = !s.user
	return l
}

// remove is the text that takes everything away again, except what an operator wrote.
func (r *rules) remove(s seen) string {
	var b strings.Builder
	for _, t := range []struct {
		name  string
		kinds []string
	}{{"raw", []string{"RAW"}}, {"filter", []string{"FWD"}}, {"nat", []string{"DNAT", "SNAT"}}} {
		fmt.Fprintf(&b, "*%s\n", t.name)
		for _, kind := range t.kinds {
			fmt.Fprintf(&b, ":%s - [0:0]\n", r.chain(kind))
		}
		for _, h := range s.hooks {
			if h.table == t.name {
				fmt.Fprintf(&b, "-D %s %s\n", h.chain, h.rule())
			}
		}
		for _, kind := range t.kinds {
			fmt.Fprintf(&b, "-X %s\n", r.chain(kind))
		}
		if t.name == "filter" && s.user && !s.used {
			fmt.Fprintf(&b, "-X %s\n", r.chain("USER"))
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}
