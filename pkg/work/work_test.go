package work

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAwaitReturnsWhatTheWorkDoes(t *testing.T) {
	type key struct{}
	g := NewGroup(context.WithValue(t.Context(), key{}, "value"))
	defer g.Close()
	failure := errors.New("it broke")
	require.ErrorIs(t, g.Await(t.Context(), time.Minute, func(ctx context.Context) error {
		require.Equal(t, "value", ctx.Value(key{}))
		return failure
	}), failure)
	require.NoError(t, g.Await(t.Context(), time.Minute, func(context.Context) error { return nil }))
}

func TestWorkGoesOnWhenItsClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, end := context.WithCancel(t.Context())
		g := NewGroup(parent)
		end() // the group outlives who made it
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		done := false
		err := g.Await(ctx, time.Minute, func(ctx context.Context) error {
			time.Sleep(10 * time.Second)
			done = ctx.Err() == nil
			return nil
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "the client left, the work goes on")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.True(t, done)
		g.Close()
	})
}

func TestAWriteThatLastsHasADeadlineOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		parent, leave := context.WithTimeout(context.WithValue(t.Context(), key{}, "value"), time.Second)
		leave()
		ctx, cancel := Lasting(parent, time.Minute)
		defer cancel()
		require.NoError(t, ctx.Err())
		require.Equal(t, "value", ctx.Value(key{}))
		begun := time.Now()
		<-ctx.Done()
		require.Equal(t, time.Minute, time.Since(begun))
	})
}

func TestWorkHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup(t.Context())
		defer g.Close()
		begun := time.Now()
		require.ErrorIs(t, g.Await(t.Context(), time.Minute, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }), context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(begun))
	})
}

func TestCloseEndsWorkAndWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup(t.Context())
		ended := false
		require.True(t, g.Go(time.Hour, func(ctx context.Context) {
			<-ctx.Done()
			time.Sleep(time.Second)
			ended = true
		}))
		require.False(t, g.Closed())
		g.Close()
		require.True(t, ended)
		require.True(t, g.Closed())
		require.False(t, g.Go(time.Hour, func(context.Context) { t.Error("it ran") }))
		require.ErrorIs(t, g.Await(t.Context(), time.Hour, func(context.Context) error { t.Error("it ran"); return nil }), ErrStopping)
		g.Close()
	})
}
