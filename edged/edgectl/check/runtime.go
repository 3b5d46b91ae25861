package check

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/edged/edged/pkg/lazyregexp"
)

// minContainerd is the oldest containerd that edged is tested with.
const minMajor, minMinor = 1, 6

var versionForm = lazyregexp.New(`v?([0-9]+)\.([0-9]+)\.[0-9]+[^\s]*`)

func (d *device) containerd(ctx context.Context) outcome {
	address := d.cfg.Containerd.Address
	const cure = "start it: systemctl start containerd; [containerd] address says where edged looks for it"
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", address)
	switch {
	case errors.Is(err, fs.ErrPermission):
		if d.info != nil && d.info.ServerVersion != "" {
			return containerdVersion(d.info.ServerVersion)
		}
		return skip("the socket %s is root's: run the check as root", address)
	case err != nil:
		return bad(cure, "nobody answers on %s: modules go on running, but none can be started, stopped or changed", address)
	}
	_ = conn.Close()
	if d.info != nil && d.info.ServerVersion != "" {
		return containerdVersion(d.info.ServerVersion)
	}
	// A socket that takes connections may still belong to a daemon that hangs.
	ctr, err := program("ctr")
	if err != nil {
		if d.info != nil {
			return bad("restart it: systemctl restart containerd (modules go on running)", "%s takes connections, but edged gets no answer from there", address)
		}
		return fine("%s takes connections", address)
	}
	out, err := output(ctx, ctr, "--address", address, "version")
	if err != nil {
		return bad("restart it: systemctl restart containerd (modules go on running)", "%s takes connections, but does not answer: %s", address, firstLine(err.Error()))
	}
	_, server, _ := strings.Cut(out, "Server:")
	return containerdVersion("containerd " + versionForm().FindString(server))
}

func containerdVersion(text string) outcome {
	m := versionForm().FindStringSubmatch(text)
	if m == nil {
		return fine("it answers (%s)", text)
	}
	major, minor := atoi(m[1]), atoi(m[2])
	if major < minMajor || major == minMajor && minor < minMinor {
		return warn("upgrade containerd", "%s is older than %d.%d, the oldest that edged is tested with", text, minMajor, minMinor)
	}
	return fine("%s answers", text)
}

// atoi is for digits that a pattern matched.
func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

func (d *device) runc(ctx context.Context) outcome {
	const cure = "install it: apt install runc (or the package of that name of your distribution)"
	path, err := program("runc")
	if err != nil {
		return bad(cure, "%v, by which containerd starts modules", err)
	}
	out, err := output(ctx, path, "--version")
	if err != nil {
		return bad(cure, "%s does not work: %v", path, err)
	}
	return fine("%s, %s", path, firstLine(out))
}

func (d *device) shim(context.Context) outcome {
	path, err := program("containerd-shim-runc-v2")
	if err != nil {
		return bad("install it with containerd: apt install containerd", "%v in PATH, which containerd starts for each module", err)
	}
	return fine("%s", path)
}

// plugins are what the default network is made of.
var plugins = []string{"bridge", "static"}

func (d *device) cniPlugins(context.Context) outcome {
	var missing []string
	for _, name := range plugins {
		found := false
		for _, dir := range d.cfg.Network.CNIBinDirs {
			if _, err := program(filepath.Join(dir, name)); err == nil {
				found = true
				break
			}
		}
		if !found {
			missing = append(missing, name)
		}
	}
	dirs := strings.Join(d.cfg.Network.CNIBinDirs, ", ")
	if missing != nil {
		return bad("install them: apt install containernetworking-plugins; [network] cni_bin_dirs says where edged looks",
			"no %s in %s: modules with a network of their own cannot start", strings.Join(missing, " and "), dirs)
	}
	return fine("%s are in %s", strings.Join(plugins, " and "), dirs)
}

func (d *device) iptables(ctx context.Context) outcome {
	programs := []string{"iptables"}
	if d.cfg.Network.Subnet6.IsValid() {
		programs = append(programs, "ip6tables")
	}
	for _, name := range programs {
		for _, p := range []string{name, name + "-restore", name + "-save"} {
			if _, err := program(p); err != nil {
				return bad("install it: apt install iptables", "%v: networks of modules cannot be filtered, so none is made", err)
			}
		}
		if d.UID != 0 {
			continue
		}
		path, err := program(name)
		if err == nil {
			_, err = output(ctx, path, "-w", "5", "-t", "nat", "-n", "-L", "POSTROUTING")
		}
		if err != nil {
			return bad("see that the kernel has netfilter's nat table (the check kernel), and that iptables is of the kind that this system uses (update-alternatives --display iptables)",
				"%s does not work: %s", name, firstLine(err.Error()))
		}
	}
	if d.UID != 0 {
		return fine("%s is installed", strings.Join(programs, " and "))
	}
	return fine("%s works", strings.Join(programs, " and "))
}
