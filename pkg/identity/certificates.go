package identity

import (
	"cmp"
	"context"
	"encoding/json"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/ca"
	"github.com/edged/edged/pkg/module"
)

// Authority issues certificates.
type Authority interface {
	Issue(ctx context.Context, r ca.Request) (*ca.Issued, error)
}

// Certificates says which certificates a module may have, and gets them.
type Certificates struct {
	Authority Authority
	// Device is the device's id, Hub the hub's host name or empty, Gateway the name by which the gateway is found.
	Device, Hub, Gateway string
	// Spec returns the spec that a module runs with.
	Spec func(ctx context.Context, name string) (*module.Spec, error)
}

// Client returns a certificate by which the module says who it is. The zero time
// is the default life. Errors: InvalidArgument, Unavailable, see ca.Authority.Issue.
func (c *Certificates) Client(ctx context.Context, id Identity, notAfter time.Time) (*ca.Issued, error) {
	r := ca.Request{Profile: ca.Client, CommonName: id.ModuleID, NotAfter: notAfter}
	if c.Hub != "" {
		// The form in which the hub's tokens name a module.
		r.URIs = []string{"azureiot://" + c.Hub + "/devices/" + url.PathEscape(c.Device) + "/modules/" + url.PathEscape(id.ModuleID)}
	}
	if ca.ValidDNSName(id.Module) {
		r.DNSNames = []string{id.Module}
	}
	return c.Authority.Issue(ctx, r)
}

// Server returns a certificate for a server that the module is. Which names it may
// have is for Serves to say, or for a grant.
func (c *Certificates) Server(ctx context.Context, id Identity, name string, notAfter time.Time) (*ca.Issued, error) {
	r := ca.Request{Profile: ca.Server, CommonName: name, NotAfter: notAfter}
	if ip, err := netip.ParseAddr(name); err == nil {
		r.IPs = []netip.Addr{ip}
	} else {
		r.DNSNames = []string{name}
	}
	if ca.ValidDNSName(id.Module) {
		r.DNSNames = append(r.DNSNames, id.Module)
	}
	return c.Authority.Issue(ctx, r)
}

// Serves says whether a name is one of the module's own: its name, its hostname and
// its aliases, and for edgeHub those of the device. The error is of the look-up.
func (c *Certificates) Serves(ctx context.Context, id Identity, name string) (bool, error) {
	own := []string{id.Module}
	if id.Module == module.HubName {
		own = append(own, c.Device, c.Gateway)
	}
	spec, err := c.Spec(ctx, id.Module)
	if err != nil && !errdefs.IsNotFound(err) {
		return false, err
	}
	if err == nil {
		own = append(own, specNames(spec)...)
	}
	return slices.ContainsFunc(own, func(s string) bool { return s != "" && strings.EqualFold(s, name) }), nil
}

// specNames are the hostname and the aliases in createOptions, which was checked when the module was made. What it
// is called without a Hostname is a name that no other has: on the host's network it is called as the host is, and
// that is not for a module to be.
func specNames(spec *module.Spec) []string {
	var o struct {
		Hostname         string
		NetworkingConfig struct {
			EndpointsConfig map[string]struct{ Aliases []string }
		}
	}
	if len(spec.CreateOptions) > 0 && json.Unmarshal(spec.CreateOptions, &o) != nil {
		return nil
	}
	names := []string{cmp.Or(o.Hostname, module.DefaultHostname(spec.Name))}
	for _, endpoint := range o.NetworkingConfig.EndpointsConfig {
		names = append(names, endpoint.Aliases...)
	}
	return names
}
