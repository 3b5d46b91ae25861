package bundle

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestKeysAreRead(t *testing.T) {
	for text, want := range map[string]Key{
		"a/1":            {"", "a", "1.0.0"},
		"a/1.2.3.X":      {"", "a", "1.2.3.X"},
		"g/a/2.0":        {"g", "a", "2.0.0"},
		"g/a/b/1":        {"g", "a/b", "1.0.0"}, // of no bundle
		"a/SNAPSHOT":     {"", "a", "SNAPSHOT"}, // of no bundle
		"/a/1":           {"", "a", "1.0.0"},
		"org.x/a b/1.0.": {"org.x", "a b", "1.0."},
	} {
		k, ok := ParseKey(text)
		require.True(t, ok, text)
		require.Equal(t, want, k, text)
	}
	for _, text := range []string{"", "a", "a/", "/1", "//", "g//1", "*"} {
		_, ok := ParseKey(text)
		require.False(t, ok, text)
	}
}

func (r *rig) named(all []Named, err error) string {
	r.t.Helper()
	require.NoError(r.t, err)
	var texts []string
	for _, n := range all {
		texts = append(texts, n.Key+" "+string(n.Kind)+" "+string(n.State)+" "+string(n.Module))
	}
	return strings.Join(texts, ", ")
}

func TestBundlesAreFound(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("b", "1", "Jahia-GroupId", "g", "Jahia-Module-Type", "module"), jar("a", "1.0.0.X"), jar("a", "2", "Jahia-GroupId", "h"))
		r.install(jar("f", "1", "Fragment-Host", "a"))
		const a1, a2, b, f = "a/1.0.0.X BUNDLE INSTALLED ", "h/a/2.0.0 BUNDLE ACTIVE ", "g/b/1.0.0 MODULE ACTIVE STARTED", "f/1.0.0 FRAGMENT INSTALLED "
		for selector, want := range map[string][]string{
			"a": {a1, a2}, "h/a": {a2}, "g/a": nil, "g/*": {b}, "*/a": {a1, a2}, "*/*": {b, a1, a2, f}, "*": {b, a1, a2, f}, "none": nil, "A": nil,
		} {
			require.Equal(t, strings.Join(want, ", "), r.named(r.Select(t.Context(), ParseSelector(selector))), selector)
		}
		require.Equal(t, strings.Join([]string{b, a1, a2, f}, ", "), r.named(r.Select(t.Context(), All)))
		// Under the texts that were asked for, each once; the group is not looked at.
		require.Equal(t, "a/2.0 BUNDLE ACTIVE , x/b/1 MODULE ACTIVE STARTED, a/2 BUNDLE ACTIVE ", r.named(r.Infos(t.Context(), []string{"a/2.0", "x/b/1", "a/2.0", "a/2"})))
		require.Empty(t, r.named(r.Infos(t.Context(), nil)))
		for _, key := range []string{"a", "", "a/", "/1", "*"} {
			_, err := r.Info(t.Context(), key)
			require.True(t, errdefs.IsInvalidArgument(err), key)
			require.ErrorContains(t, err, "Invalid module key: "+key)
		}
		for _, key := range []string{"a/3", "a/1.0.0", "a/1.0.0.x", "a/1.0-SNAPSHOT", "b/2"} {
			_, err := r.Info(t.Context(), key)
			require.True(t, errdefs.IsNotFound(err), key)
			require.ErrorContains(t, err, "Unable to find a module bundle corresponding to the key: "+key)
		}
		_, err := r.Infos(t.Context(), []string{"a/2", "none/1", "bad"})
		require.ErrorContains(t, err, "none/1", "the first that is wrong")
	})
}

func TestNothingFoundNeedsNoFramework(t *testing.T) {
	bare(t, func(t *testing.T, r *rig) {
		all, err := r.Select(t.Context(), All)
		require.NoError(t, err)
		require.Empty(t, all)
		_, err = r.Info(t.Context(), "a/1")
		require.True(t, errdefs.IsNotFound(err))
	})
}

func TestModuleStates(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		module := []string{"Jahia-Module-Type", "module", "Export-Package", "m", "Import-Package", "p"}
		r.install(jar("m", "1", module...))
		is := func(s State, m ModuleState) {
			t.Helper()
			i, err := r.Info(t.Context(), "m/1")
			require.NoError(t, err)
			require.Equal(t, Info{Module, s, m}, i)
		}
		is(Installed, ModuleInstalled)
		r.do("update", "m")
		is(Installed, ModuleUpdated)
		r.run(jar("p", "1", "Export-Package", "p"))
		r.do("start", "m")
		is(Active, ModuleStarted)
		r.do("stop", "m")
		is(Resolved, ModuleResolved)
		r.do("uninstall", "p")
		is(Installed, ModuleInstalled)
		r.run(jar("p", "1", "Export-Package", "p"))
		for s, m := range map[State]ModuleState{Starting: ModuleStarting, Stopping: ModuleStopping, Uninstalled: ""} {
			r.w.mu.Lock()
			r.w.all[1].State = s
			r.w.mu.Unlock()
			is(s, m)
		}
		r.install(jar("old", "1", "Jahia-Module-Type", "module", "Jahia-Required-Version", "7.0"), jar("fits", "1", "Jahia-Module-Type", "module", "Jahia-Required-Version", "8.1"))
		require.Equal(t, "old/1.0.0 MODULE INSTALLED INCOMPATIBLE_VERSION", r.named(r.Select(t.Context(), ParseSelector("old"))))
		require.Equal(t, "fits/1.0.0 MODULE INSTALLED INSTALLED", r.named(r.Select(t.Context(), ParseSelector("fits"))))
	})
}

func TestAnUpdateThatWasResolvedMeanwhileIsNoneAnyMore(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("p", "1", "Export-Package", "p"), jar("m", "1", "Jahia-Module-Type", "module", "Import-Package", "p"))
		r.do("update", "m") // and started again; nobody looks
		r.do("uninstall", "p")
		i, err := r.Info(t.Context(), "m/1")
		require.NoError(t, err)
		require.Equal(t, Info{Module, Installed, ModuleInstalled}, i)
	})
}

func TestQuestionsAreAnsweredWhileAFrameworkIsBeingSettled(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("h", "1"), jar("a", "1"))
		r.w.reboot0("h")
		r.w.activators["h"] = func(ctx context.Context) error { <-ctx.Done(); return nil }
		r.connect()
		begun := time.Now()
		require.Equal(t, Installed, r.state("a/1"), "it is started when h was waited for")
		require.Equal(t, lookPatience, time.Since(begun), "it waits for all to be there, within reason")
	})
}

func TestChangesWakeWhoWaits(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		changed := r.Changed()
		r.install(jar("a", "1"))
		<-changed
	})
}
