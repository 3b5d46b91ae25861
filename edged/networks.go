package main

import (
	"github.com/edged/edged/pkg/client/wire"
)

// listNetworks says what networks there are and who is on them.
func (d *daemon) listNetworks() wire.NetworkList {
	list := wire.NetworkList{Networks: []wire.Network{}}
	for _, n := range d.networks.List() {
		w := wire.Network{Name: n.Name, Aliases: n.Aliases, Driver: n.Driver, Bridge: n.Bridge, Modules: []wire.NetworkModule{}}
		for _, s := range n.Subnets {
			w.Subnets = append(w.Subnets, s.String())
		}
		for _, m := range n.Modules {
			member := wire.NetworkModule{Name: m.Module, Interface: m.Interface, Names: m.Names, Running: m.Running}
			for _, a := range m.Addrs {
				member.Addresses = append(member.Addresses, a.String())
			}
			for _, p := range m.Ports {
				port := wire.NetworkPort{HostPort: int(p.HostPort), Port: int(p.Port), Protocol: p.Proto}
				if p.HostIP.IsValid() {
					port.HostIP = p.HostIP.String()
				}
				member.Ports = append(member.Ports, port)
			}
			w.Modules = append(w.Modules, member)
		}
		list.Networks = append(list.Networks, w)
	}
	return list
}
