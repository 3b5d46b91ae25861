package network

import (
	"context"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/network/netns"
)

// TestTheFilterIsPutBackAndTakenAway runs the real iptables, in a network namespace of its own.
func TestTheFilterIsPutBackAndTakenAway(t *testing.T) {
	require.NoError(t, netns.Thread(func() error {
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
	f := newFirewall(nil, "edged0", netip.MustParsePrefix("172.30.0.0/16"), netip.MustParsePrefix("fd00::/64"), logrus.New())
	ports := []published{{proto: "tcp", port: 8080, to: netip.MustParseAddrPort("172.30.0.2:80")}}
	wanted := func() []published { return ports }
	step("apply", f.apply(ctx, wanted) == nil)
	first := f.families[0].read(save())
	step("all hooks are there", len(first.hooks) == 5 && f.families[0].missing(first).none())
	mended, err := f.check(ctx, wanted)
	step("nothing to mend", err == nil && !mended)
	mended, err = f.check(ctx, wanted)
	step("nor later", err == nil && !mended)

	// As firewalld and iptables-restore do when they begin anew.
	for _, table := range []string{"raw", "filter", "nat"} {
		step("flush", exec.Command("iptables", "-t", table, "-F").Run() == nil)
	}
	mended, err = f.check(ctx, wanted)
	step("mended", err == nil && mended)
	again := f.families[0].read(save())
	step("as before", len(again.hooks) == 5 && len(again.lines) == len(first.lines))

	// Another edged after a crash: it finds the hooks and makes no second ones.
	f = newFirewall(nil, "edged0", netip.MustParsePrefix("172.30.0.0/16"), netip.MustParsePrefix("fd00::/64"), logrus.New())
	step("apply again", f.apply(ctx, func() []published { return nil }) == nil)
	again = f.families[0].read(save())
	step("one hook each, and no port", len(again.hooks) == 5 && len(again.lines) == len(first.lines)-1)
	step("clear", f.clear(ctx) == nil)
	step("nothing is left", !f.families[0].read(save()).any)
	step("clear nothing", f.clear(ctx) == nil)

	// Somebody else removes the rules, then the last module goes, then the next comes.
	step("apply", f.apply(ctx, wanted) == nil)
	removeRules(step, f.families[0], save())
	step("clear what is not there", f.clear(ctx) == nil)
	step("apply after that", f.apply(ctx, wanted) == nil)
	step("a module that comes has its filter", len(f.families[0].read(save()).hooks) == 5)

	// What the operator forbids modules is never touched.
	allow := func(args ...string) bool { return exec.Command("iptables", args...).Run() == nil }
	step("forbid", allow("-A", "EDGED-USER-edged0", "-d", "192.0.2.0/24", "-j", "DROP"))
	mended, err = f.check(ctx, wanted)
	step("that is no change of edged's rules", err == nil && !mended)
	step("write all", f.families[0].write(ctx, true) == nil)
	step("clear", f.clear(ctx) == nil)
	step("nothing of edged's is left", !f.families[0].read(save()).any)
	step("apply after that", f.apply(ctx, wanted) == nil)
	step("kept over all", strings.Contains(save(), "-A EDGED-USER-edged0 -d 192.0.2.0/24 -j DROP"))
	step("allow", allow("-F", "EDGED-USER-edged0"))
	step("clear all", f.clear(ctx) == nil)
	step("one without rules is left to nobody", !strings.Contains(save(), "EDGED-USER"))

	// Somebody removed chains and all, and a port is published before the next look.
	step("apply", f.apply(ctx, wanted) == nil)
	removeRules(step, f.families[0], save())
	step("fewer ports", f.apply(ctx, func() []published { return nil }) == nil)
	again = f.families[0].read(save())
	step("with all they stand on", len(again.hooks) == 5 && again.user)

	// A write fails, of which the families after it hear nothing either.
	removeRules(step, f.families[0], save())
	program := f.families[0].program
	f.families[0].program, f.families[0].applied = "no-such-iptables", ""
	f.families[1].applied = ""
	step("a write fails", f.apply(ctx, wanted) != nil)
	_, err = f.check(ctx, wanted)
	step("a check says so", err != nil)
	f.families[0].program = program
	mended, err = f.check(ctx, wanted)
	step("written by the check, and nobody else is blamed", err == nil && !mended)
	again = f.families[0].read(save())
	step("all of it", len(again.hooks) == 5 && len(again.lines) == len(first.lines))
	step("and of the other family", f.families[1].applied != "")
}

// removeRules does as a tool that begins anew: chains and all are gone.
func removeRules(step func(string, bool), fam *family, saved string) {
	step("remove", fam.restore(context.Background(), fam.remove(fam.read(saved))) == nil)
}
