package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	networktypes "github.com/moby/moby/api/types/network"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/network"
)

// extensionNetwork is where a container's record keeps its network.Plan, as JSON: a
// start needs nothing but the record.
const extensionNetwork = "io.edged.network"

// agentNetwork is what edgeAgent has when nothing is said: it needs only its sockets.
const agentNetwork = "none"

// networkPlan reads what createOptions say of networks, ports and names. exposed are
// the image's ports, for PublishAllPorts. Errors are errdefs.InvalidArgument.
func (e *Engine) networkPlan(spec *module.Spec, o *options, exposed []string) (*network.Plan, error) {
	plan := &network.Plan{Hostname: hostname(spec.Name, o), Domainname: o.Domainname}
	names, err := e.readMode(spec, o, plan)
	if err != nil {
		return nil, err
	}
	if plan.Endpoints, err = e.endpoints(o, names); err != nil {
		return nil, err
	}
	// Where none can be published, what an image exposes does not matter.
	all := o.HostConfig.PublishAllPorts && plan.Mode != network.ModeHost && plan.Mode != network.ModeNone
	if plan.Ports, err = portsOf(o, all, exposed); err != nil {
		return nil, err
	}
	switch {
	case plan.Mode == network.ModeModule && (len(plan.Ports) > 0 || len(o.HostConfig.ExtraHosts) > 0 || len(o.HostConfig.DNS) > 0 || o.Hostname != ""):
		return nil, fmt.Errorf("createOptions.HostConfig.NetworkMode %q: ports, ExtraHosts, Dns and Hostname are those of the other module: %w", o.HostConfig.NetworkMode, errdefs.ErrInvalidArgument)
	case plan.Mode != network.ModeNetworks && len(plan.Ports) > 0:
		// As Docker: on the host's network every port is published, without one none can be.
		e.Log.WithField("module", spec.Name).Warnf("createOptions.HostConfig.PortBindings is ignored with NetworkMode %q", plan.Mode)
		plan.Ports = nil
	}
	if err := readNames(o, plan); err != nil {
		return nil, err
	}
	return plan, e.Networks.Check(plan)
}

// ownID is an id of the module, of no generation in particular.
func ownID(name string) string { return module.ContainerID(name, 0) }

// keyOf is what the ids of all containers of a module begin with.
func keyOf(id string) string {
	if i := strings.LastIndex(id, "-g"); i > 0 {
		return id[:i]
	}
	return id
}

// readMode finds out whose namespace it is, and the networks in the order of their
// interfaces: NetworkMode's first; without it, those of NetworkingConfig.
func (e *Engine) readMode(spec *module.Spec, o *options, plan *network.Plan) (names []string, err error) {
	mode := string(o.HostConfig.NetworkMode)
	given := o.NetworkingConfig.EndpointsConfig
	if mode == "" && spec.Name == module.AgentName && len(given) == 0 {
		mode = agentNetwork
	}
	switch {
	case o.NetworkDisabled:
		mode = "none"
	case hostNetwork(o):
		mode = "host"
	}
	switch {
	case mode == "none", mode == "host":
		plan.Mode = network.Mode(mode)
		for name := range given {
			if name != mode {
				return nil, fmt.Errorf("createOptions.NetworkingConfig.EndpointsConfig[%q] does not go with NetworkMode %q: %w", name, mode, errdefs.ErrInvalidArgument)
			}
		}
		return nil, nil
	case strings.HasPrefix(mode, "container:"):
		plan.Mode = network.ModeModule
		if plan.Module, err = module.CanonicalName(strings.TrimPrefix(mode, "container:")); err == nil && plan.Module == spec.Name {
			err = fmt.Errorf("it is this module itself: %w", errdefs.ErrInvalidArgument)
		}
		if err == nil && len(given) > 0 {
			err = fmt.Errorf("NetworkingConfig does not go with it: %w", errdefs.ErrInvalidArgument)
		}
		if err != nil {
			return nil, fmt.Errorf("invalid createOptions.HostConfig.NetworkMode %q: %w", mode, err)
		}
		return nil, nil
	}
	plan.Mode = network.ModeNetworks
	rest := slices.SortedFunc(maps.Keys(given), func(a, b string) int {
		if d := priority(given[b]) - priority(given[a]); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	if mode == "" && len(rest) > 0 {
		return rest, nil
	}
	if mode == "" {
		mode = network.DefaultNetwork
	}
	return append([]string{mode}, slices.DeleteFunc(rest, func(n string) bool { return e.sameNetwork(n, mode) })...), nil
}

func priority(ep *networktypes.EndpointSettings) int {
	if ep == nil {
		return 0
	}
	return ep.GwPriority
}

func (e *Engine) sameNetwork(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := e.Networks.Canonical(a)
	y, errY := e.Networks.Canonical(b)
	return errX == nil && errY == nil && x == y
}

func (e *Engine) endpoints(o *options, names []string) (all []network.Endpoint, err error) {
	for _, name := range names {
		ep := network.Endpoint{}
		if ep.Network, err = e.Networks.Canonical(name); err != nil {
			return nil, err
		}
		asked := ""
		for _, given := range slices.Sorted(maps.Keys(o.NetworkingConfig.EndpointsConfig)) {
			settings := o.NetworkingConfig.EndpointsConfig[given]
			if settings == nil || !e.sameNetwork(given, name) {
				continue
			}
			if asked != "" {
				return nil, fmt.Errorf("createOptions.NetworkingConfig.EndpointsConfig: network %q is given twice, as %q and as %q: %w", ep.Network, asked, given, errdefs.ErrInvalidArgument)
			}
			asked = given
			if err := readEndpoint(given, settings, &ep); err != nil {
				return nil, err
			}
		}
		all = append(all, ep)
	}
	return all, nil
}

// readEndpoint takes over what is asked for; what Docker's API calls operational data
// is told by an engine, not asked of it, and passed over as there.
func readEndpoint(name string, s *networktypes.EndpointSettings, ep *network.Endpoint) error {
	refuse := func(field string) error {
		return fmt.Errorf("createOptions.NetworkingConfig.EndpointsConfig[%q].%s is not supported by edged: %w", name, field, errdefs.ErrInvalidArgument)
	}
	switch {
	case len(s.Links) > 0:
		return refuse("Links (modules find each other by name)")
	case len(s.DriverOpts) > 0:
		return refuse("DriverOpts (a network's options are in its conflist)")
	}
	ep.Aliases = s.Aliases
	if len(s.MacAddress) > 0 {
		ep.MAC = s.MacAddress.String()
	}
	if c := s.IPAMConfig; c != nil {
		if len(c.LinkLocalIPs) > 0 {
			return refuse("IPAMConfig.LinkLocalIPs")
		}
		if c.IPv4Address.IsValid() && !c.IPv4Address.Is4() || c.IPv6Address.IsValid() && !c.IPv6Address.Is6() {
			return fmt.Errorf("invalid createOptions.NetworkingConfig.EndpointsConfig[%q].IPAMConfig: an address is of the other family: %w", name, errdefs.ErrInvalidArgument)
		}
		ep.IPv4, ep.IPv6 = c.IPv4Address, c.IPv6Address
	}
	return nil
}

// portsOf lists the ports to publish, in a fixed order; with publishAll those that are exposed, too.
func portsOf(o *options, publishAll bool, exposed []string) (all []network.Port, err error) {
	bound := map[networktypes.Port]bool{}
	for port, bindings := range o.HostConfig.PortBindings {
		bound[port] = true
		if len(bindings) == 0 {
			bindings = []networktypes.PortBinding{{}} // Docker: any host port
		}
		for _, b := range bindings {
			p := network.Port{Proto: string(port.Proto()), HostIP: b.HostIP, Port: port.Num()}
			if p.From, p.To, err = hostPorts(b.HostPort); err == nil {
				err = checkPort(port)
			}
			if err != nil {
				return nil, fmt.Errorf("invalid createOptions.HostConfig.PortBindings[%q]: %w", port, err)
			}
			all = append(all, p)
		}
		if len(all) > network.MaxPorts {
			return nil, network.TooManyPorts()
		}
	}
	if publishAll {
		for port := range o.ExposedPorts {
			exposed = append(exposed, port.String())
		}
		for _, text := range exposed {
			ports, err := networktypes.ParsePortRange(text)
			if err != nil {
				continue // the image's own mistake
			}
			for port := range ports.All() {
				if checkPort(port) == nil && !bound[port] {
					bound[port] = true
					all = append(all, network.Port{Proto: string(port.Proto()), Port: port.Num()})
				}
				if len(all) > network.MaxPorts {
					return nil, network.TooManyPorts() // an image may expose all there are
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b network.Port) int {
		return strings.Compare(fmt.Sprintf("%s %05d %05d %s", a.Proto, a.Port, a.From, a.HostIP), fmt.Sprintf("%s %05d %05d %s", b.Proto, b.Port, b.From, b.HostIP))
	})
	return slices.Compact(all), nil
}

func checkPort(port networktypes.Port) error {
	switch proto := port.Proto(); {
	case port.Num() == 0:
		return fmt.Errorf("port 0 is none: %w", errdefs.ErrInvalidArgument)
	case proto != "tcp" && proto != "udp" && proto != "sctp":
		return fmt.Errorf("protocol %q is not tcp, udp or sctp: %w", proto, errdefs.ErrInvalidArgument)
	}
	return nil
}

// hostPorts reads "8080", "8000-8010", or nothing, which is any.
func hostPorts(text string) (from, to uint16, err error) {
	if text == "" {
		return 0, 0, nil
	}
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	a, errA := strconv.ParseUint(first, 10, 16)
	b, errB := strconv.ParseUint(last, 10, 16)
	if errA != nil || errB != nil || a > b || a == 0 && b != 0 {
		return 0, 0, fmt.Errorf("HostPort %q is no port or range of ports: %w", text, errdefs.ErrInvalidArgument)
	}
	return uint16(a), uint16(b), nil
}

// readNames takes over what goes into hosts and resolv.conf, where a wrong character
// would be a line of its own.
func readNames(o *options, plan *network.Plan) error {
	invalid := func(field, value, why string) error { return invalid(field, "%q: %s", value, why) }
	for _, text := range o.HostConfig.ExtraHosts {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			name, value, ok = strings.Cut(text, ":")
		}
		addr, err := netip.ParseAddr(strings.Trim(value, "[]"))
		switch {
		case !ok || !network.ValidName(name):
			return invalid("HostConfig.ExtraHosts", text, "want name:address")
		case value == "host-gateway":
			addr = netip.Addr{}
		case err != nil || addr.Zone() != "":
			return invalid("HostConfig.ExtraHosts", text, "want an address or host-gateway behind the name")
		}
		plan.ExtraHosts = append(plan.ExtraHosts, network.ExtraHost{Name: name, Addr: addr})
	}
	plan.DNS, plan.Search, plan.Options = o.HostConfig.DNS, o.HostConfig.DNSSearch, o.HostConfig.DNSOptions
	for _, a := range plan.DNS {
		if !a.IsValid() || a.IsUnspecified() {
			return invalid("HostConfig.Dns", a.String(), "want the address of a server")
		}
	}
	for _, s := range plan.Search {
		if s != "." && !network.ValidName(strings.TrimSuffix(s, ".")) {
			return invalid("HostConfig.DnsSearch", s, "it is no DNS name")
		}
	}
	for _, opt := range plan.Options {
		if !network.ValidOption(opt) {
			return invalid("HostConfig.DnsOptions", opt, "it is no single word")
		}
	}
	return nil
}

// instanceOf names a container for the networks.
func instanceOf(moduleName, id string) network.Instance {
	return network.Instance{Module: moduleName, Key: keyOf(id), Container: id}
}

// encodePlan is a plan as an extension of a container's record.
func encodePlan(plan *network.Plan) (*anypb.Any, error) {
	text, err := json.Marshal(plan)
	if err != nil {
		return nil, fmt.Errorf("cannot write network plan: %w", err)
	}
	return &anypb.Any{TypeUrl: extensionNetwork, Value: text}, nil
}

// plansOf reads the plans of a module's generations from their records.
func (e *Engine) plansOf(ctx context.Context, name string) ([]network.Plan, error) {
	ctx, done := e.call(ctx)
	defer done()
	found, err := e.client.ContainerService().List(ctx, "labels."+strconv.Quote(labelModule)+"=="+strconv.Quote(name))
	if err != nil {
		return nil, fmt.Errorf("cannot list containers of module %q: %w", name, classify(err))
	}
	var plans []network.Plan
	for _, c := range found {
		ext := c.Extensions[extensionNetwork]
		if ext == nil {
			continue // of a version that knew no networks
		}
		var plan network.Plan
		if err := json.Unmarshal(ext.GetValue(), &plan); err != nil {
			return nil, fmt.Errorf("cannot read network plan of container %s: %w", c.ID, err)
		}
		plans = append(plans, plan)
	}
	return plans, nil
}
