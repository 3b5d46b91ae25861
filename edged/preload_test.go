package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/config"
	"github.com/edged/edged/pkg/engine"
)

func TestAPreloadIsTriedAgainWhileContainerdIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, said := quiet(new(config.Config))
		away := fmt.Errorf("containerd is away: %w", errdefs.ErrUnavailable)
		var happened []string
		answers := []struct {
			count int
			err   error
		}{{0, away}, {1, errors.Join(away, errors.New("another archive is broken"))}, {1, errors.New("another archive is broken")}}
		tries := 0
		d.preload(t.Context(), func(context.Context, []string, engine.Notes) (int, error) {
			a := answers[tries]
			tries++
			return a.count, a.err
		}, func() { happened = append(happened, "tried") }, func() { happened = append(happened, "in") })
		require.Equal(t, 3, tries)
		require.Equal(t, []string{"tried", "in", "in"}, happened, "the agent waits for the first try alone")
		require.Equal(t, 1, strings.Count(said.String(), "trying again"))
		require.Equal(t, 1, strings.Count(said.String(), "level=error"))
	})
}
