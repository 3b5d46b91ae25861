package network

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containernetworking/cni/libcni"
	current "github.com/containernetworking/cni/pkg/types/100"

	"github.com/edged/edged/pkg/mountns"
)

// A plugin may ask a DHCP server; one that hangs must not hold a start for long, and
// still less what comes after it.
const (
	addTimeout = 15 * time.Second
	delTimeout = 5 * time.Second
)

// attachment is one interface of a module: what its plugins are asked for, and what
// came of it.
type attachment struct {
	Network   string `json:"network"`
	Interface string `json:"interface"`
	// Config is the conflist; it is kept because the operator's file may be another when it is to be undone.
	Config json.RawMessage `json:"config"`
	IPs    []netip.Prefix  `json:"ips,omitempty"`
	MAC    string          `json:"mac,omitempty"`
	Ports  []portMapping   `json:"ports,omitempty"`
	// Addrs is what the plugins gave.
	Addrs []netip.Prefix `json:"addrs,omitempty"`
	// Builtin says that the packet filter is edged's own.
	Builtin bool `json:"builtin,omitempty"`
}

// portMapping is an element of the capability portMappings.
type portMapping struct {
	HostPort      int32  `json:"hostPort"`
	ContainerPort int32  `json:"containerPort"`
	Protocol      string `json:"protocol"`
	HostIP        string `json:"hostIP,omitempty"`
}

// addr is the interface's address of a family, not valid without one.
func (a *attachment) addr(v6 bool) netip.Addr {
	for _, p := range a.Addrs {
		if p.Addr().Is6() == v6 {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// digest tells wishes apart. What edged makes of its own network does not belong to
// it: a change of the host's MTU moves no module.
func digest(all []attachment) string {
	h := sha256.New()
	for _, a := range all {
		a.Addrs = nil
		if a.Builtin {
			a.Config = nil
		}
		b, err := json.Marshal(a)
		if err != nil {
			panic(fmt.Sprintf("cannot write attachment: %v", err)) // plain values
		}
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// plugins runs CNI.
type plugins struct {
	cni *libcni.CNIConfig
}

func newPlugins(mounts *mountns.Namespace, binDirs []string, cacheDir string) *plugins {
	return &plugins{libcni.NewCNIConfigWithCacheDir(binDirs, cacheDir, &pluginExec{mounts: mounts})}
}

func (a *attachment) runtime(key, ns string) (*libcni.NetworkConfigList, *libcni.RuntimeConf, error) {
	list, err := libcni.NetworkConfFromBytes(a.Config)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read conflist of network %q: %w", a.Network, err)
	}
	capabilities := map[string]any{}
	if len(a.IPs) > 0 {
		ips := make([]string, len(a.IPs))
		for i, p := range a.IPs {
			ips[i] = p.String()
			if !a.Builtin {
				ips[i] = p.Addr().String() // host-local knows the length itself
			}
		}
		capabilities["ips"] = ips
	}
	if a.MAC != "" {
		capabilities["mac"] = a.MAC
	}
	if len(a.Ports) > 0 {
		capabilities["portMappings"] = a.Ports
	}
	return list, &libcni.RuntimeConf{
		ContainerID: key, NetNS: ns, IfName: a.Interface, CapabilityArgs: capabilities,
		Args: [][2]string{{"IgnoreUnknown", "1"}},
	}, nil
}

// add makes the interface and notes its addresses.
func (p *plugins) add(ctx context.Context, key, ns string, a *attachment) error {
	ctx, cancel := context.WithTimeout(ctx, addTimeout)
	defer cancel()
	list, rt, err := a.runtime(key, ns)
	if err != nil {
		return err
	}
	result, err := p.cni.AddNetworkList(ctx, list, rt)
	if err != nil {
		if ctx.Err() != nil && !errdefs.IsUnavailable(err) {
			err = fmt.Errorf("%w: %w", err, errdefs.ErrUnavailable)
		}
		return fmt.Errorf("cannot attach to network %q: %w", a.Network, err)
	}
	r, err := current.NewResultFromResult(result)
	if err != nil {
		return fmt.Errorf("cannot read what the plugins of network %q answer: %w", a.Network, err)
	}
	a.Addrs = nil
	for _, ip := range r.IPs {
		if addr, ok := toPrefix(ip.Address); ok {
			a.Addrs = append(a.Addrs, addr)
		}
	}
	return nil
}

func toPrefix(n net.IPNet) (netip.Prefix, bool) {
	addr, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), ones), ok
}

// delOne undoes an interface.
func (p *plugins) delOne(ctx context.Context, key, ns string, a *attachment) error {
	ctx, cancel := context.WithTimeout(ctx, delTimeout)
	defer cancel()
	list, rt, err := a.runtime(key, ns)
	if err == nil {
		err = p.cni.DelNetworkList(ctx, list, rt)
	}
	if err != nil {
		return fmt.Errorf("cannot detach from network %q: %w", a.Network, err)
	}
	return nil
}
