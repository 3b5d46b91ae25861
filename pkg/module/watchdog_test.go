package module

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

// keep runs the agent's watchdog until the returned function is called.
func (d *device) keep(s Spec) (end func()) { return d.watch(Watchdog{Spec: s}) }

func (d *device) watch(dog Watchdog) (end func()) {
	dog.Notes = d.store
	ctx, cancel := context.WithCancel(d.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.s.KeepAgent(ctx, dog)
	}()
	synctest.Wait()
	return func() {
		cancel()
		<-done
	}
}

func TestAnAbsentAgentIsMadeAndStarted(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		end := d.keep(spec(AgentName))
		defer end()
		require.True(t, d.engine.runs(ContainerID(AgentName, 1)))
		require.True(t, d.sockets.there[AgentName], "the agent has the management socket")
		require.NoError(t, d.s.Delete(t.Context(), AgentName))
		after(agentCheck)
		require.True(t, d.engine.runs(ContainerID(AgentName, 1)), "and again")
	})
}

func TestAnotherAgentInTheConfigurationReplacesTheOneThatRuns(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		d.keep(spec(AgentName))()
		d.keep(spec(AgentName))()
		require.Equal(t, int64(1), d.state(AgentName).Generation, "the same changes nothing")
		d.keep(changed(AgentName))()
		require.Equal(t, int64(2), d.state(AgentName).Generation)
		require.True(t, d.engine.runs(ContainerID(AgentName, 2)))
	})
}

func TestWhatTheAgentMadeOfItselfStays(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		end := d.keep(spec(AgentName))
		_, err := d.s.Update(t.Context(), changed(AgentName), true, sent())
		require.NoError(t, err)
		after(time.Minute)
		require.Equal(t, int64(2), d.state(AgentName).Generation)
		end()
		d.shutDown()
		d.boot(false)
		d.keep(spec(AgentName))()
		require.Equal(t, "image-2", d.state(AgentName).Spec.Image)
	})
}

func TestAHostUsersStopHoldsTheWatchdogUntilAStart(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		end := d.keep(spec(AgentName))
		id := ContainerID(AgentName, 1)
		require.NoError(t, d.s.Stop(t.Context(), AgentName, true))
		after(10 * time.Minute)
		require.False(t, d.engine.runs(id))
		require.NoError(t, d.s.Start(t.Context(), AgentName))
		require.True(t, d.engine.runs(id))
		require.NoError(t, d.s.Stop(t.Context(), AgentName, true))
		end()
		d.shutDown()
		d.boot(false)
		d.keep(spec(AgentName))()
		require.True(t, d.engine.runs(id), "a start of edged ends the hold")
	})
}

func TestTheAgentsOwnStopDoesNotHoldTheWatchdog(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		defer d.keep(spec(AgentName))()
		require.NoError(t, d.s.Stop(t.Context(), AgentName, false))
		after(agentCheck)
		require.True(t, d.engine.runs(ContainerID(AgentName, 1)))
	})
}

func TestAnAgentThatCannotBeMadeIsTriedAgainMoreAndMoreSlowly(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		tries := 0
		d.engine.mu.Lock()
		d.engine.pull = func(context.Context, string) error {
			tries++
			return fmt.Errorf("no network: %w", errdefs.ErrUnavailable)
		}
		d.engine.mu.Unlock()
		defer d.keep(spec(AgentName))()
		after(time.Hour)
		require.Greater(t, tries, 10)
		require.Less(t, tries, 30)
		d.engine.mu.Lock()
		d.engine.pull = nil
		d.engine.mu.Unlock()
		after(5 * time.Minute)
		require.True(t, d.engine.runs(ContainerID(AgentName, 1)))
	})
}

func TestAConfiguredAgentThatDoesNotStartIsNotTriedForEver(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		d.keep(spec(AgentName))()
		d.engine.set("task "+ContainerID(AgentName, 2), fmt.Errorf("no such program: %w", errdefs.ErrInvalidArgument))
		end := d.keep(changed(AgentName))
		defer end()
		after(time.Second)
		require.True(t, d.engine.runs(ContainerID(AgentName, 1)), "the old agent runs again")
		since := d.state(AgentName).Status.StartTime
		after(time.Hour)
		require.Equal(t, since, d.state(AgentName).Status.StartTime, "and is left alone")
	})
}

func TestARestartOfTheAgentThatFailedIsMadeUpFor(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		defer d.keep(spec(AgentName))()
		id := ContainerID(AgentName, 1)
		d.engine.set("task "+id, fmt.Errorf("containerd is away: %w", errdefs.ErrUnavailable))
		require.Error(t, d.s.Restart(t.Context(), AgentName))
		after(time.Minute)
		d.engine.set("task "+id, nil)
		after(2 * time.Minute)
		require.True(t, d.engine.runs(id))
	})
}

func TestTheWatchdogsTriesMayBeBounded(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		tries, before := 0, 0
		d.engine.mu.Lock()
		d.engine.pull = func(context.Context, string) error {
			tries++
			return fmt.Errorf("there is no image: %w", errdefs.ErrNotFound)
		}
		d.engine.mu.Unlock()
		defer d.watch(Watchdog{Spec: spec(AgentName), MaxRetries: 3, BeforeRetry: func(context.Context) { before++ }})()
		after(time.Hour)
		require.Equal(t, 4, tries)
		require.Equal(t, 3, before)
	})
}

func TestASuccessGivesTheWatchdogAllItsTriesAgain(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		fail := true
		d.engine.mu.Lock()
		d.engine.pull = func(context.Context, string) error {
			if fail {
				return fmt.Errorf("there is no image: %w", errdefs.ErrNotFound)
			}
			return nil
		}
		d.engine.mu.Unlock()
		end := d.watch(Watchdog{Spec: spec(AgentName), MaxRetries: 2, BeforeRetry: func(context.Context) { fail = false }})
		defer end()
		for range 4 {
			after(time.Minute)
			require.True(t, d.engine.runs(ContainerID(AgentName, 1)))
			fail = true
			require.NoError(t, d.s.Delete(t.Context(), AgentName))
		}
		after(time.Minute)
		require.True(t, d.engine.runs(ContainerID(AgentName, 1)))
	})
}
