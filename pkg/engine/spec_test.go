package engine

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	eventtypes "github.com/containerd/containerd/api/events"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/containerd/v2/pkg/cap"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/errdefs"
	"github.com/containerd/typeurl/v2"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/network"
)

// apply runs spec options on a spec as containerd's client begins it.
func apply(t *testing.T, opts ...oci.SpecOpts) *oci.Spec {
	t.Helper()
	s := &oci.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"}}}, Linux: &specs.Linux{}}
	for _, o := range opts {
		require.NoError(t, o(t.Context(), nil, &ociContainer{}, s))
	}
	return s
}

func TestEnvironmentsAreMergedByKey(t *testing.T) {
	for _, tc := range []struct {
		lists [][]string
		want  []string
	}{
		{nil, nil},
		{[][]string{{"A=1", "B=2"}, {"A=3", "C=4"}}, []string{"A=3", "B=2", "C=4"}},
		{[][]string{{"A=1"}, {"A"}}, nil},
		{[][]string{{"A=1"}, {"A"}, {"A=2"}}, []string{"A=2"}},
		{[][]string{{"A"}, {""}, {"B="}}, []string{"B="}},
		{[][]string{{"A=1", "A=2"}}, []string{"A=2"}},
		{[][]string{{"a=1"}, {"A=2"}}, []string{"a=1", "A=2"}},
		{[][]string{{"A=b=c"}}, []string{"A=b=c"}},
	} {
		require.ElementsMatch(t, tc.want, mergeEnv(tc.lists...), "%v", tc.lists)
	}
}

func TestProcessesAreDockers(t *testing.T) {
	image := ocispec.ImageConfig{Entrypoint: []string{"/entry"}, Cmd: []string{"cmd"}, WorkingDir: "/image", Env: []string{"PATH=/image", "FROM=image", "IOTEDGE_MODULEID=image"}}
	for _, tc := range []struct {
		name, options string
		args          []string
		cwd           string
	}{
		{"the image's", `{}`, []string{"/entry", "cmd"}, "/image"},
		{"another Cmd", `{"Cmd":["x"]}`, []string{"/entry", "x"}, "/image"},
		{"an Entrypoint clears the image's Cmd", `{"Entrypoint":["/e"]}`, []string{"/e"}, "/image"},
		{"both", `{"Entrypoint":"/e","Cmd":["x","y"]}`, []string{"/e", "x", "y"}, "/image"},
		{"an empty Entrypoint takes the image's away", `{"Entrypoint":[""],"Cmd":["/x"]}`, []string{"/x"}, "/image"},
		{"and as a string", `{"Entrypoint":"","Cmd":["/x"]}`, []string{"/x"}, "/image"},
		{"another folder", `{"WorkingDir":"/w/../x"}`, []string{"/entry", "cmd"}, "/x"},
		{"a folder without a slash", `{"WorkingDir":"w"}`, []string{"/entry", "cmd"}, "/w"},
	} {
		o, _, err := parseOptions([]byte(tc.options))
		require.NoError(t, err)
		s := apply(t, withProcess(&module.Container{ID: "temp-1-g1"}, o, image))
		require.Equal(t, tc.args, s.Process.Args, tc.name)
		require.Equal(t, tc.cwd, s.Process.Cwd, tc.name)
	}
}

func TestIdentityWinsOverEveryOtherEnvironment(t *testing.T) {
	o, _, err := parseOptions([]byte(`{"Env":["FROM=options","ONLY=options","IOTEDGE_MODULEID=options","GONE"]}`))
	require.NoError(t, err)
	c := &module.Container{ID: "temp-1-g1", Identity: []string{"IOTEDGE_MODULEID=temp"}, Spec: module.Spec{Name: "temp", Env: []module.EnvVar{{Key: "FROM", Value: "config"}, {Key: "IOTEDGE_MODULEID", Value: "config"}}}}
	s := apply(t, withProcess(c, o, ocispec.ImageConfig{Env: []string{"FROM=image", "GONE=image"}}))
	require.Equal(t, []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=" + module.DefaultHostname("temp"), "FROM=config", "ONLY=options", "IOTEDGE_MODULEID=temp"}, s.Process.Env)
}

func TestCapabilitiesAreDockers(t *testing.T) {
	e, _ := engineIn(t)
	for options, want := range map[string][]string{
		`{}`:                                 {"CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"},
		`{"CapDrop":["net_raw"]}`:            {"CAP_CHOWN", "CAP_KILL"},
		`{"CapAdd":["SYS_TIME","cap_kill"]}`: {"CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SYS_TIME"},
		`{"CapDrop":["ALL"]}`:                nil,
		`{"CapDrop":["all"],"CapAdd":["CAP_SYS_TIME"]}`:  {"CAP_SYS_TIME"},
		`{"CapDrop":["SYS_TIME"],"CapAdd":["SYS_TIME"]}`: {"CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SYS_TIME"},
	} {
		o, _, err := parseOptions([]byte(`{"HostConfig":` + options + `}`))
		require.NoError(t, err)
		s := apply(t, e.withCaps(o))
		require.ElementsMatch(t, want, s.Process.Capabilities.Bounding, options)
		require.ElementsMatch(t, want, s.Process.Capabilities.Effective, options)
	}
	o, _, err := parseOptions([]byte(`{"HostConfig":{"CapAdd":["ALL"],"CapDrop":["CHOWN"]}}`))
	require.NoError(t, err)
	s := apply(t, e.withCaps(o))
	require.Equal(t, []string{"CAP_SYS_ADMIN", "CAP_SYS_BOOT"}, s.Process.Capabilities.Bounding)

	s, err = specFor(e, specWith(`{"HostConfig":{"Privileged":true}}`))
	require.NoError(t, err)
	require.Equal(t, heldCaps, s.Process.Capabilities.Bounding, "what containerd holds, and not this process")
}

func TestCapabilitiesAreThoseOfWhoListens(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer l.Close()
	own, err := cap.Current()
	require.NoError(t, err)
	caps, err := capsBehind(socket)
	require.NoError(t, err)
	require.Equal(t, own, caps)

	require.NoError(t, l.Close())
	_, err = capsBehind(socket)
	require.True(t, errdefs.IsUnavailable(err), err)
}

func TestHostnames(t *testing.T) {
	own, err := os.Hostname()
	require.NoError(t, err)
	for _, tc := range []struct{ name, options, want string }{
		{"temp", `{}`, strings.TrimSuffix(module.ContainerID("temp", 1), "-g1")},
		{"my-gateway", `{}`, strings.TrimSuffix(module.ContainerID("my-gateway", 1), "-g1")},
		{"Temp", `{}`, strings.ToLower(strings.TrimSuffix(module.ContainerID("Temp", 1), "-g1"))},
		{"temp", `{"Hostname":"h"}`, "h"},
		{"temp", `{"HostConfig":{"NetworkMode":"host"}}`, own},
		{"temp", `{"Hostname":"h","HostConfig":{"NetworkMode":"host"}}`, "h"},
	} {
		o, _, err := parseOptions([]byte(tc.options))
		require.NoError(t, err)
		got := hostname(tc.name, o)
		require.Equal(t, tc.want, got)
		if !strings.Contains(tc.options, "host\"") {
			require.True(t, network.ValidName(got), got)
		}
	}
}

func TestCgroupPathsAreEdgedsChoice(t *testing.T) {
	for _, tc := range []struct {
		systemd      bool
		parent, want string
	}{
		{false, "", "/edged/temp-g1"},
		{false, "/x/y", "/x/y/temp-g1"},
		{false, "x", "/x/temp-g1"},
		{false, "../../x", "/x/temp-g1"},
		{true, "", "system.slice:edged:temp-g1"},
		{true, "x.slice", "x.slice:edged:temp-g1"},
	} {
		e := &Engine{Config: Config{Namespace: "edged", SystemdCgroup: tc.systemd}}
		require.Equal(t, tc.want, apply(t, e.withCgroup("temp-g1", tc.parent)).Linux.CgroupsPath)
	}
}

func TestModulesHaveFilesOfTheirOwn(t *testing.T) {
	e, _ := engineIn(t)
	mounts, err := e.networkFiles("temp-1-g1", "h")
	require.NoError(t, err)
	require.NoError(t, e.writeNetworkFiles("temp-1-g1", "h", network.Files{Hosts: []byte("hosts"), Resolv: []byte("resolv")}))
	want := map[string]string{"/etc/hosts": "hosts", "/etc/hostname": "h\n", "/etc/resolv.conf": "resolv"}
	require.Len(t, mounts, len(want))
	for _, m := range mounts {
		text, err := os.ReadFile(m.Source)
		require.NoError(t, err)
		require.Equal(t, want[m.Destination], string(text))
		info, err := os.Stat(m.Source)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o644), info.Mode().Perm())
	}
	require.Equal(t, mounts[0].Source, HostsFile(e.Home, "temp-1-g1"))
	info, err := os.Stat(filepath.Join(e.Home, "containers", "temp-1-g1"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
}

func TestCredentialsGoToTheirRegistryAlone(t *testing.T) {
	for _, tc := range []struct {
		host, domain, server string
		want                 bool
	}{
		{"r.example", "r.example", "", true},
		{"R.example", "r.example", "", true},
		{"r.example:5000", "r.example:5000", "", true},
		{"r.example:5000", "r.example", "", false},
		{"cdn.r.example", "r.example", "", false},
		{"r.example.evil", "r.example", "", false},
		{"registry-1.docker.io", "docker.io", "", true},
		{"registry-1.docker.io", "docker.io", "https://index.docker.io/v1/", true},
		{"registry-1.docker.io", "docker.io", "docker.io", true},
		{"r.example", "other.example", "r.example", true},
		{"other.example", "other.example", "r.example", false},
		{"r.example", "x", "https://r.example/v2/", true},
		{"r.example", "x", "http://r.example", true},
		{"r.example", "x", "https://r.example.evil/r.example", false},
	} {
		require.Equal(t, tc.want, sameRegistry(tc.host, tc.domain, tc.server), "%+v", tc)
	}
}

func TestEventsAreReadAsTheyAreMeant(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	envelope := func(topic string, v any) *events.Envelope {
		a, err := typeurl.MarshalAny(v)
		require.NoError(t, err)
		return &events.Envelope{Topic: topic, Event: a}
	}
	ev, ping, ok := decode(envelope("/tasks/exit", &eventtypes.TaskExit{ContainerID: "c", ID: "c", Pid: 7, ExitStatus: 137, ExitedAt: timestamppb.New(at)}))
	require.True(t, ok)
	require.Empty(t, ping)
	require.Equal(t, module.Event{ContainerID: "c", PID: 7, Exit: &module.Exit{Time: at, Code: 137}}, ev)
	_, _, ok = decode(envelope("/tasks/exit", &eventtypes.TaskExit{ContainerID: "c", ID: "exec-1", Pid: 8}))
	require.False(t, ok, "an exec's end is not the module's")
	ev, _, ok = decode(envelope("/tasks/oom", &eventtypes.TaskOOM{ContainerID: "c"}))
	require.True(t, ok)
	require.Equal(t, module.Event{ContainerID: "c", OOM: true}, ev)
	_, ping, ok = decode(envelope(pingTopic, &eventtypes.TaskOOM{ContainerID: "nonce"}))
	require.False(t, ok, "edged's own event is nobody's out-of-memory")
	require.Equal(t, "nonce", ping)
	for _, e := range []*events.Envelope{nil, {}, envelope("/tasks/start", &eventtypes.TaskStart{ContainerID: "c"})} {
		_, _, ok = decode(e)
		require.False(t, ok)
	}
}

func TestAnExitWithoutATimeIsNow(t *testing.T) {
	require.WithinDuration(t, time.Now(), exitOf(&tasktypes.Process{ExitStatus: 3}).Time, time.Minute)
	require.WithinDuration(t, time.Now(), exitOf(&tasktypes.Process{ExitedAt: timestamppb.New(time.Time{})}).Time, time.Minute)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	require.Equal(t, &module.Exit{Code: 3, Time: at}, exitOf(&tasktypes.Process{ExitStatus: 3, ExitedAt: timestamppb.New(at)}))
}

func TestReferencesAreNormalised(t *testing.T) {
	for ref, want := range map[string]string{
		"alpine": "docker.io/library/alpine:latest", "r.example:5000/a/b:1": "r.example:5000/a/b:1", "edged.local/agent:1": "edged.local/agent:1",
		"a/b:1@sha256:" + strings.Repeat("a", 64): "docker.io/a/b@sha256:" + strings.Repeat("a", 64),
	} {
		named, err := parseReference(ref)
		require.NoError(t, err)
		require.Equal(t, want, named.String())
	}
}

func TestArchivesAreKnownByTheirNames(t *testing.T) {
	for name, want := range map[string]bool{"a.tar": true, "a.tar.gz": true, "a.tgz": true, "a.tar.zst": true, "a.tar.part": false, "a.zip": false, "README": false} {
		require.Equal(t, want, isArchive(name), name)
	}
}

func TestTheImageCacheIsBounded(t *testing.T) {
	var c imageCache
	for i := range 1000 {
		d := digest.FromString(fmt.Sprint(i))
		c.put(d, unpacked{chainID: fmt.Sprint(i)})
		u, ok := c.get(d)
		require.True(t, ok)
		require.Equal(t, fmt.Sprint(i), u.chainID)
		require.LessOrEqual(t, len(c.byDigest), 256)
	}
}

// TestALeaseOnTheFilesOfAnEarlierRunHoldsNoStartUp: a module may have passed its open
// /etc/hosts to another, which runs on.
func TestALeaseOnTheFilesOfAnEarlierRunHoldsNoStartUp(t *testing.T) {
	e, _ := engineIn(t)
	for _, name := range []string{"hosts", "hostname", "resolv.conf"} {
		require.NoError(t, e.writeNetworkFiles("temp-1-g1", "h", network.Files{}))
		leased, err := os.Open(filepath.Join(e.filesDir("temp-1-g1"), name))
		require.NoError(t, err)
		_, err = unix.FcntlInt(leased.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() {
			done <- e.writeNetworkFiles("temp-1-g1", "h", network.Files{Hosts: []byte("new"), Resolv: []byte("new")})
		}()
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(20 * time.Second):
			require.FailNow(t, "the start waits for a lease on "+name)
		}
		require.NoError(t, leased.Close())
		text, err := os.ReadFile(filepath.Join(e.filesDir("temp-1-g1"), "hosts"))
		require.NoError(t, err)
		require.Equal(t, "new", string(text))
	}
}
