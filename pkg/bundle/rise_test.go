package bundle

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// ends lets the process end in the activator of a bundle, as long as it is there.
func (r *rig) ends(name string) {
	r.w.activators[name] = func(context.Context) error {
		r.w.sessions[len(r.w.sessions)-1].End()
		return errEnded
	}
}

// pictured is a framework that has something.
type pictured struct {
	Framework
	of *Picture
}

func (p pictured) Picture() *Picture { return p.of }

// again is another run of the framework, and what edged does with it.
func (r *rig) again() {
	r.w.reboot()
	r.connect()
	time.Sleep(time.Minute)
	synctest.Wait()
}

func TestABundleThatEndsTheFrameworkAgainAndAgainIsHeld(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("good", "1"))
		r.install(jar("bad", "1"))
		r.ends("bad")
		require.Error(t, r.op(t.Context(), "start", "bad"))
		for range heldAfter - 1 {
			r.again()
			require.False(t, r.Held(r.current().all[1]))
		}
		r.again()
		require.True(t, r.Held(r.current().all[1]))
		require.Equal(t, "bad/1.0.0 INSTALLED*, good/1.0.0 ACTIVE*", r.states(), "it is left out, and the others run")
		require.True(t, r.current().all[1].Started, "and it is still to be started")

		delete(r.w.activators, "bad") // it was mended
		r.do("start", "bad")
		r.again()
		require.Equal(t, "bad/1.0.0 ACTIVE*, good/1.0.0 ACTIVE*", r.states())
	})
}

func TestEndsThatHaveNothingToDoWithABundleAreNotItsOwn(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("a", "1"))
		for range 2 * heldAfter {
			r.session0().End()
			r.again()
			require.Equal(t, "a/1.0.0 ACTIVE*", r.states())
		}
	})
}

func TestConnectionsThatEndAreNoFrameworksThatDo(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("a", "1"))
		r.w.activators["a"] = func(ctx context.Context) error { <-ctx.Done(); return nil }
		require.Error(t, r.op(t.Context(), "start", "a")) // and it goes on
		for range 2 * heldAfter {
			r.session0().End()
			r.connect()
		}
		require.False(t, r.Held(r.current().all[0]))
	})
}

func TestEndsAreCountedOfBundlesThatThereAre(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("good", "1"))
		r.install(jar("bad", "1"))
		r.ends("bad")
		require.Error(t, r.op(t.Context(), "start", "bad"))
		for range heldAfter {
			r.again()
		}
		require.True(t, r.Held(r.current().all[1]))
		r.do("uninstall", "bad")
		require.Empty(t, r.Bundles.ends, "what comes under its key next is another bundle")

		foreign := Actual{ID: 99, Location: "of a bundle's own making", State: Starting}
		r.blame(&session{Framework: pictured{of: &Picture{All: []Actual{foreign}, ByLocation: map[string]Actual{foreign.Location: foreign}}}})
		require.Empty(t, r.Bundles.ends)
	})
}

func TestABundleThatHangsIsGotOutOfTheWay(t *testing.T) {
	for _, op := range []string{"stop", "uninstall"} {
		onDevice(t, func(t *testing.T, r *rig) {
			r.run(jar("a", "1"))
			r.install(jar("h", "1"))
			r.w.activators["h"] = func(ctx context.Context) error { <-ctx.Done(); return nil }
			require.Error(t, r.op(t.Context(), "start", "h"))
			r.w.refuse = func(asked, name string) error {
				if asked == op && name == "h 1.0.0" && r.w.all[2] != nil && r.w.all[2].State == Starting {
					return exception(7, "Unable to acquire the state change lock")
				}
				return nil
			}
			r.do(op, "h")
			r.w.refuse = nil
			want := "a/1.0.0 ACTIVE*"
			if op == "stop" {
				want += ", h/1.0.0 INSTALLED"
			}
			require.Equal(t, want, r.states())
			r.settled()
		})
	}
}
