package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/edged/edged/pkg/network/netns"
)

// Bounds of what is asked: as many servers as the C library looks at, from inside of
// so many modules that do not all see the same.
const (
	maxServers = 3
	maxViews   = 8
)

// dns asks the name servers of modules as modules do: over a socket made in a module's
// own network namespace, the servers that its resolv.conf names. That needs no image and
// leaves nothing behind. Where no module runs on a network, or the caller is not root, it
// can only be said which servers modules would be given.
func (d *device) dns(ctx context.Context) outcome {
	given := d.givenServers()
	if d.UID != 0 || d.cfgErr != nil {
		return given
	}
	views := d.views()
	if len(views) == 0 {
		if given.status == OK {
			given.found += "; no module runs on a network from which they could be asked"
		}
		return given
	}
	all := make([]outcome, len(views))
	var wg sync.WaitGroup
	for i := range views {
		wg.Go(func() { all[i] = d.askInside(ctx, &views[i]) })
	}
	wg.Wait()
	return worst(all...)
}

// givenServers looks at the host's resolv.conf as edged does when it makes a module's.
func (d *device) givenServers() outcome {
	const cure = "name servers for modules: a nameserver in /etc/resolv.conf that is not on the loopback, or HostConfig.Dns in a module's createOptions"
	text := d.read("/etc/resolv.conf")
	usable, loopback := usableServers(text)
	if len(usable) == 0 && strings.Contains(text, "127.0.0.53") {
		// edged looks behind systemd-resolved's stub, and so does this.
		usable, _ = usableServers(d.read("/run/systemd/resolve/resolv.conf"))
	}
	switch {
	case len(usable) > 0:
		return fine("modules ask %s", joinAddrs(usable))
	case loopback:
		return warn(cure, "the name servers of /etc/resolv.conf are on the host's loopback, which modules cannot reach")
	}
	return warn(cure, "/etc/resolv.conf names no server: modules find each other, and nobody else")
}

// usableServers are those that modules can reach: of addresses valid on a link alone they
// are on another link for IPv6, but 169.254.0.0/16, where clouds answer, is routed.
func usableServers(resolv string) (usable []netip.Addr, loopback bool) {
	for _, a := range servers(resolv) {
		u := a.Unmap()
		switch {
		case u.Is6() && u.IsLinkLocalUnicast() || u.IsUnspecified():
		case u.IsLoopback():
			loopback = true
		default:
			usable = append(usable, a)
		}
	}
	return usable, loopback
}

// servers are the addresses of a resolv.conf (resolv.conf(5)).
func servers(resolv string) (all []netip.Addr) {
	for line := range strings.Lines(resolv) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil && a.Zone() == "" {
			all = append(all, a)
		}
	}
	return all
}

func joinAddrs(all []netip.Addr) string {
	texts := make([]string, len(all))
	for i, a := range all {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}

// view is what a module sees: its network and whom it asks for names.
type view struct {
	module, netns string
	servers       []netip.Addr
}

// views are those of modules that run on networks, one of each kind: what many see
// alike is asked from inside of one.
func (d *device) views() (all []view) {
	files, err := filepath.Glob(filepath.Join(d.cfg.Run, "network", "*.json"))
	if err != nil {
		return nil // the pattern is right
	}
	slices.Sort(files)
	seen := map[string]bool{}
	for _, f := range files {
		var st struct {
			Key, Module, Up string
			Attached        []struct{ Network string }
		}
		b, err := readRegular(f, syscall.O_NOFOLLOW)
		if err != nil || json.Unmarshal(b, &st) != nil || st.Up == "" || len(st.Attached) == 0 {
			continue
		}
		// The module may have written into it, so nothing but addresses is taken from there.
		resolv, err := readRegular(filepath.Join(d.cfg.Home, "containers", filepath.Base(st.Up), "resolv.conf"), syscall.O_NOFOLLOW)
		if err != nil {
			continue
		}
		v := view{module: st.Module, netns: filepath.Join(d.cfg.Run, "netns", filepath.Base(st.Key)), servers: servers(string(resolv))}
		v.servers = v.servers[:min(len(v.servers), maxServers)]
		if kind := fmt.Sprint(v.servers, st.Attached); !seen[kind] && len(all) < maxViews {
			seen[kind] = true
			all = append(all, v)
		}
	}
	return all
}

// askInside asks a module's servers for the hub or, without one, for the servers of the
// root, which any resolver knows something to say about.
func (d *device) askInside(ctx context.Context, v *view) outcome {
	if len(v.servers) == 0 {
		return warn("a nameserver in /etc/resolv.conf that is not on the loopback, or HostConfig.Dns of the module; its next start takes it over",
			"module %s has no name server: it finds other modules, and nobody else", v.module)
	}
	hub := d.cfg.Device.Hub
	if _, err := netip.ParseAddr(hub); err == nil {
		hub = "" // nothing to ask for
	}
	said := askAll(ctx, v.servers, hub, func(f func() error) error { return netns.Inside(v.netns, f) })
	var answered, silent []netip.Addr
	var why, no error
	for i, err := range said {
		switch s := silence(err); {
		case s != nil:
			silent, why = append(silent, v.servers[i]), s.err
			continue
		case err != nil:
			no = err
		}
		answered = append(answered, v.servers[i])
	}
	switch {
	case errors.Is(why, os.ErrNotExist):
		return skip("module %s has just stopped", v.module)
	case len(answered) == 0:
		return d.silentServers(ctx, v, hub, why)
	case !slices.Contains(said, nil):
		return bad("see [device] hub, and what the servers serve: a server of the plant may know its own names alone",
			"from inside of module %s %s answers, and has no address of the hub %s: %v", v.module, joinAddrs(answered), hub, no)
	case len(silent) > 0:
		return warn("take it out of /etc/resolv.conf, or of HostConfig.Dns of the module: each look-up waits for it",
			"from inside of module %s %s does not answer (%v); %s does", v.module, joinAddrs(silent), why, joinAddrs(answered))
	}
	return fine("%s answers from inside of module %s", joinAddrs(answered), v.module)
}

// silentServers tells a network that leads nowhere from one that leaves modules out.
func (d *device) silentServers(ctx context.Context, v *view, hub string, why error) outcome {
	what := fmt.Sprintf("from inside of module %s no name server answers (%s: %v)", v.module, joinAddrs(v.servers), why)
	// The host's loopback is another than the module's.
	shared := slices.DeleteFunc(slices.Clone(v.servers), func(a netip.Addr) bool { return a.Unmap().IsLoopback() })
	if len(shared) == 0 {
		return warn("see that the module runs a server there, or name another: HostConfig.Dns of the module", "%s: they are its own loopback's", what)
	}
	for _, err := range askAll(ctx, shared, hub, func(f func() error) error { return f() }) {
		if silence(err) == nil {
			return bad("see what stands between: the checks ip-forward and iptables, rules of the chain EDGED-USER-"+d.cfg.Network.Bridge+" and of other firewalls (iptables -L FORWARD -n), and whether the server answers to the modules' subnet",
				"%s, though it does from the host", what)
		}
	}
	const cure = "see whether the server is right (/etc/resolv.conf, HostConfig.Dns) and can be reached: ip route; ping"
	if hub != "" {
		return bad(cure, "%s, and none does from the host: modules cannot find the hub %s", what, hub)
	}
	return warn(cure, "%s, and none does from the host: modules find each other, and nobody else", what)
}

// askAll asks all servers at once, over sockets made where in puts them.
func askAll(ctx context.Context, all []netip.Addr, name string, in func(func() error) error) []error {
	said := make([]error, len(all))
	var wg sync.WaitGroup
	for i, server := range all {
		wg.Go(func() {
			var conn net.Conn
			err := in(func() (err error) {
				// An address is dialled by this very thread: nothing has to be looked up.
				conn, err = (&net.Dialer{}).DialContext(ctx, "udp", netip.AddrPortFrom(server, 53).String())
				return err
			})
			if err != nil {
				said[i] = &noAnswer{plainCause(err)}
				return
			}
			defer conn.Close()
			said[i] = ask(ctx, conn, name)
		})
	}
	wg.Wait()
	return said
}
