package module

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
)

// Notes remembers small facts over restarts.
type Notes interface {
	Note(ctx context.Context, key string) (string, error)
	SetNote(ctx context.Context, key, value string) error
}

// agentNote is the digest of the [agent] that was last applied. What the agent
// made of itself since stays until the configuration changes.
const agentNote = "agent-applied"

// agentCheck is how often the agent is looked for; its own death is seen at once,
// by its restart policy.
const agentCheck = 10 * time.Second

// Watchdog says how the agent is kept running.
type Watchdog struct {
	Spec  Spec
	Notes Notes
	// MaxRetries is how many failures in a row are followed by another try; 0: all.
	MaxRetries int
	// BeforeRetry, when set, is called before each further try: it may bring the image.
	BeforeRetry func(ctx context.Context)
}

// KeepAgent makes the module edgeAgent from its spec when it is absent, updates it when
// the spec changes, and starts it when it does not run and no host user stopped it. It
// returns when ctx ends or the tries are used up; a failure is logged and tried again,
// with back-off. What runs already is kept running by its restart policy, for ever.
func (s *Supervisor) KeepAgent(ctx context.Context, dog Watchdog) {
	failed, failures := time.Duration(0), 0
	for {
		wait := agentCheck
		if err := s.ensureAgent(ctx, dog.Spec, dog.Notes); err != nil && ctx.Err() == nil {
			if failures++; dog.MaxRetries > 0 && failures > dog.MaxRetries {
				s.Log.WithError(err).Errorf("cannot keep %s running, and it was tried %d times: not again until edged is restarted ([agent] max_retries)", AgentName, failures)
				return
			}
			failed = min(max(2*failed, time.Second), 5*time.Minute)
			wait = failed
			s.Log.WithError(err).Errorf("cannot keep %s running, trying again in %s", AgentName, wait)
		} else {
			failed, failures = 0, 0
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		if failures > 0 && dog.BeforeRetry != nil {
			dog.BeforeRetry(ctx)
		}
	}
}

func (s *Supervisor) ensureAgent(ctx context.Context, spec Spec, notes Notes) error {
	if err := spec.Validate(); err != nil {
		return fmt.Errorf("[agent] in the configuration: %w", err)
	}
	applied, err := notes.Note(ctx, agentNote)
	if err != nil {
		return err
	}
	wish := spec.Digest()
	state, err := s.Get(ctx, AgentName)
	switch {
	case errdefs.IsNotFound(err):
		if _, err := s.Create(ctx, spec); err != nil {
			return err
		}
	case err != nil:
		return err
	case applied != wish:
		if _, err := s.Update(ctx, spec, true, nil); err != nil {
			return s.agentRefused(ctx, state, wish, notes, err)
		}
	case state.Wanted || s.Held(AgentName):
		return nil // its restart policy keeps it running, or somebody wants it down
	}
	if applied != wish {
		if err := notes.SetNote(ctx, agentNote, wish); err != nil {
			return err
		}
	}
	return s.Start(ctx, AgentName)
}

// agentRefused is for a new [agent] that could not be applied. One that got as far
// as stopping the old agent, which runs again by now, is not tried again until the
// configuration changes: a device must not lose its agent every few minutes. One
// whose image is missing costs nothing to try.
func (s *Supervisor) agentRefused(ctx context.Context, before *State, wish string, notes Notes, cause error) error {
	after, err := s.Get(ctx, AgentName)
	if err != nil || after.Status.StartTime.Equal(before.Status.StartTime) {
		return cause
	}
	s.Log.WithError(cause).Errorf("the %s of the configuration does not start; the old one stays until [agent] changes", AgentName)
	return notes.SetNote(ctx, agentNote, wish)
}

// ForgetAgent makes the next KeepAgent update edgeAgent from its spec, whatever it made
// of itself since. It is for a database that no supervisor has open.
func ForgetAgent(ctx context.Context, notes Notes) error {
	return notes.SetNote(ctx, agentNote, "")
}
