package module

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestWhichEndsTheRestartPolicyAnswers(t *testing.T) {
	clean, failed, lost := &Exit{}, &Exit{Code: 1}, &Exit{Code: 255, Lost: true}
	for _, tc := range []struct {
		policy   RestartPolicy
		restarts int
		want     [3]bool // clean, failed, lost
	}{
		{RestartPolicy{Name: "no"}, 0, [3]bool{false, false, false}},
		{RestartPolicy{}, 0, [3]bool{false, false, false}},
		{RestartPolicy{Name: "always"}, 1000, [3]bool{true, true, true}},
		{RestartPolicy{Name: "unless-stopped"}, 1000, [3]bool{true, true, true}},
		{RestartPolicy{Name: "on-unhealthy"}, 1000, [3]bool{true, true, true}},
		{RestartPolicy{Name: "on-failure"}, 1000, [3]bool{false, true, true}},
		{RestartPolicy{Name: "on-failure", MaxRetries: 3}, 2, [3]bool{false, true, true}},
		{RestartPolicy{Name: "on-failure", MaxRetries: 3}, 3, [3]bool{false, false, false}},
	} {
		for i, exit := range []*Exit{clean, failed, lost} {
			require.Equal(t, tc.want[i], tc.policy.Wants(exit, tc.restarts), "%+v after %d restarts, %+v", tc.policy, tc.restarts, exit)
		}
	}
}

func TestBackOffDoublesToAMinuteAndForgetsAfterTenSeconds(t *testing.T) {
	var b backoff
	want := 100 * time.Millisecond
	for range 12 {
		require.Equal(t, want, b.after(9*time.Second))
		want = min(2*want, time.Minute)
	}
	require.Equal(t, time.Minute, b.after(0))
	require.Equal(t, 100*time.Millisecond, b.after(10*time.Second))
	require.Equal(t, 200*time.Millisecond, b.after(0))
	b.reset()
	require.Equal(t, 100*time.Millisecond, b.after(0))
}

func TestAModuleThatEndsIsStartedAgainAsItsPolicySays(t *testing.T) {
	for _, tc := range []struct {
		policy RestartPolicy
		code   int
		again  bool
		status Runtime
	}{
		{no, 0, false, Stopped},
		{no, 1, false, Failed},
		{always, 0, true, Running},
		{RestartPolicy{Name: "unless-stopped"}, 0, true, Running},
		{RestartPolicy{Name: "on-failure"}, 0, false, Stopped},
		{RestartPolicy{Name: "on-failure"}, 3, true, Running},
	} {
		t.Run(fmt.Sprintf("%s-%d", tc.policy.Name, tc.code), func(t *testing.T) {
			onDevice(t, func(t *testing.T, d *device) {
				id := d.running("temp", tc.policy)
				d.engine.die(id, tc.code)
				synctest.Wait()
				st := d.state("temp")
				require.Equal(t, tc.code, st.Status.Exit.Code)
				require.NotEqual(t, Running, st.Status.Runtime)
				require.Zero(t, d.table.Len(), "between two runs it is nobody")
				if tc.again {
					require.Equal(t, fmt.Sprintf("exited, exit code %d; restart due in 100ms", tc.code), st.Status.Description)
				}
				after(100 * time.Millisecond)
				require.Equal(t, tc.again, d.engine.runs(id))
				require.Equal(t, tc.status, d.state("temp").Status.Runtime)
			})
		})
	}
}

func TestOnFailureGivesUpAfterItsRetriesAndAStartCountsAnew(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", RestartPolicy{Name: "on-failure", MaxRetries: 2})
		for i := range 3 {
			require.True(t, d.engine.runs(id), "try %d", i)
			d.engine.die(id, 1)
			after(time.Second)
		}
		require.False(t, d.engine.runs(id))
		require.Equal(t, 2, d.state("temp").Status.Restarts)
		require.NoError(t, d.s.Start(t.Context(), "temp"))
		require.Zero(t, d.state("temp").Status.Restarts)
		d.engine.die(id, 1)
		after(time.Second)
		require.True(t, d.engine.runs(id))
	})
}

func TestACrashLoopSlowsDown(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", always)
		var waits []time.Duration
		last := time.Now()
		d.engine.mu.Lock()
		d.engine.started = func(id string) {
			waits = append(waits, time.Since(last))
			last = time.Now()
			d.engine.die(id, 1)
		}
		d.engine.mu.Unlock()
		d.engine.die(id, 1)
		after(3200 * time.Millisecond)
		d.engine.mu.Lock()
		d.engine.started = nil
		d.engine.mu.Unlock()
		ms := time.Millisecond
		require.Equal(t, []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms}, waits)
		require.NoError(t, d.s.Stop(t.Context(), "temp", false))
		after(5 * time.Minute)
		require.False(t, d.engine.runs(id), "a stop between two tries ends them")
	})
}

func TestARestartThatCannotBeStartedIsTriedAgain(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", always)
		d.engine.set("task "+id, fmt.Errorf("no memory: %w", errdefs.ErrUnavailable))
		d.engine.die(id, 1)
		after(250 * time.Millisecond)
		require.Contains(t, d.state("temp").Status.Description, "cannot restart: no memory")
		d.engine.set("task "+id, nil)
		after(time.Second)
		require.True(t, d.engine.runs(id))
	})
}

func TestTheAgentIsStartedAgainWhateverItsPolicy(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running(AgentName, no)
		d.engine.die(id, 0)
		after(time.Second)
		require.True(t, d.engine.runs(id))
	})
}

func TestAnOutOfMemoryKillIsToldFromAnotherDeath(t *testing.T) {
	for _, how := range []string{"event", "cgroup"} {
		onDevice(t, func(t *testing.T, d *device) {
			id := d.running("temp", no)
			if how == "event" {
				d.engine.events <- Event{ContainerID: id, OOM: true}
			} else {
				d.engine.oom = true
			}
			d.engine.die(id, 137)
			synctest.Wait()
			st := d.state("temp")
			require.True(t, st.Status.Exit.OOM)
			require.Equal(t, "exited, out of memory, exit code 137", st.Status.Description)
		})
	}
}

func TestAnEndThatCannotBeWrittenIsTriedAgain(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", always)
		d.store.set("exit", fmt.Errorf("disk full: %w", errdefs.ErrUnavailable))
		d.engine.die(id, 5)
		after(3 * time.Second)
		require.NotNil(t, d.engine.tasks[id], "the task keeps the exit code")
		d.store.set("exit", nil)
		after(2 * time.Second)
		require.True(t, d.engine.runs(id))
		require.Equal(t, 5, d.state("temp").Status.Exit.Code)
	})
}
