package engine

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	eventtypes "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/containerd/typeurl/v2"

	"github.com/edged/edged/pkg/module"
)

const (
	pingTopic   = "/edged/subscribed"
	pingTimeout = 10 * time.Second
)

// Events follows containerd's event stream. A subscription takes effect some time
// after it was asked for and nothing says when, so an event of our own is sent
// round until it comes back: from then on nothing is missed.
func (e *Engine) Events(ctx context.Context, subscribed func(), on func(module.Event)) error {
	ctx, cancel := context.WithCancel(namespaces.WithNamespace(ctx, e.Namespace))
	defer cancel()
	filter := func(topic string) string { return fmt.Sprintf("namespace==%s,topic==%q", e.Namespace, topic) }
	stream, errs := e.client.EventService().Subscribe(ctx, filter("/tasks/exit"), filter("/tasks/oom"), filter(pingTopic))
	ping := rand.Text()
	send := time.NewTicker(20 * time.Millisecond)
	defer send.Stop()
	deadline := time.NewTimer(pingTimeout)
	defer deadline.Stop()
	if err := e.sendPing(ctx, ping); err != nil {
		return classify(err)
	}
	var early []module.Event
	stands := false
	for {
		select {
		case envelope := <-stream:
			ev, id, ok := decode(envelope)
			e.freePorts(ev)
			switch {
			case id == ping && !stands:
				stands = true
				send.Stop()
				deadline.Stop()
				subscribed()
				for _, ev := range early {
					on(ev)
				}
			case ok && stands:
				on(ev)
			case ok:
				early = append(early, ev)
			}
		case <-send.C:
			if err := e.sendPing(ctx, ping); err != nil {
				return classify(err)
			}
		case <-deadline.C:
			return fmt.Errorf("containerd sends no events: %w", errdefs.ErrUnavailable)
		case err := <-errs:
			if err == nil {
				err = fmt.Errorf("the event stream ended: %w", errdefs.ErrUnavailable)
			}
			return classify(err)
		}
	}
}

// freePorts gives a run's ports back as soon as it has ended: who is told that a module
// was stopped may start another one on them.
func (e *Engine) freePorts(ev module.Event) {
	if ev.Exit == nil {
		return
	}
	e.mu.Lock()
	pid, started := e.pids[ev.ContainerID]
	e.mu.Unlock()
	if !started || pid == ev.PID { // an event may come so late that the container runs again
		e.Networks.Ended(ev.ContainerID)
	}
}

func (e *Engine) sendPing(ctx context.Context, id string) error {
	ctx, done := context.WithTimeout(ctx, pingTimeout)
	defer done()
	return e.client.EventService().Publish(ctx, pingTopic, &eventtypes.TaskOOM{ContainerID: id})
}

// decode returns the event, or the id of a ping.
func decode(envelope *events.Envelope) (ev module.Event, ping string, ok bool) {
	if envelope == nil || envelope.Event == nil {
		return ev, "", false
	}
	v, err := typeurl.UnmarshalAny(envelope.Event)
	if err != nil {
		return ev, "", false
	}
	switch v := v.(type) {
	case *eventtypes.TaskExit:
		if v.ID != v.ContainerID {
			return ev, "", false // an exec's, not the module's
		}
		exit := &module.Exit{Code: int(v.ExitStatus), Time: time.Now().UTC()}
		if v.ExitedAt.IsValid() {
			exit.Time = v.ExitedAt.AsTime()
		}
		return module.Event{ContainerID: v.ContainerID, PID: int(v.Pid), Exit: exit}, "", true
	case *eventtypes.TaskOOM:
		if envelope.Topic == pingTopic {
			return ev, v.ContainerID, false
		}
		return module.Event{ContainerID: v.ContainerID, OOM: true}, "", true
	}
	return ev, "", false
}
