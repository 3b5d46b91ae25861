package engine

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// generated draws createOptions of which each field may be fine, at its bound, or nonsense.
func generated(t *rapid.T, dir string) map[string]any {
	number := rapid.SampledFrom([]any{-2, -1, 0, 1, 10, 999, 1000, 4 << 20, 6 << 20, 64 << 20, 128 << 20, int64(1 << 40), int64(1 << 62), 10_000_000, 500_000_000, 2_000_000_000, 2_000_000_001, "x", 1.5, nil})
	word := rapid.SampledFrom([]any{"", "host", "private", "none", "container:other", "container:temp", "x", "a b", "0", "0-1", "0,7", "1-", "ALL", "NET_ADMIN", "nofile", "/", "/a", "/run", "/run/edged/x", "/a/b", "\x00", "rw,size=1m", 5, nil})
	path := rapid.SampledFrom([]any{"/a", "/a/b", "/run", "/run/edged", "/dev/shm", "relative", "", "/x y", nil})
	host := map[string]any{}
	maybe := func(into map[string]any, name string, value func() any) {
		if rapid.IntRange(0, 15).Draw(t, name+"?") == 15 {
			into[name] = value()
		}
	}
	for _, name := range []string{
		"Memory", "MemorySwap", "MemoryReservation", "MemorySwappiness", "NanoCpus", "CpuShares", "CpuPeriod", "CpuQuota", "PidsLimit", "OomScoreAdj", "ShmSize", "Umask", "BlkioWeight", "CpuRealtimePeriod",
	} {
		maybe(host, name, func() any { return number.Draw(t, name) })
	}
	for _, name := range []string{"CpusetCpus", "CpusetMems", "IpcMode", "PidMode", "UTSMode", "UsernsMode", "CgroupnsMode", "NetworkMode", "CgroupParent", "Runtime", "Isolation"} {
		maybe(host, name, func() any { return word.Draw(t, name) })
	}
	for _, name := range []string{"CapAdd", "CapDrop", "GroupAdd", "SecurityOpt", "DeviceCgroupRules", "MaskedPaths", "ReadonlyPaths"} {
		maybe(host, name, func() any { return []any{word.Draw(t, name), word.Draw(t, name)} })
	}
	for _, name := range []string{"Privileged", "ReadonlyRootfs", "OomKillDisable", "Init", "AutoRemove"} {
		maybe(host, name, func() any { return rapid.Bool().Draw(t, name) })
	}
	maybe(host, "Ulimits", func() any {
		return []any{map[string]any{"Name": word.Draw(t, "ulimit"), "Soft": number.Draw(t, "soft"), "Hard": number.Draw(t, "hard")}}
	})
	maybe(host, "Tmpfs", func() any { return map[string]any{fmt.Sprint(path.Draw(t, "tmpfs")): word.Draw(t, "tmpfs options")} })
	maybe(host, "Sysctls", func() any {
		return map[string]any{rapid.SampledFrom([]string{"net.a", "kernel.msgmax", "kernel.pid_max", "x"}).Draw(t, "sysctl"): word.Draw(t, "value")}
	})
	maybe(host, "Binds", func() any {
		return []any{fmt.Sprintf("%s/made/%d:%v", dir, rapid.IntRange(0, 9).Draw(t, "source"), path.Draw(t, "target"))}
	})
	maybe(host, "Devices", func() any {
		return []any{map[string]any{"PathOnHost": rapid.SampledFrom([]string{"/dev/full", "/dev/none", "null"}).Draw(t, "device"), "PathInContainer": path.Draw(t, "inside"), "CgroupPermissions": word.Draw(t, "permissions")}}
	})
	top := map[string]any{"HostConfig": host}
	for _, name := range []string{"Hostname", "Domainname", "User", "StopSignal"} {
		maybe(top, name, func() any { return word.Draw(t, name) })
	}
	for _, name := range []string{"Tty", "OpenStdin", "NetworkDisabled"} {
		maybe(top, name, func() any { return rapid.Bool().Draw(t, name) })
	}
	return top
}

func TestWhatIsRefusedLeavesNoTraceAndWhatIsAcceptedIsInTheSpec(t *testing.T) {
	e, dir := engineIn(t)
	program := filepath.Join(dir, "init")
	require.NoError(t, os.WriteFile(program, nil, 0o755))
	e.inits = []string{program}
	before := tree(t, dir)
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		options := generated(t, dir)
		raw, err := json.Marshal(options)
		require.NoError(t, err)
		spec := specWith(string(raw))
		_, err = e.Check(spec)
		require.Equal(t, before, tree(t, dir), "a check makes nothing")
		if err != nil {
			require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
			require.Regexp(t, `createOptions|duplicate mount point|capability`, err.Error(), "what to mend is named")
			return
		}
		if user, _ := options["User"].(string); user != "" && user != "app" {
			return // known to the image alone
		}
		if groups, _ := options["HostConfig"].(map[string]any)["GroupAdd"].([]any); slices.ContainsFunc(groups, func(g any) bool { return g != "0" }) {
			return
		}
		s, err := specFor(e, spec)
		require.NoError(t, err, "what was checked can be made: %s", raw)
		accepted++
		text, err := json.Marshal(s)
		require.NoError(t, err)
		o, _, err := parseOptions(raw)
		require.NoError(t, err)
		h := &o.HostConfig
		r := s.Linux.Resources
		require.Equal(t, h.Memory > 0, r.Memory != nil && r.Memory.Limit != nil && *r.Memory.Limit == h.Memory)
		require.Equal(t, h.NanoCPUs > 0 || h.CPUQuota != 0, r.CPU != nil && r.CPU.Quota != nil)
		require.Equal(t, h.PidsLimit != nil && *h.PidsLimit > 0, r.Pids != nil)
		require.Equal(t, h.OomScoreAdj, *s.Process.OOMScoreAdj)
		require.Equal(t, o.Tty, s.Process.Terminal)
		require.Equal(t, h.ReadonlyRootfs, s.Root.Readonly)
		for target := range h.Tmpfs {
			require.Contains(t, string(text), `"destination":"`+filepath.Clean(target)+`","type":"tmpfs"`)
		}
		for _, b := range h.Binds {
			require.Contains(t, string(text), `"source":"`+strings.SplitN(b, ":", 2)[0]+`"`)
		}
		for _, d := range h.Devices {
			if d.PathInContainer != "" {
				require.Contains(t, string(text), `"path":"`+filepath.Clean(d.PathInContainer)+`"`)
			}
		}
		for name, value := range h.Sysctls {
			require.Equal(t, value, s.Linux.Sysctl[name])
		}
		last := s.Mounts[len(s.Mounts)-1]
		require.True(t, last.Source == sockets || last.Destination == initInside, "nothing lies over the sockets")
	})
	require.Positive(t, accepted, "some of it is good")
}

// tree is every path below a folder.
func tree(t require.TestingT, dir string) []string {
	var all []string
	require.NoError(t, filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		all = append(all, p)
		return err
	}))
	return all
}
