package peer

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestMatchIsAnchoredShallowestAndUnanimous(t *testing.T) {
	table := fixtureTable(t)
	for _, tc := range []struct {
		name, cgroup string
		want         string
		err          error
	}{
		{"exact", "0::/edged/tempSensor-1\n", "tempSensor", nil},
		{"below", "0::/edged/tempSensor-1/a/b\n", "tempSensor", nil},
		{"without a final newline", "0::/edged/tempSensor-1", "tempSensor", nil},
		{"whole components only", "0::/edged/tempSensor-12\n", "", ErrNoInstance},
		{"not above", "0::/edged\n", "", ErrNoInstance},
		{"not elsewhere", "0::/a/edged/tempSensor-1\n", "", ErrNoInstance},
		{"nearest to the root", "0::/edged/tempSensor-1/edged/victim-1\n", "tempSensor", nil},
		{"lines without a match do not count", "2:pids:/\n1:misc:/x\n0::/edged/victim-1\n", "victim", nil},
		{"two lines of one instance", "2:pids:/edged/victim-1/x\n0::/edged/victim-1\n", "victim", nil},
		{"two instances", "2:pids:/edged/victim-1\n0::/edged/tempSensor-1\n", "", ErrDisagree},
		{"colon in the path", "0::/edged/tempSensor-1/a:b\n", "tempSensor", nil},
		{"path begins with a colon's component", "0::/:/edged/victim-1\n", "", ErrNoInstance},
		{"deleted", "0::/edged/victim-1 (deleted)\n", "", ErrDeleted},
		{"another line deleted", "2:pids:/x (deleted)\n0::/edged/victim-1\n", "", ErrDeleted},
		{"above the root", "0::/..\n", "", ErrOutside},
		{"above the root and back", "0::/../edged/victim-1\n", "", ErrOutside},
		{"up again below", "0::/edged/victim-1/../tempSensor-1\n", "", ErrOutside},
		{"name of dots", "0::/edged/victim-1/...\n", "victim", nil},
		{"two fields", "0:/edged/victim-1\n", "", ErrMalformed},
		{"relative", "0::edged/victim-1\n", "", ErrMalformed},
		{"empty path", "0::\n", "", ErrMalformed},
		{"empty line", "0::/edged/victim-1\n\n", "", ErrMalformed},
		{"empty", "", "", ErrMalformed},
		{"too many lines", strings.Repeat("0::/edged/victim-1\n", maxCgroupLines+1), "", ErrMalformed},
		{"doubled slash", "0::/edged//victim-1\n", "", ErrNoInstance},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in, err := table.Match([]byte(tc.cgroup))
			if tc.err != nil {
				require.ErrorIs(t, err, tc.err)
				require.Nil(t, in)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, in.Module)
		})
	}
}

func TestAddRefusesPathsThatMeet(t *testing.T) {
	for _, tc := range []struct {
		name, path string
		class      func(error) bool
		says       string
	}{
		{"equal", "/edged/a-1", errdefs.IsFailedPrecondition, `module "a"`},
		{"below", "/edged/a-1/b-1", errdefs.IsFailedPrecondition, `module "a"`},
		{"above", "/edged", errdefs.IsFailedPrecondition, `module "a"`},
		{"where host services are", "/system.slice/cron.service/b-1", errdefs.IsFailedPrecondition, "host's own"},
		{"where host users are", "/user.slice/b-1", errdefs.IsFailedPrecondition, "host's own"},
		{"root", "/", errdefs.IsInvalidArgument, ""},
		{"relative", "edged/b-1", errdefs.IsInvalidArgument, ""},
		{"above the root", "/../b-1", errdefs.IsInvalidArgument, ""},
		{"deleted", "/edged/b-1 (deleted)", errdefs.IsInvalidArgument, ""},
		{"trailing slash", "/edged/b-1/", errdefs.IsInvalidArgument, ""},
		{"empty", "", errdefs.IsInvalidArgument, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			table := NewTable("edged")
			require.NoError(t, table.Add(&Instance{Module: "a", ContainerID: "a-1", Paths: []string{"/edged/a-1"}}))
			err := table.Add(&Instance{Module: "b", ContainerID: "b-1", Paths: []string{"/other/fine", tc.path}})
			require.True(t, tc.class(err), err)
			require.ErrorContains(t, err, tc.says)
			require.Equal(t, 1, table.Len())
			_, err = table.Match([]byte("0::/other/fine\n"))
			require.ErrorIs(t, err, ErrNoInstance, "half an instance was recorded")
		})
	}
}

func TestAddTakesNeighbours(t *testing.T) {
	table := NewTable("edged")
	for _, path := range []string{"/edged/a-1", "/edged/a-12", "/edged/a", "/system.slice/edged-a.scope", "/user.slice/edged-b.scope", "/system.slice/odd-1"} {
		id := path[strings.LastIndexByte(path, '/')+1:]
		require.NoError(t, table.Add(&Instance{Module: "m", ContainerID: id, Paths: []string{path}}), path)
	}
	require.Equal(t, 6, table.Len())
}

func TestAddRefusesIncompleteAndRepeatedInstances(t *testing.T) {
	table := NewTable("edged")
	for _, in := range []*Instance{
		nil,
		{Module: "a", ContainerID: "a-1"},
		{ContainerID: "a-1", Paths: []string{"/edged/a-1"}},
		{Module: "a", Paths: []string{"/edged/a-1"}},
		{Module: "a", ContainerID: "a/1", Paths: []string{"/edged/a-1"}},
	} {
		require.True(t, errdefs.IsInvalidArgument(table.Add(in)), in)
	}
	require.NoError(t, table.Add(&Instance{Module: "a", ContainerID: "a-1", Paths: []string{"/edged/a-1"}}))
	err := table.Add(&Instance{Module: "a", ContainerID: "a-1", Paths: []string{"/other/a-1"}})
	require.True(t, errdefs.IsAlreadyExists(err), err)
}

func TestCurrentIsAboutTheObject(t *testing.T) {
	table := NewTable("edged")
	in := &Instance{Module: "a", ContainerID: "a-1", Paths: []string{"/edged/a-1", "/custom/a-1"}}
	require.NoError(t, table.Add(in))
	require.True(t, table.Current(in))
	same := *in
	require.False(t, table.Current(&same))
	require.False(t, table.Current(nil))

	table.Remove("a-1")
	table.Remove("a-1")
	require.False(t, table.Current(in))
	require.Zero(t, table.Len())
	_, err := table.Match([]byte("0::/custom/a-1\n"))
	require.ErrorIs(t, err, ErrNoInstance)

	require.NoError(t, table.Add(&same), "the id is free again")
	require.False(t, table.Current(in), "the earlier one stays stale")
	require.True(t, table.Current(&same))
}

func TestCustomParentsStayEdgedsOwn(t *testing.T) {
	table := NewTable("edged")
	require.NoError(t, table.Add(&Instance{Module: "a", ContainerID: "a-1", Paths: []string{"/plant/line1/a-1"}}))
	table.Remove("a-1")
	s := table.current.Load()
	require.True(t, s.belowParent([]byte("/plant/line1/a-1/x")))
	require.True(t, s.belowParent([]byte("/plant/line1")))
	require.False(t, s.belowParent([]byte("/plant")))
	require.False(t, s.belowParent([]byte("/plant/line10/x")))

	// The host's own slices are never remembered: every host process is below them.
	for _, path := range []string{"/system.slice/b-1", "/system.slice/edged-b-1.scope", "/b-1", "/edged/b-1"} {
		table := NewTable("edged")
		require.NoError(t, table.Add(&Instance{Module: "b", ContainerID: "b-1", Paths: []string{path}}))
		require.Empty(t, table.current.Load().parents, path)
	}
}

func TestTableIsReadWhileItIsWritten(t *testing.T) {
	table := NewTable("edged")
	stays := &Instance{Module: "stays", ContainerID: "stays-1", Paths: []string{"/edged/stays-1"}}
	require.NoError(t, table.Add(stays))
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				in, err := table.Match([]byte("0::/edged/stays-1\n"))
				if err != nil || in != stays || !table.Current(in) {
					t.Error("the instance was not there for a moment:", err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 300 {
		id := fmt.Sprintf("m-%d", i)
		require.NoError(t, table.Add(&Instance{Module: "m", ContainerID: id, Paths: []string{"/edged/" + id}}))
		if i%2 == 0 {
			table.Remove(id)
		}
	}
	close(done)
	readers.Wait()
	require.Equal(t, 151, table.Len())
}

func TestAHostilePathCostsNoMoreThanTheLongestRecorded(t *testing.T) {
	table := fixtureTable(t)
	deep := []byte("0::/" + strings.Repeat("a/", 2000) + "a\n")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := table.Match(deep); err == nil {
			t.Fatal("a match")
		}
	}))
}

func FuzzCgroup(f *testing.F) {
	for _, scenario := range []string{
		"module-cgroupfs-hybrid", "attack-nested-victim", "attack-hierarchy-disagree", "attack-colon-in-user-path", "zombie-deleted",
		"outside-cgroup-namespace", "host-session-hybrid", "kubernetes-systemd-v2", "malformed-no-colon",
	} {
		f.Add(fixture(f, scenario, "cgroup"))
	}
	table := fixtureTable(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := table.Match(b)
		require.Equal(t, err == nil, in != nil)
		for _, owner := range []hierarchy{unified, named, unmanaged} {
			if hostCgroup(b, owner, "edged", table.current.Load()) {
				require.ErrorIs(t, err, ErrNoInstance, "a module's process passes for the host's")
				require.False(t, bytes.Contains(b, []byte("/docker/")))
			}
		}
		if err != nil {
			return
		}
		// The same answer as by the plain definition: every line's shallowest recorded path, and at least one.
		hits := map[string]bool{}
		for line := range strings.SplitSeq(strings.TrimSuffix(string(b), "\n"), "\n") {
			fields := strings.SplitN(line, ":", 3)
			require.Len(t, fields, 3)
			require.NotContains(t, fields[2]+"/", "/../")
			prefix := ""
			for _, component := range strings.Split(fields[2], "/")[1:] {
				prefix += "/" + component
				if hit := table.current.Load().byPath[prefix]; hit != nil {
					hits[hit.ContainerID] = true
					break
				}
			}
		}
		require.Equal(t, map[string]bool{in.ContainerID: true}, hits)
	})
}
