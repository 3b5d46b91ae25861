package network

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOnlyNamesEnterAHostsFile(t *testing.T) {
	got := string(renderHosts([]hostLine{
		{netip.MustParseAddr("172.30.0.2"), []string{"edgeHub", "hub.example", "with space", "new\nline", "under_score", "-dash", ""}},
		{netip.MustParseAddr("172.30.0.3"), []string{"no good"}},
		{netip.Addr{}, []string{"nowhere"}},
	}))
	require.Equal(t, loopbackLines+"172.30.0.2\tedgeHub edgehub hub.example\n", got)
}

func FuzzHosts(f *testing.F) {
	f.Add("a", "b c")
	f.Add("x\n1.2.3.4 y", "#")
	f.Fuzz(func(t *testing.T, a, b string) {
		text := string(renderHosts([]hostLine{{netip.MustParseAddr("172.30.0.2"), []string{a, b}}}))
		rest, ok := strings.CutPrefix(text, loopbackLines)
		require.True(t, ok)
		require.LessOrEqual(t, strings.Count(rest, "\n"), 1)
		for _, name := range strings.Fields(rest) {
			require.True(t, name == "172.30.0.2" || strings.EqualFold(name, a) || strings.EqualFold(name, b), "%q", name)
		}
	})
}

func TestAHostsFileIsRewrittenInPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hosts")
	require.NoError(t, rewrite(file, []byte("x")), "one that is not there is not made")
	require.NoFileExists(t, file)
	require.NoError(t, os.WriteFile(file, []byte("a long first text"), 0o644))
	inode := func() uint64 {
		info, err := os.Stat(file)
		require.NoError(t, err)
		return info.Sys().(*syscall.Stat_t).Ino
	}
	before := inode()
	require.NoError(t, rewrite(file, []byte("short")))
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "short", string(got))
	require.Equal(t, before, inode(), "modules have mounted it")
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(file, link))
	require.Error(t, rewrite(link, []byte("through a link")))
}

func TestResolvConfHasWhatAModuleCanReach(t *testing.T) {
	for name, tc := range map[string]struct {
		host, behind string
		v6           bool
		plan         Plan
		want         string
	}{
		"plain":              {host: "# made\nnameserver 192.0.2.53\nsearch plant.example a b\noptions ndots:2 edns0\n", want: "nameserver 192.0.2.53\nsearch plant.example a b\noptions ndots:2 edns0\n"},
		"loopback":           {host: "nameserver 127.0.0.1\nnameserver ::1\nnameserver 192.0.2.53\n", want: "nameserver 192.0.2.53\n"},
		"only a loopback":    {host: "nameserver 127.0.0.1\n", behind: "nameserver 192.0.2.9\n", want: ""},
		"behind a stub":      {host: "nameserver 127.0.0.53\noptions edns0\nsearch x\n", behind: "nameserver 192.0.2.9\n", want: "nameserver 192.0.2.9\nsearch x\noptions edns0\n"},
		"IPv6 without it":    {host: "nameserver 2001:db8::1\nnameserver 192.0.2.1\n", want: "nameserver 192.0.2.1\n"},
		"IPv6":               {host: "nameserver 2001:db8::1\nnameserver fe80::1%eth0\n", v6: true, want: "nameserver 2001:db8::1\n"},
		"a cloud's":          {host: "nameserver 169.254.169.254\n", want: "nameserver 169.254.169.254\n"},
		"IPv6 of a link":     {host: "nameserver fe80::1\nnameserver 169.254.169.253\n", v6: true, want: "nameserver 169.254.169.253\n"},
		"the last search":    {host: "domain a\nsearch b\n", want: "search b\n"},
		"none at all":        {want: ""},
		"what the plan says": {host: "nameserver 192.0.2.1\nsearch a\noptions b\n", plan: Plan{DNS: []netip.Addr{netip.MustParseAddr("192.0.2.2")}, Search: []string{"."}, Options: []string{"c"}}, want: "nameserver 192.0.2.2\noptions c\n"},
	} {
		dir := t.TempDir()
		host, behind := filepath.Join(dir, "resolv.conf"), filepath.Join(dir, "behind")
		require.NoError(t, os.WriteFile(host, []byte(tc.host), 0o644))
		require.NoError(t, os.WriteFile(behind, []byte(tc.behind), 0o644))
		r, err := readResolv(host, behind, tc.v6)
		require.NoError(t, err, name)
		require.Equal(t, tc.want, string(r.with(&tc.plan).render()), name)
	}
	r, err := readResolv("/no/such/file", "/no/such/file", false)
	require.NoError(t, err)
	require.Empty(t, r.render())
}

func FuzzResolv(f *testing.F) {
	f.Add("nameserver 192.0.2.1\nsearch a b\noptions c\n", true)
	f.Add("nameserver\nnameserver x\nsearch \x00\noptions #\n", false)
	f.Fuzz(func(t *testing.T, text string, v6 bool) {
		r := parseResolv(text, v6)
		again := parseResolv(string(r.render()), v6)
		require.Equal(t, r.servers, again.servers)
		require.Equal(t, len(r.search), len(again.search))
		require.Equal(t, len(r.options), len(again.options))
		for _, s := range r.servers {
			require.False(t, s.IsLoopback())
		}
	})
}

func manager(records ...Record) *Manager {
	m := &Manager{Config: Config{Subnet: netip.MustParsePrefix("172.30.0.0/16")}, records: map[string]*Record{}, lists: conflists{DefaultNetwork: {name: DefaultNetwork, builtin: true}}}
	for i := range records {
		m.records[records[i].Module] = &records[i]
	}
	return m
}

func member(name, addr string, aliases ...string) Record {
	return Record{
		Module: name, Key: name, Leases: []Lease{{Network: DefaultNetwork, Addr: netip.MustParseAddr(addr)}},
		Plan: Plan{Mode: ModeNetworks, Hostname: name + "-host", Endpoints: []Endpoint{{Network: DefaultNetwork, Aliases: aliases}}},
	}
}

func TestNamesOfNeighbours(t *testing.T) {
	other := member("elsewhere", "10.0.0.2")
	other.Plan.Endpoints[0].Network, other.Leases[0].Network = "plant", "plant"
	off := member("off", "172.30.0.9")
	off.Plan.Mode = ModeNone
	self := member("self", "172.30.0.2", "me")
	self.Plan.Domainname = "plant.example"
	self.Plan.ExtraHosts = []ExtraHost{{Name: "gw"}, {Name: "printer", Addr: netip.MustParseAddr("192.0.2.7")}}
	m := manager(self, member("hub", "172.30.0.3", "broker"), member("thief", "172.30.0.4", "HUB", "broker"), other, off)
	require.Equal(t, loopbackLines+
		"172.30.0.2\tself-host.plant.example self-host self me\n"+
		"172.30.0.3\thub-host hub broker\n"+
		"172.30.0.4\tthief-host thief broker\n"+
		"172.30.0.1\tgw\n"+
		"192.0.2.7\tprinter\n", string(m.hosts("self", &self.Plan)), "a module's name is its own, an alias may be of many")
	none := Plan{Mode: ModeNone, Hostname: "alone"}
	require.Equal(t, loopbackLines+"127.0.1.1\talone x\n", string(m.hosts("x", &none)))
	guest := Plan{Mode: ModeModule, Module: "hub", Hostname: "guest"}
	require.Contains(t, string(m.hosts("guest", &guest)), loopbackLines+"172.30.0.3\thub-host hub broker\n", "it is in the other's place")
}

// TestTheHubIsFoundByTheGatewaysName, which is all that modules are told of where it is,
// unless the name means something else already.
func TestTheHubIsFoundByTheGatewaysName(t *testing.T) {
	pump := func(change func(r *Record)) Record {
		r := member("pump", "172.30.0.3")
		change(&r)
		return r
	}
	const found, own = "172.30.0.2\tedgeHub-host edgehub-host edgeHub edgehub broker GW.plant.example gw.plant.example\n", "172.30.0.2\tedgeHub-host edgehub-host edgeHub edgehub broker\n"
	for name, c := range map[string]struct {
		pump    Record
		gateway string
		want    string
	}{
		"a name":               {pump(func(*Record) {}), "GW.plant.example", found},
		"none":                 {pump(func(*Record) {}), "", own},
		"an address":           {pump(func(*Record) {}), "192.0.2.1", own},
		"no name":              {pump(func(*Record) {}), "g w", own},
		"every machine's":      {pump(func(*Record) {}), "localhost", own},
		"a neighbour's name":   {pump(func(*Record) {}), "PUMP", own},
		"a neighbour's host":   {pump(func(*Record) {}), "pump-host", own},
		"a neighbour's domain": {pump(func(r *Record) { r.Plan.Hostname, r.Plan.Domainname = "gw", "plant.example" }), "GW.plant.example", own},
		"a neighbour's alias":  {pump(func(r *Record) { r.Plan.Endpoints[0].Aliases = []string{"gw.plant.EXAMPLE"} }), "GW.plant.example", own},
		"one that is elsewhere": {pump(func(r *Record) {
			r.Plan.ExtraHosts = []ExtraHost{{Name: "gw.plant.example", Addr: netip.MustParseAddr("192.0.2.7")}}
		}), "GW.plant.example", own},
		"the hub's own": {pump(func(*Record) {}), "broker", own},
	} {
		m := manager(member("edgeHub", "172.30.0.2", "broker"), c.pump)
		m.Hub, m.Gateway = "edgeHub", c.gateway
		require.Contains(t, string(m.hosts("pump", &m.records["pump"].Plan)), c.want, name)
		if name != "one that is elsewhere" { // which is of that module alone
			require.Contains(t, string(m.hosts("edgeHub", &m.records["edgeHub"].Plan)), c.want, name)
		}
	}
	// A module in another's namespace says itself where the name leads.
	m := manager(member("edgeHub", "172.30.0.2"), member("pump", "172.30.0.3"))
	m.Hub, m.Gateway = "edgeHub", "gw"
	guest := Plan{Mode: ModeModule, Module: "pump", ExtraHosts: []ExtraHost{{Name: "GW", Addr: netip.MustParseAddr("192.0.2.7")}}}
	require.NotContains(t, string(m.hosts("meter", &guest)), "edgehub gw")
	guest.ExtraHosts = nil
	require.Contains(t, string(m.hosts("meter", &guest)), "edgehub gw")
	// On its own networks it is whatever its author called it.
	elsewhere := member("edgeHub", "10.0.0.2")
	elsewhere.Plan.Endpoints[0].Network, elsewhere.Leases[0].Network = "plant", "plant"
	m = manager(elsewhere)
	m.Hub, m.Gateway = "edgeHub", "gw"
	require.NotContains(t, string(m.hosts("edgeHub", &elsewhere.Plan)), "gw")
}

// TestNobodyTakesAnothersNameByHisOwnHostname: it would turn away what neighbours send there, their own loopback before all.
func TestNobodyTakesAnothersNameByHisOwnHostname(t *testing.T) {
	thief, dotted := member("thief", "172.30.0.4", "ip6-loopback"), member("hub.plant", "172.30.0.3")
	thief.Plan.Hostname, thief.Plan.Domainname = "HUB", "plant"
	local := member("localhost", "172.30.0.5")
	local.Plan.Hostname, local.Plan.Domainname = "LocalHost", "localhost"
	self := member("self", "172.30.0.2")
	m := manager(self, thief, dotted, local)
	require.Equal(t, loopbackLines+
		"172.30.0.2\tself-host self\n"+
		"172.30.0.3\thub.plant-host hub.plant\n"+
		"172.30.0.4\tHUB hub thief\n", string(m.hosts("self", &self.Plan)))
	require.NotContains(t, string(m.hosts("localhost", &local.Plan)), "172.30.0.5\t")
	none := Plan{Mode: ModeNone, Hostname: "localhost"}
	require.Equal(t, loopbackLines, string(m.hosts("localhost", &none)))
}
