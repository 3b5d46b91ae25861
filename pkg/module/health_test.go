package module

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

var second = &HealthCheck{Args: []string{"check"}, Interval: time.Second, Timeout: time.Second, StartInterval: 100 * time.Millisecond, Retries: 3}

func TestHealthFollowsDockersRules(t *testing.T) {
	began := time.Unix(1000, 0)
	at := func(after time.Duration, code int) CheckResult {
		return CheckResult{Begin: began.Add(after), Probed: Probed{Code: code}}
	}
	patient := *second
	patient.StartPeriod = 10 * time.Second
	for name, tc := range map[string]struct {
		check   *HealthCheck
		results []CheckResult
		want    HealthStatus
		streak  int
	}{
		"nothing yet":                          {second, nil, Starting, 0},
		"one success":                          {second, []CheckResult{at(1, 0)}, Healthy, 0},
		"too few failures":                     {second, []CheckResult{at(1, 1), at(2, 2)}, Starting, 2},
		"enough failures":                      {second, []CheckResult{at(1, 1), at(2, -1), at(3, 137)}, Unhealthy, 3},
		"a success in between":                 {second, []CheckResult{at(1, 1), at(2, 1), at(3, 0), at(4, 1), at(5, 1)}, Healthy, 2},
		"a success afterwards":                 {second, []CheckResult{at(1, 1), at(2, 1), at(3, 1), at(4, 0)}, Healthy, 0},
		"failures while it starts":             {&patient, []CheckResult{at(1, 1), at(2, 1), at(3, 1), at(4, 1)}, Starting, 0},
		"failures after it had time":           {&patient, []CheckResult{at(time.Second, 1), at(10*time.Second, 1), at(11*time.Second, 1), at(12*time.Second, 1)}, Unhealthy, 3},
		"a clock that was set back":            {&patient, []CheckResult{at(-time.Hour, 1), at(-time.Hour, 1), at(-time.Hour, 1)}, Unhealthy, 3},
		"failures in the period, once healthy": {&patient, []CheckResult{at(1, 0), at(2, 1), at(3, 1), at(4, 1)}, Unhealthy, 3},
	} {
		h := newHealth(tc.check, began)
		for _, r := range tc.results {
			h.note(r)
		}
		require.Equal(t, tc.want, h.Status, name)
		require.Equal(t, tc.streak, h.Streak, name)
	}
	h := newHealth(&patient, began)
	require.Equal(t, patient.StartInterval, h.wait(began))
	require.Equal(t, patient.Interval, h.wait(began.Add(10*time.Second)))
	h.note(at(1, 0))
	require.Equal(t, patient.Interval, h.wait(began), "it has started")
	for i := range 20 {
		h.note(at(time.Duration(i), i))
	}
	require.Len(t, h.Checks, 5)
	require.Equal(t, 19, h.Checks[4].Code, "the newest are kept")
}

func TestWordsSayWhyItIsUnhealthy(t *testing.T) {
	for want, p := range map[string]Probed{
		"the check ended with exit code 2": {Code: 2, Output: "secret"},
		"the check took longer than 1s":    {Code: -1, TimedOut: true},
		"the check cannot be run":          {Code: -1, Output: "no such file"},
	} {
		h := newHealth(second, time.Now())
		for range 3 {
			h.note(CheckResult{Probed: p})
		}
		require.Equal(t, " (unhealthy: "+want+")", h.words())
	}
	var none *health
	require.Empty(t, none.words())
}

// checkedBy makes a module with a health check and starts it.
func (d *device) checkedBy(name string, check *HealthCheck, policy RestartPolicy) string {
	id := ContainerID(name, 1)
	d.engine.mu.Lock()
	d.engine.checks[id] = check
	d.engine.mu.Unlock()
	return d.running(name, policy)
}

// answers makes every check end so.
func (d *device) answers(code int) {
	d.engine.mu.Lock()
	defer d.engine.mu.Unlock()
	d.engine.probe = func(context.Context, time.Duration) (Probed, error) { return Probed{Code: code, Output: "said"}, nil }
}

func TestChecksAreMadeAtTheirInterval(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.checkedBy("temp", second, no)
		probes := func() int { return d.j.count("probe " + id + " [check]") }
		require.Equal(t, "running (health: starting)", d.state("temp").Status.Description, "from the first moment")
		after(900 * time.Millisecond)
		require.Zero(t, probes(), "the first check comes after one interval")
		after(200 * time.Millisecond)
		require.Equal(t, 1, probes())
		st := d.state("temp")
		require.Equal(t, "running (healthy)", st.Status.Description)
		require.Equal(t, Healthy, st.Status.Health.Status)
		after(10 * time.Second)
		require.Equal(t, 11, probes())
		require.Same(t, st, d.state("temp"), "what does not change is not published")
		require.NoError(t, d.s.Stop(t.Context(), "temp", false))
		after(time.Minute)
		require.Equal(t, 11, probes(), "what does not run is not checked")
		require.Nil(t, d.state("temp").Status.Health)
		require.NoError(t, d.s.Start(t.Context(), "temp"))
		require.Equal(t, "running (health: starting)", d.state("temp").Status.Description)
	})
}

func TestAModuleWithoutAChecksIsNotChecked(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", no)
		after(time.Hour)
		require.Zero(t, d.j.count("probe "+id+" [check]"))
		require.Equal(t, "running", d.state("temp").Status.Description)
		require.Nil(t, d.state("temp").Status.Health)
	})
}

func TestAnUnhealthyModuleIsRestartedOnlyWhenItAskedForIt(t *testing.T) {
	for _, policy := range []string{"no", "always", "unless-stopped", "on-failure", "on-unhealthy"} {
		onDevice(t, func(t *testing.T, d *device) {
			id := d.checkedBy("temp", second, RestartPolicy{Name: policy})
			d.answers(1)
			after(2500 * time.Millisecond)
			require.Equal(t, "running (health: starting)", d.state("temp").Status.Description)
			after(550 * time.Millisecond)
			st := d.state("temp")
			if policy != "on-unhealthy" {
				require.Equal(t, "running (unhealthy: the check ended with exit code 1)", st.Status.Description)
				require.Equal(t, "said", st.Status.Health.Checks[2].Output)
				require.Equal(t, 1, d.j.count("start "+id))
				d.answers(0)
				after(time.Second)
				require.Equal(t, "running (healthy)", d.state("temp").Status.Description)
				return
			}
			require.Equal(t, Failed, st.Status.Runtime)
			require.Equal(t, "stopped because it was unhealthy, exit code 143; restart due in 100ms", st.Status.Description)
			require.Equal(t, 1, d.j.count("signal "+id+" kill=false"), "by its stop signal")
			after(200 * time.Millisecond)
			st = d.state("temp")
			require.Equal(t, "running (health: starting)", st.Status.Description)
			require.Equal(t, 1, st.Status.Restarts)
			// Each run lasts three seconds, so the back-off goes on growing.
			for i := range 4 {
				after(3*time.Second + 200*time.Millisecond<<i)
				require.Equal(t, i+2, d.state("temp").Status.Restarts)
			}
			require.Equal(t, 6, d.j.count("start "+id))
			require.NoError(t, d.s.Stop(t.Context(), "temp", false))
			after(time.Hour)
			require.Equal(t, 6, d.j.count("start "+id), "what the API stopped stays stopped")
		})
	}
}

func TestAnEngineThatIsAwaySaysNothingOfTheModule(t *testing.T) {
	for _, class := range []error{errdefs.ErrUnavailable, errdefs.ErrNotFound} {
		onDevice(t, func(t *testing.T, d *device) {
			d.checkedBy("temp", second, RestartPolicy{Name: "on-unhealthy"})
			after(1500 * time.Millisecond)
			d.engine.set("probe", fmt.Errorf("away: %w", class))
			after(time.Minute)
			require.Equal(t, "running (healthy)", d.state("temp").Status.Description)
			d.engine.set("probe", fmt.Errorf("no such file: %w", errdefs.ErrInvalidArgument))
			after(2 * time.Second)
			require.Equal(t, 2, d.s.workers["temp"].health.Streak, "a command that is not there is a failure")
		})
	}
}

func TestAStopDoesNotWaitForACheck(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		d.checkedBy("temp", second, RestartPolicy{Name: "on-unhealthy"})
		ended := false
		d.engine.mu.Lock()
		d.engine.probe = func(ctx context.Context, _ time.Duration) (Probed, error) {
			<-ctx.Done()
			ended = true
			return Probed{}, ctx.Err()
		}
		d.engine.mu.Unlock()
		after(1500 * time.Millisecond)
		began := time.Now()
		require.NoError(t, d.s.Stop(t.Context(), "temp", false))
		require.Zero(t, time.Since(began))
		synctest.Wait()
		require.True(t, ended, "it ends with the run")
	})
}

func TestChecksGoOnAfterARestartOfEdgedButNotBeforeItHasCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.boot(false)
		id := d.checkedBy("temp", second, RestartPolicy{Name: "on-unhealthy"})
		after(1500 * time.Millisecond)
		d.shutDown()
		after(time.Minute)
		before := d.j.count("probe " + id + " [check]")
		d.open(false)
		defer d.shutDown()
		require.Equal(t, "running", d.state("temp").Status.Description)
		release := d.occupy("temp")
		d.s.Run()
		after(time.Minute)
		require.Equal(t, before, d.j.count("probe "+id+" [check]"), "it is still being compared")
		d.engine.set("health", fmt.Errorf("away: %w", errdefs.ErrUnavailable))
		close(release)
		synctest.Wait()
		d.engine.set("health", nil)
		after(1500 * time.Millisecond)
		require.True(t, strings.HasPrefix(d.state("temp").Status.Description, "running (heal"), d.state("temp").Status.Description)
		d.answers(1)
		after(4 * time.Second)
		require.Equal(t, 1, d.state("temp").Status.Restarts)
		require.Equal(t, 2, d.j.count("start "+id))
	})
}

func TestAnUpdateIsCheckedByItsOwnCheck(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		old := d.checkedBy("temp", second, no)
		next := ContainerID("temp", 2)
		d.engine.mu.Lock()
		d.engine.checks[next] = &HealthCheck{Args: []string{"other"}, Interval: time.Second, Retries: 1}
		d.engine.mu.Unlock()
		_, err := d.s.Update(t.Context(), spec("temp"), true, nil)
		require.NoError(t, err)
		after(5500 * time.Millisecond)
		require.Zero(t, d.j.count("probe "+old+" [check]"))
		require.Equal(t, 5, d.j.count("probe "+next+" [other]"))
	})
}

func TestTheAgentIsRestartedWhenUnhealthyOnlyIfItAskedForIt(t *testing.T) {
	for policy, want := range map[string]int{"always": 1, "on-unhealthy": 2} {
		onDevice(t, func(t *testing.T, d *device) {
			id := d.checkedBy(AgentName, second, RestartPolicy{Name: policy})
			d.answers(1)
			after(3500 * time.Millisecond)
			require.Equal(t, want, d.j.count("start "+id))
		})
	}
}

func TestWhatACheckPrintsIsNotLogged(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		d.answers(3)
		d.checkedBy("temp", second, no)
		after(10 * time.Second)
		require.Equal(t, Unhealthy, d.state("temp").Status.Health.Status)
		require.Contains(t, d.log.String(), "the check ended with exit code 3")
		require.NotContains(t, d.log.String(), "said")
	})
}

func TestASlowCheckIsFollowedByAPauseAsLong(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		d.engine.mu.Lock()
		d.engine.probe = func(ctx context.Context, _ time.Duration) (Probed, error) {
			pause(ctx, 10*time.Second)
			return Probed{}, nil
		}
		d.engine.mu.Unlock()
		id := d.checkedBy("temp", second, no)
		after(101 * time.Second)
		require.InDelta(t, 5, d.j.count("probe "+id+" [check]"), 1)
	})
}
