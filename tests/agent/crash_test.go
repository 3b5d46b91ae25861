package agent

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/deployment"
	"github.com/edged/edged/tests/device"
)

// variant is one of the manifests between which a device is sent to and fro.
type variant struct {
	mark string
	// other has a module more and one less, and one that is stopped.
	other bool
	// bad has a module that ends at once.
	bad bool
}

const moduleOf = `%q:{"type":"docker","status":%q,"startupOrder":%d,"restartPolicy":%q,"imagePullPolicy":"never","env":{"MARK":{"value":%q}},"settings":{"image":"edged.local/probe:1",
	"createOptions":{"Cmd":%s,"HostConfig":{"NetworkMode":"none"},"Healthcheck":{"Test":["CMD-SHELL","exit 0"],"Interval":200000000,"Timeout":2000000000}}}}`

func manifestOf(v variant) string {
	one := func(name, status string, order int) string {
		return fmt.Sprintf(moduleOf, name, status, order, "always", v.mark, `["sleep"]`)
	}
	modules := []string{one("a", "running", 0), one("b", "running", 1)}
	if v.other {
		modules = []string{one("a", "running", 1), one("c", "running", 0), one("d", "stopped", 2)}
	}
	if v.bad {
		modules = append(modules, fmt.Sprintf(moduleOf, "z", "running", 3, "never", v.mark, `["exit","3"]`))
	}
	return `{"schemaVersion":"1.1","modules":{` + strings.Join(modules, ",") + `}}`
}

// state is what a device with a variant is like.
func (v variant) state() map[string]string {
	if v.other {
		return map[string]string{"a": v.mark + " running", "c": v.mark + " running", "d": v.mark + " stopped"}
	}
	return map[string]string{"a": v.mark + " running", "b": v.mark + " running"}
}

func stateOf(modules map[string]wire.Module) map[string]string {
	state := map[string]string{}
	for name, m := range modules {
		mark := ""
		if i := slices.IndexFunc(m.Config.Env, func(e wire.EnvVar) bool { return e.Key == "MARK" }); i >= 0 {
			mark = m.Config.Env[i].Value
		}
		state[name] = mark + " " + m.Status.RuntimeStatus.Status
	}
	return state
}

// number reads a number from the environment.
func number(t *testing.T, name string, fallback uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, name)
	return n
}

// TestACrashEndsInTheNewOrTheLastGoodDeployment kills the agent, edged or containerd at
// some moment of an apply. EDGED_AGENT_ROUNDS and EDGED_AGENT_SEED repeat a run.
func TestACrashEndsInTheNewOrTheLastGoodDeployment(t *testing.T) {
	t.Parallel()
	rounds := number(t, "EDGED_AGENT_ROUNDS", 10)
	seed := number(t, "EDGED_AGENT_SEED", uint64(time.Now().UnixNano()))
	t.Logf("EDGED_AGENT_SEED=%d EDGED_AGENT_ROUNDS=%d", seed, rounds)
	random := rand.New(rand.NewPCG(seed, 0))
	r := newRig(t, device.Options{})
	good := variant{mark: "0"}
	require.Equal(t, deployment.Applied, r.apply(manifestOf(good)).Phase)
	victims := map[string]func(){
		"agent": func() {
			for _, id := range r.Containers("edgeAgent-") {
				_ = r.TryCtr("tasks", "kill", "-s", "KILL", id) // it may be down between two victims
			}
		},
		"edged": func() {
			r.Edged.Signal(syscall.SIGKILL)
			r.StartEdged()
		},
		"containerd": func() {
			r.Containerd.Signal(syscall.SIGKILL)
			r.StartContainerd()
		},
	}
	names := slices.Sorted(maps.Keys(victims))
	for round := range rounds {
		v := variant{mark: fmt.Sprint(round + 1), other: random.IntN(2) == 0, bad: random.IntN(3) == 0}
		text := manifestOf(v)
		// By turns, so that a few rounds have met each of them.
		victim := names[round%uint64(len(names))]
		delay := time.Duration(random.IntN(1500)) * time.Millisecond
		begun := time.Now()
		r.write(deployment.ManifestFile, text)
		time.Sleep(delay) // the moment is what the test is about
		victims[victim]()
		what := fmt.Sprintf("round %d: %s killed %s after %+v was written", round, victim, delay, v)
		var s deployment.Status
		r.Eventually(what, func() bool {
			s = r.status()
			return s.Revision == revision(text) && (s.Phase == deployment.Applied || s.Phase == deployment.RolledBack)
		})
		t.Logf("%s: %s in %s", what, s.Phase, time.Since(begun).Round(time.Millisecond))
		require.Equal(t, v.bad, s.Phase == deployment.RolledBack, "%s: %s %s", what, s.Phase, s.Error)
		if s.Phase == deployment.Applied {
			good = v
		}
		require.Equal(t, revision(manifestOf(good)), s.LastGood, what)
		require.Equal(t, good.state(), stateOf(r.modules()), what)
	}
}
