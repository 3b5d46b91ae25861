package module

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheLoadIsWhatWaitsAndForHowLong(t *testing.T) {
	onDevice(t, func(t *testing.T, d *device) {
		id := d.running("temp", always)
		require.Zero(t, d.s.Load())
		d.engine.die(id, 1)
		after(time.Second)
		require.Equal(t, Load{Restarts: 1}, d.s.Load())
		d.engine.deaf[id] = true // its stop takes ten seconds
		done := make(chan error, 3)
		for range 3 {
			go func() { done <- d.s.Stop(t.Context(), "temp", false) }()
			synctest.Wait()
			after(time.Second)
		}
		require.Equal(t, Load{Waiting: 2, Oldest: 2 * time.Second, Restarts: 1}, d.s.Load(), "what is being done does not wait")
		for range 3 {
			require.NoError(t, <-done)
		}
		require.Equal(t, Load{Restarts: 1}, d.s.Load())
	})
}
