package check

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/network/netns"
	"github.com/edged/edged/tests/device/names"
)

// runs is a module that runs on a network: edged's note, its network namespace, in which
// the loopback is up, and its resolv.conf.
func (r *rig) runs(module, resolv string) (ns string) {
	r.t.Helper()
	key, id := module+"-k", module+"-k-g1"
	b, err := json.Marshal(map[string]any{"key": key, "module": module, "up": id, "attached": []any{map[string]string{"network": "edged"}}})
	require.NoError(r.t, err)
	r.write("run/network/"+key+".json", string(b))
	r.write("home/containers/"+id+"/resolv.conf", resolv)
	r.write("run/netns/"+key, "")
	ns = r.path("run/netns/" + key)
	require.NoError(r.t, netns.Thread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		lo, err := unix.NewIfreq("lo")
		if err != nil {
			return err
		}
		lo.SetUint16(unix.IFF_UP)
		if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
			return err
		}
		return unix.Mount(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), ns, "none", unix.MS_BIND, "")
	}), "the tests run as root")
	r.t.Cleanup(func() { _ = unix.Unmount(ns, unix.MNT_DETACH) })
	return ns
}

// serveNames answers on an address of a network namespace with a code for each name,
// dnsmessage.RCodeNameError for those that are not listed; nil is a server that hears and says nothing.
func (r *rig) serveNames(ns, address string, known map[string]dnsmessage.RCode) {
	r.t.Helper()
	var conn net.PacketConn
	require.NoError(r.t, netns.Inside(ns, func() (err error) {
		conn, err = net.ListenPacket("udp", address+":53")
		return err
	}))
	r.t.Cleanup(names.Serve(conn, func(name string) (dnsmessage.RCode, bool) {
		if code, listed := known[name]; listed {
			return code, true
		}
		return dnsmessage.RCodeNameError, known != nil
	}))
}

func resolvConf(servers ...string) string {
	return "search plant.example\nnameserver " + strings.Join(servers, "\nnameserver ") + "\noptions ndots:1\n"
}

func TestNamesAreAskedForFromInsideOfModules(t *testing.T) {
	known := map[string]dnsmessage.RCode{"": dnsmessage.RCodeRefused, "hub.example": dnsmessage.RCodeSuccess, "other.example": dnsmessage.RCodeServerFailure}
	hub := func(name string) string { return "[device]\nhub = \"" + name + "\"\n" }
	for name, c := range map[string]struct {
		plant func(r *rig)
		want  Status
		found string
	}{
		"a server that answers, even if it knows nothing": {func(r *rig) {
			r.serveNames(r.runs("pump", resolvConf("127.0.0.1")), "127.0.0.1", known)
		}, OK, "127.0.0.1 answers from inside of module pump"},
		"one that knows the hub": {func(r *rig) {
			r.configure(hub("hub.example"))
			r.serveNames(r.runs("pump", resolvConf("127.0.0.1")), "127.0.0.1", known)
		}, OK, "127.0.0.1 answers"},
		"a hub that is an address": {func(r *rig) {
			r.configure(hub("192.0.2.1"))
			r.serveNames(r.runs("pump", resolvConf("127.0.0.1")), "127.0.0.1", known)
		}, OK, "127.0.0.1 answers"},
		"one that does not know the hub": {func(r *rig) {
			r.configure(hub("nowhere.example"))
			r.serveNames(r.runs("pump", resolvConf("127.0.0.1")), "127.0.0.1", known)
		}, Error, "has no address of the hub nowhere.example: nameerror"},
		"one that cannot tell": {func(r *rig) {
			r.configure(hub("other.example"))
			r.serveNames(r.runs("pump", resolvConf("127.0.0.1")), "127.0.0.1", known)
		}, Error, "the hub other.example: serverfailure"},
		"one of two that is silent": {func(r *rig) {
			ns := r.runs("pump", resolvConf("127.0.0.1", "127.0.0.2"))
			r.serveNames(ns, "127.0.0.2", known)
			r.serveNames(ns, "127.0.0.1", nil)
		}, Warning, "127.0.0.1 does not answer (nothing within 4s); 127.0.0.2 does"},
		"nobody listens": {func(r *rig) { r.runs("pump", resolvConf("127.0.0.1", "192.0.2.53")) }, Warning, "no name server answers (127.0.0.1, 192.0.2.53: network is unreachable), and none does from the host"},
		"a loopback that is not the host's": {func(r *rig) {
			r.serveNames("/proc/self/ns/net", "127.0.0.77", known)
			r.runs("pump", resolvConf("127.0.0.77"))
		}, Warning, "no name server answers (127.0.0.77: connection refused): they are its own loopback's"},
		"no way there": {func(r *rig) { r.runs("pump", resolvConf("192.0.2.53")) }, Warning, "192.0.2.53: network is unreachable"},
		"no way to a hub": {func(r *rig) {
			r.configure(hub("hub.example"))
			r.runs("pump", resolvConf("192.0.2.53"))
		}, Error, "modules cannot find the hub hub.example"},
		"no server": {func(r *rig) { r.runs("pump", "# nothing\n") }, Warning, "module pump has no name server"},
		"two modules of which one cannot": {func(r *rig) {
			r.serveNames(r.runs("pump", resolvConf("127.0.0.1")), "127.0.0.1", known)
			r.runs("valve", resolvConf("127.0.0.9"))
		}, Warning, "inside of module valve"},
		"a module that stopped meanwhile": {func(r *rig) {
			require.NoError(r.t, unix.Unmount(r.runs("pump", resolvConf("127.0.0.1")), unix.MNT_DETACH))
			r.remove("run/netns/pump-k")
		}, Skipped, "module pump has just stopped"},
		"no module on a network": {func(r *rig) {}, OK, "modules ask 192.0.2.53; no module runs on a network"},
		"somebody who is not root": {func(r *rig) {
			r.cfg.UID = 1000
			r.runs("pump", resolvConf("127.0.0.1"))
		}, OK, "modules ask 192.0.2.53"},
		"a resolv.conf led elsewhere": {func(r *rig) {
			r.runs("pump", "")
			r.remove("home/containers/pump-k-g1/resolv.conf")
			require.NoError(r.t, os.Symlink("/etc/resolv.conf", r.path("home/containers/pump-k-g1/resolv.conf")))
		}, OK, "no module runs on a network"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c.plant(r)
			got := r.run("dns")["dns"]
			require.Equal(t, c.want, got.Status, "%+v", got)
			require.Contains(t, got.Found, c.found)
			require.NotContains(t, got.Found, "\n")
			require.Equal(t, c.want == Warning || c.want == Error, got.Cure != "", "%+v", got)
		})
	}
}

// TestNothingIsLeftOfAQuestion neither a mount nor a namespace.
func TestNothingIsLeftOfAQuestion(t *testing.T) {
	r := newRig(t)
	r.serveNames(r.runs("pump", resolvConf("127.0.0.1")), "127.0.0.1", map[string]dnsmessage.RCode{})
	before, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	files, err := filepath.Glob(r.path("run/*/*"))
	require.NoError(t, err)
	require.Equal(t, OK, r.run("dns")["dns"].Status)
	after, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	require.Equal(t, string(before), string(after))
	now, err := filepath.Glob(r.path("run/*/*"))
	require.NoError(t, err)
	require.Equal(t, files, now)
}

func TestServersThatModulesCanReach(t *testing.T) {
	for name, c := range map[string]struct {
		resolv   string
		want     string
		loopback bool
	}{
		"plain":          {resolvConf("192.0.2.53", "2001:db8::53"), "192.0.2.53, 2001:db8::53", false},
		"a cloud's":      {resolvConf("169.254.169.254", "::ffff:169.254.169.253"), "169.254.169.254, ::ffff:169.254.169.253", false},
		"IPv6 of a link": {resolvConf("fe80::1", "fe80::1%eth0"), "", false},
		"the loopback":   {resolvConf("127.0.0.53", "::1", "0.0.0.0"), "", true},
	} {
		usable, loopback := usableServers(c.resolv)
		require.Equal(t, c.want, joinAddrs(usable), name)
		require.Equal(t, c.loopback, loopback, name)
	}
}

func FuzzServers(f *testing.F) {
	f.Add(resolvConf("192.0.2.53", "fe80::1%eth0", "x"))
	f.Fuzz(func(t *testing.T, text string) {
		for _, a := range servers(text) {
			require.True(t, a.IsValid() && a.Zone() == "")
		}
	})
}
