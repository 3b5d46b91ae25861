package access

import (
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/peer"
)

func inside(name string) peer.Caller {
	return peer.Caller{Kind: peer.Module, Instance: &peer.Instance{Module: name, Generation: 1, ContainerID: name + "-g1"}}
}

func host(uid uint32, groups ...uint32) peer.Caller {
	return peer.Caller{Kind: peer.Host, UID: uid, GID: uid, Groups: groups}
}

// The callers of every rule's test. A module runs as uid 0 and in group 4242, and
// says so of unknown ones too: nothing may follow from that.
var callers = map[string]peer.Caller{
	"agent":            inside("edgeAgent"),
	"target":           inside("target"),
	"other":            inside("other"),
	"case":             inside("EdgeAgent"),
	"granted module":   func() peer.Caller { c := inside("granted"); c.UID = 7; return c }(),
	"module of group":  func() peer.Caller { c := inside("other"); c.GID, c.Groups = 4242, []uint32{4242}; return c }(),
	"root":             host(0),
	"granted user":     host(1000),
	"by group":         host(1001, 27, 4242),
	"by primary group": {Kind: peer.Host, UID: 1002, GID: 4242},
	"user":             host(1003, 27),
	"unknown":          {},
	"unknown root":     {UID: 0, GID: 4242, Groups: []uint32{4242}, Reason: peer.ReasonForeignContainer},
	"gone agent":       {Reason: peer.ReasonGone, Instance: &peer.Instance{Module: "edgeAgent"}},
	"no instance":      {Kind: peer.Module},
	"nonsense kind":    {Kind: 77, UID: 0},
}

var grants = []Grant{
	{Permissions: []Permission{ViewClusterModules}, Modules: []string{"granted"}, UIDs: []uint32{1000}, GIDs: []uint32{4242}},
	{Permissions: nil, UIDs: []uint32{1003}},
	{Permissions: []Permission{CatalogWrite}},
}

func TestEveryRuleForEveryCaller(t *testing.T) {
	known := []string{"agent", "target", "other", "case", "granted module", "module of group", "root", "granted user", "by group", "by primary group", "user"}
	for _, tc := range []struct {
		rule   Rule
		target string
		want   []string
	}{
		{Known, "", known},
		{Known, "target", known},
		{Agent, "", []string{"agent"}},
		{Agent, "target", []string{"agent"}},
		{Agent, "edgeAgent", []string{"agent"}},
		{Lifecycle, "target", known},
		{Lifecycle, "", known},
		{Lifecycle, "edgeAgent", []string{"agent", "root", "granted user", "by group", "by primary group", "user"}},
		{Known, "osgiHost", []string{"agent", "root", "by group", "by primary group"}},
		{Lifecycle, "osgiHost", []string{"agent", "root", "by group", "by primary group"}},
		{Root, "", []string{"root"}},
		{Root, "edgeAgent", []string{"root"}},
		{Operator, "", []string{"agent", "root", "by group", "by primary group"}},
		{Operator, "edgeAgent", []string{"agent", "root", "by group", "by primary group"}},
		{Named, "target", []string{"target"}},
		{Named, "edgeAgent", []string{"agent"}},
		{Named, "", nil},
		{Permitted(ViewClusterModules), "", []string{"granted module", "granted user", "by group", "by primary group"}},
		{Permitted(CatalogWrite), "", nil},
		{Rule{}, "", nil},
	} {
		d := New(grants)
		d.SetOperators(4242)
		var got []string
		for name, c := range callers {
			err := d.Decide(tc.rule, c, tc.target)
			if err == nil {
				got = append(got, name)
				continue
			}
			require.True(t, errdefs.IsPermissionDenied(err))
			var refusal *Refusal
			require.ErrorAs(t, err, &refusal)
			require.NotEmpty(t, refusal.Reason, name)
			require.Equal(t, tc.rule.Name(), refusal.Rule)
			if c.Reason != "" {
				require.Equal(t, c.Reason, refusal.Reason)
			}
		}
		require.ElementsMatch(t, tc.want, got, "rule %s, target %q", tc.rule.Name(), tc.target)
	}
}

func TestWhoHoldsAnyPermission(t *testing.T) {
	d := New(grants)
	var got []string
	for name, c := range callers {
		if d.HasAny(c) {
			got = append(got, name)
		}
	}
	require.ElementsMatch(t, []string{"granted module", "granted user", "by group", "by primary group"}, got, "a grant of nothing is none")
	for _, c := range callers {
		require.False(t, New(nil).HasAny(c))
	}
}

func TestGrantsAreReplacedWhileOthersAsk(t *testing.T) {
	d := New(nil)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				_ = d.Decide(Permitted(ViewClusterModules), host(1000), "")
			}
		})
	}
	for range 100 {
		d.SetGrants(grants)
		d.SetGrants(nil)
	}
	wg.Wait()
	d.SetGrants(grants)
	require.NoError(t, d.Decide(Permitted(ViewClusterModules), host(1000), ""))
	d.SetGrants(nil)
	require.Error(t, d.Decide(Permitted(ViewClusterModules), host(1000), ""))
}

func TestWithoutAGroupOnlyRootAndTheAgentOperate(t *testing.T) {
	for _, d := range []*Decider{New(grants), func() *Decider { d := New(nil); d.SetOperators(); return d }()} {
		var got []string
		for name, c := range callers {
			if d.Decide(Operator, c, "") == nil {
				got = append(got, name)
			}
		}
		require.ElementsMatch(t, []string{"agent", "root"}, got)
	}
}

func TestRulesHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range []Rule{Known, Agent, Lifecycle, Operator, Root, Named, Permitted(AdminTemplates), Permitted(UpdateCluster)} {
		require.False(t, r.IsZero())
		require.False(t, seen[r.Name()])
		seen[r.Name()] = true
	}
	require.True(t, Rule{}.IsZero())
}

func TestServerNamesAreGrantedToModulesAlone(t *testing.T) {
	d := New([]Grant{{ServerNames: []string{"*.plant.example", "hub.example", "10.0.0.1"}, Modules: []string{"target"}, UIDs: []uint32{0}}})
	for name, want := range map[string]bool{
		"hub.example": true, "HUB.Example": true, "10.0.0.1": true, "a.plant.example": true, "*.plant.example": true,
		"plant.example": false, "a.b.plant.example": false, "hub.example.": false, "xhub.example": false, "10.0.0.2": false, "": false, "*.a.plant.example": false,
	} {
		require.Equal(t, want, d.MayServe(inside("target"), name), name)
		require.False(t, d.MayServe(inside("other"), name), name)
		require.False(t, d.MayServe(host(0), name), name)
	}
}
