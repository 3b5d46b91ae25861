package module

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestNamesHaveOneForm(t *testing.T) {
	long := strings.Repeat("x", 255)
	for name, want := range map[string]string{
		"temp": "temp", "$edgeHub": "edgeHub", "edgeHub": "edgeHub", "Temp": "Temp", "a.b-c_d": "a.b-c_d",
		"модуль": "модуль", "a b": "a b", "$$x": "$$x", "a$": "a$", "%24x": "%24x", long: long, "$" + long: long, "...": "...",
	} {
		got, err := CanonicalName(name)
		require.NoError(t, err, name)
		require.Equal(t, want, got)
	}
	for _, name := range []string{"", "$", ".", "..", "$.", "$..", "a/b", "/", "a\x00", "a\nb", "a\u0085b", long + "x", "a\xff"} {
		_, err := CanonicalName(name)
		require.True(t, errdefs.IsInvalidArgument(err), "%q: %v", name, err)
	}
}

func FuzzCanonicalName(f *testing.F) {
	for _, s := range []string{"temp", "$edgeHub", "$$", "a/b", "\xff", "..", "модуль"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := CanonicalName(s)
		if err != nil {
			require.True(t, errdefs.IsInvalidArgument(err))
			return
		}
		// A name is a component of paths that edged makes, and of URLs.
		require.NotContains(t, []string{"", ".", ".."}, name)
		require.NotContains(t, name, "/")
		require.LessOrEqual(t, len(name), maxName)
		if !strings.HasPrefix(name, "$") {
			again, err := CanonicalName(name)
			require.NoError(t, err)
			require.Equal(t, name, again)
		}
		require.Regexp(t, containerdID, ContainerID(name, 1<<62))
		require.Equal(t, baseID(name), baseOf(ContainerID(name, 7)))
	})
}

// containerdID is what containerd takes for an id: containerd's identifiers.Validate, 76 characters at most.
var containerdID = regexp.MustCompile(`^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$`)

func TestContainerIDsAreReadableAndDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{
		"temp", "Temp", "te mp", "te-mp", "te.mp", "te--mp", "-temp", "модуль", "модули", "x-g1", strings.Repeat("long", 60), strings.Repeat("long", 60) + "!", "$$x",
	} {
		id := ContainerID(name, 12)
		require.Empty(t, seen[id], "%s and %s", name, seen[id])
		seen[id] = name
		require.Regexp(t, containerdID, id)
		require.LessOrEqual(t, len(id), 76)
		require.Equal(t, baseID(name), baseOf(id))
	}
	require.Regexp(t, `^te-mp-[0-9a-f]{8}-g12$`, ContainerID("te.mp", 12))
	require.Regexp(t, `^m-[0-9a-f]{8}-g1$`, ContainerID("модуль", 1))
}

func TestContainerIDsAreKnownByTheirForm(t *testing.T) {
	for _, name := range []string{"pump", "$$x", "ümläut", strings.Repeat("long name ", 20), "-"} {
		require.True(t, IsContainerID(ContainerID(name, 17)), name)
	}
	for _, s := range []string{"", "pump", "pump-g1", "pump-1234567-g1", "pump-12345678-g", "-12345678-g1", "pump-12345678-g1.scope", "a/pump-12345678-g1"} {
		require.False(t, IsContainerID(s), s)
	}
}

func TestPullPoliciesAreReadInAnyCase(t *testing.T) {
	for s, want := range map[string]PullPolicy{"": PullOnCreate, "on-create": PullOnCreate, "On-Create": PullOnCreate, "Never": PullNever, "NEVER": PullNever} {
		got, err := ParsePullPolicy(s)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, s := range []string{"always", "on_create", " never"} {
		_, err := ParsePullPolicy(s)
		require.True(t, errdefs.IsInvalidArgument(err), s)
		require.ErrorContains(t, err, fmt.Sprintf("invalid imagePullPolicy %q", s))
	}
}

func TestWhatASpecAloneShowsIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Spec)
		want   string
	}{
		"no name":       {func(s *Spec) { s.Name = "" }, "name is empty"},
		"no type":       {func(s *Spec) { s.Type = "" }, `invalid module type ""`},
		"another type":  {func(s *Spec) { s.Type = "Docker" }, `invalid module type "Docker"`},
		"no image":      {func(s *Spec) { s.Image = " " }, "settings.image is empty"},
		"empty key":     {func(s *Spec) { s.Env = []EnvVar{{Key: ""}} }, "invalid env var key"},
		"key with =":    {func(s *Spec) { s.Env = []EnvVar{{Key: "A=B"}} }, "invalid env var key"},
		"NUL in key":    {func(s *Spec) { s.Env = []EnvVar{{Key: "A\x00"}} }, "invalid env var key"},
		"NUL in value":  {func(s *Spec) { s.Env = []EnvVar{{Key: "A", Value: "\x00"}} }, "invalid env var key"},
		"the key twice": {func(s *Spec) { s.Env = []EnvVar{{Key: "A"}, {Key: "B"}, {Key: "A"}} }, "duplicate env var key: A"},
	} {
		s := spec("temp")
		tc.change(&s)
		err := s.Validate()
		require.True(t, errdefs.IsInvalidArgument(err), name)
		require.ErrorContains(t, err, tc.want)
	}
}

func TestASpecIsCompleted(t *testing.T) {
	s := Spec{Name: "$edgeHub", Type: "containerd", Image: "i", Env: []EnvVar{{Key: "a"}, {Key: "A"}}}
	require.NoError(t, s.Validate())
	require.Equal(t, "edgeHub", s.Name)
	require.JSONEq(t, "{}", string(s.CreateOptions))
}

func TestTheDigestIsOfTheWishAlone(t *testing.T) {
	s := spec("temp")
	same := s
	same.PullPolicy, same.Auth = PullOnCreate, &Auth{Password: "secret"}
	require.Equal(t, s.Digest(), same.Digest())
	for name, change := range map[string]func(*Spec){
		"image": func(s *Spec) { s.Image = "j" }, "options": func(s *Spec) { s.CreateOptions = json.RawMessage(`{"Tty":true}`) },
		"env": func(s *Spec) { s.Env = []EnvVar{{Key: "A"}} }, "management": func(s *Spec) { s.Management = true },
	} {
		other := s
		change(&other)
		require.NotEqual(t, s.Digest(), other.Digest(), name)
	}
}

func TestNothingPrintsAPassword(t *testing.T) {
	s := spec("temp")
	s.Auth = &Auth{Username: "user", Password: "hunter2", ServerAddress: "r.example"}
	written, err := json.Marshal(s)
	require.NoError(t, err)
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%+v", s), fmt.Sprintf("%#v", s), fmt.Sprintf("%v", s.Auth), fmt.Sprintf("%#v", s.Auth), string(written)} {
		require.NotContains(t, text, "hunter2")
	}
	require.Equal(t, "none", (*Auth)(nil).String())
}

func TestWhatStatesTheIdentityIsGivenUnderBothNames(t *testing.T) {
	e := IdentityEnv{DeviceID: "dev"}
	require.ElementsMatch(t, []string{
		"IOTEDGE_WORKLOADURI=unix:///run/edged/workload.sock", "EDGED_WORKLOADURI=unix:///run/edged/workload.sock",
		"IOTEDGE_MODULEID=temp", "EDGED_MODULEID=temp", "IOTEDGE_MODULEGENERATIONID=g", "EDGED_MODULEGENERATIONID=g",
		"IOTEDGE_DEVICEID=dev", "EDGED_DEVICEID=dev", "IOTEDGE_APIVERSION=2022-08-03", "EDGED_APIVERSION=2022-08-03",
	}, e.environment("temp", "g", false))
	require.Contains(t, e.environment("temp", "g", true), "IOTEDGE_MANAGEMENTURI=unix:///run/edged/mgmt.sock")
	agent, plain := spec(AgentName), spec("temp")
	require.True(t, wantsManagement(&agent))
	require.False(t, wantsManagement(&plain))
	plain.Management = true
	require.True(t, wantsManagement(&plain))
}

func TestTheEndOfARunIsWorded(t *testing.T) {
	for want, exit := range map[string]*Exit{
		"exited, exit code 0":                  {Time: time.Now()},
		"exited, exit code unknown":            {Lost: true, Code: 255},
		"exited, out of memory, exit code 137": {OOM: true, Code: 137},
	} {
		require.Equal(t, want, describe("exited", exit))
	}
}
