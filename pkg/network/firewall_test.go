package network

import (
	"net/netip"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestTheFilterIsPutBackAndTakenAway runs the real iptables, in a network namespace of its own.
func TestTheFilterIsPutBackAndTakenAway(t *testing.T) {
	require.NoError(t, inOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		filterInOwnNamespace(t)
		return nil
	}), "the tests run as root")
}

func filterInOwnNamespace(t *testing.T) {
	ctx := t.Context()
	save := func() string {
		out, err := exec.Command("iptables-save").Output()
		if err != nil {
			t.Error("iptables is installed by make deps:", err)
		}
		return string(out)
	}
	step := func(what string, ok bool) {
		if !ok {
			t.Errorf("%s:\n%s", what, save())
		}
	}
	f := newFirewall("edged0", netip.MustParsePrefix("172.30.0.0/16"), netip.MustParsePrefix("fd00::/64"))
	ports := []published{{proto: "tcp", port: 8080, to: netip.MustParseAddrPort("172.30.0.2:80")}}
	step("apply", f.apply(ctx, func() []published { return ports }) == nil)
	first := f.families[0].read(save())
	step("all hooks are there", len(first.hooks) == 5 && len(f.families[0].missing(first)) == 0)
	mended, err := f.check(ctx)
	step("nothing to mend", err == nil && !mended)
	mended, err = f.check(ctx)
	step("nor later", err == nil && !mended)

	// As firewalld and iptables-restore do when they begin anew.
	for _, table := range []string{"raw", "filter", "nat"} {
		step("flush", exec.Command("iptables", "-t", table, "-F").Run() == nil)
	}
	mended, err = f.check(ctx)
	step("mended", err == nil && mended)
	again := f.families[0].read(save())
	step("as before", len(again.hooks) == 5 && len(again.lines) == len(first.lines))

	// Another edged after a crash: it finds the hooks and makes no second ones.
	f = newFirewall("edged0", netip.MustParsePrefix("172.30.0.0/16"), netip.MustParsePrefix("fd00::/64"))
	step("apply again", f.apply(ctx, func() []published { return nil }) == nil)
	again = f.families[0].read(save())
	step("one hook each, and no port", len(again.hooks) == 5 && len(again.lines) == len(first.lines)-1)
	step("clear", f.clear(ctx) == nil)
	step("nothing is left", !f.families[0].read(save()).any)
	step("clear nothing", f.clear(ctx) == nil)
}
