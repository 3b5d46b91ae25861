package mgmt

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/module"
)

// changing is a supervisor whose modules a test changes while requests go on.
type changing struct {
	*fakeSupervisor
	mu   sync.Mutex
	list []*module.State
	wake chan struct{}
}

func (c *changing) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wake
}

func (c *changing) List(context.Context) []*module.State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.list
}

func (c *changing) become(list ...*module.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = list
	close(c.wake)
	c.wake = make(chan struct{})
}

func as(name string, edit func(*module.State)) *module.State {
	s := *stateOf(specOf(name))
	s.Generation = 1
	s.Status.Runtime, s.Status.Description = module.Stopped, "created"
	if edit != nil {
		edit(&s)
	}
	return &s
}

func TestEventsTellWhatBecomesOfModules(t *testing.T) {
	f := newFixture(t)
	sup := &changing{fakeSupervisor: f.sup, wake: make(chan struct{}), list: []*module.State{as("a", nil), as("b", nil)}}
	stopping, stop := context.WithCancel(t.Context())
	defer stop()
	f.cfg.Supervisor, f.cfg.Stopping = sup, stopping
	server := httptest.NewServer(f.serve("other"))
	defer server.Close()
	res, err := server.Client().Get(server.URL + "/events" + v + "&initial=true")
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, 200, res.StatusCode)
	require.Equal(t, ndjson, res.Header.Get("Content-Type"))
	lines := bufio.NewScanner(res.Body)
	next := func() (e wire.Event) {
		require.True(t, lines.Scan())
		require.NoError(t, json.Unmarshal(lines.Bytes(), &e))
		_, err := time.Parse(time.RFC3339Nano, e.Time)
		require.NoError(t, err)
		return e
	}
	require.Equal(t, "a", next().Module)
	e := next()
	require.Equal(t, []string{"b", wire.EventPresent, "stopped"}, []string{e.Module, e.Kind, e.Status})
	require.Equal(t, wire.EventReady, next().Kind)

	running := as("a", func(s *module.State) {
		s.Status.Runtime, s.Status.Description = module.Running, "running (unhealthy)"
		s.Status.Health = &module.Health{Status: module.Unhealthy, Checks: []module.CheckResult{{Probed: module.Probed{Output: "password=hunter2"}}}}
		s.Spec.Env = []module.EnvVar{{Key: "K", Value: "hunter2"}}
	})
	sup.become(running, as("b", nil)) // b is another State that says the same
	e = next()
	require.Equal(t, []string{"a", wire.EventChanged, "running", "unhealthy"}, []string{e.Module, e.Kind, e.Status, e.Health})
	require.NotContains(t, lines.Text(), "hunter2")
	sup.become(as("a", func(s *module.State) { s.Generation = 2 }), as("c", nil))
	require.Equal(t, wire.EventUpdated, next().Kind)
	require.Equal(t, wire.EventCreated, next().Kind)
	e = next()
	require.Equal(t, []string{"b", wire.EventDeleted}, []string{e.Module, e.Kind})
	stop()
	require.False(t, lines.Scan(), "the stream ends with edged")
	require.NoError(t, lines.Err())
}

func TestTheLogLevelIsChangedByOperators(t *testing.T) {
	f := newFixture(t)
	w := f.ask("edged", "PUT", "/system/log-level"+v, `{"level":"debug"}`)
	require.Equal(t, 200, w.Code)
	require.JSONEq(t, `{"level":"debug","before":"info"}`, w.Body.String())
	require.Equal(t, []string{"log-level debug"}, f.sup.asked)
}
