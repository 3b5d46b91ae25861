package osgihost

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/osgi"
)

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Numbers of BundleException.getType.
const (
	manifestError  = 3
	resolveError   = 4
	activatorError = 5
	duplicateError = 9
)

func TestTheFrameworkIntroducesItself(t *testing.T) {
	h, l := newRig(t).start()
	require.EqualValues(t, 1, l.hello["hello"])
	require.Equal(t, "org.eclipse.osgi", l.hello["framework"])
	require.Equal(t, "1.10.0", l.hello["osgi"])
	require.EqualValues(t, 17, l.hello["javaLevel"])
	require.NotEmpty(t, l.hello["session"])
	require.NotContains(t, l.hello, "recovered")

	all := l.list()
	require.Equal(t, 0, all[0].ID)
	require.Equal(t, "System Bundle", all[0].Location)
	require.Equal(t, "ACTIVE", all[0].State)
	for _, name := range []string{"slf4j.api", "slf4j.simple", "org.apache.felix.scr"} {
		own := l.named(name)
		require.Equal(t, "ACTIVE", own.State, name)
		require.Empty(t, own.Digest)
		require.Less(t, own.StartLevel, 10)
		require.Equal(t, "java.lang.IllegalArgumentException", l.fails("uninstall", members{"bundle": own.ID}).Class)
	}
	require.Equal(t, "java.lang.IllegalArgumentException", l.fails("stop", members{"bundle": 0}).Class)
	require.Equal(t, 0, h.stop(), "a stop in good order is no failure")
}

func TestLifeCycle(t *testing.T) {
	_, l := newRig(t).start()

	t.Run("start resolves the provider and does not start it", func(t *testing.T) {
		bytes := api(t, "1.0.0")
		provider := l.install("dx:api/1.0.0", bytes)
		require.Equal(t, bundle{
			ID: provider.ID, Location: "dx:api/1.0.0", SymbolicName: "api", Version: "1.0.0", State: "INSTALLED", StartLevel: 80, Digest: digestOf(bytes),
		}, provider)
		importer := l.install("dx:user/1.0.0", user(t))
		started := l.on("start", importer.ID)
		require.Equal(t, "ACTIVE", started.State)
		require.True(t, started.Persistent)
		require.Equal(t, "RESOLVED", l.get(provider.ID).State)
		require.Equal(t, []string{"INSTALLED", "RESOLVED", "STARTING", "STARTED"}, l.seen(importer.ID), "sent before the answer")

		var wires struct{ Provides, Requires []int }
		l.do("wires", members{"bundle": provider.ID}, &wires)
		require.Equal(t, []int{importer.ID}, wires.Provides)
		require.Equal(t, []int{0}, append(wires.Requires, 0)[:1])
		var closure []int
		l.do("closure", members{"bundles": []int{provider.ID}}, &closure)
		require.Equal(t, []int{provider.ID, importer.ID}, closure)
	})
	provider, importer := l.named("api"), l.named("user")

	t.Run("stop of the provider leaves dependents active", func(t *testing.T) {
		l.on("start", provider.ID)
		require.Equal(t, "RESOLVED", l.on("stop", provider.ID).State)
		require.False(t, l.get(provider.ID).Persistent)
		require.Equal(t, "ACTIVE", l.get(importer.ID).State)
	})
	t.Run("update keeps the wiring of importers until a refresh", func(t *testing.T) {
		l.on("start", provider.ID)
		bytes := api(t, "1.5.0")
		updated := l.update(provider.ID, bytes)
		require.Equal(t, "1.5.0", updated.Version)
		require.Equal(t, "ACTIVE", updated.State, "stopped and started at once")
		require.Equal(t, digestOf(bytes), updated.Digest)
		require.Equal(t, "ACTIVE", l.get(importer.ID).State)
		l.refresh(provider.ID)
		require.Equal(t, "ACTIVE", l.get(importer.ID).State, "its requirement is still met")

		l.update(provider.ID, api(t, "2.0.0"))
		require.Equal(t, "ACTIVE", l.get(importer.ID).State)
		l.refresh()
		require.Equal(t, "INSTALLED", l.get(importer.ID).State, "[1,2) is met by nobody")
		require.True(t, l.get(importer.ID).Persistent)
		l.update(provider.ID, api(t, "1.0.0"))
		l.on("start", importer.ID)
	})
	t.Run("uninstall of the provider leaves dependents active until a refresh", func(t *testing.T) {
		require.Equal(t, "UNINSTALLED", l.on("uninstall", provider.ID).State)
		require.Equal(t, "ACTIVE", l.get(importer.ID).State)
		var closure []int
		l.do("closure", members{"bundles": []int{provider.ID}}, &closure)
		require.Contains(t, closure, importer.ID, "who uses what was uninstalled is known until the refresh")
		l.refresh(provider.ID)
		require.Equal(t, "INSTALLED", l.get(importer.ID).State)
		require.True(t, l.get(importer.ID).Persistent)
		e := l.fails("start", members{"bundle": importer.ID})
		require.Equal(t, "org.osgi.framework.BundleException", e.Class)
		require.Equal(t, resolveError, e.Type)
		require.Contains(t, e.Message, "api")
	})
	t.Run("a failed start stays persistent and succeeds when its provider comes", func(t *testing.T) {
		require.True(t, l.get(importer.ID).Persistent)
		require.Equal(t, "INSTALLED", l.get(importer.ID).State)
		l.install("dx:api/1.0.0", api(t, "1.0.0"))
		require.Equal(t, "ACTIVE", l.on("start", importer.ID).State)
	})
	t.Run("a start that is transient leaves no wish", func(t *testing.T) {
		b := l.install("dx:good", active(t, "good", "1.0.0"))
		l.do("start", members{"bundle": b.ID, "transient": true}, &b)
		require.Equal(t, "ACTIVE", b.State)
		require.False(t, b.Persistent)
	})
	t.Run("an activator throws", func(t *testing.T) {
		b := l.install("dx:startfails", active(t, "startfails", "1.0.0"))
		e := l.fails("start", members{"bundle": b.ID})
		require.Equal(t, activatorError, e.Type)
		require.Equal(t, "java.io.IOException: the disk burns", e.Cause)
		require.Equal(t, "RESOLVED", l.get(b.ID).State)

		b = l.install("dx:stopfails", active(t, "stopfails", "1.0.0"))
		l.on("start", b.ID)
		require.Equal(t, activatorError, l.fails("stop", members{"bundle": b.ID}).Type)
		require.Equal(t, "RESOLVED", l.get(b.ID).State)
	})
	t.Run("an update that cannot resolve", func(t *testing.T) {
		b := l.named("good")
		l.on("start", b.ID)
		bytes := plain(t, "good", "1.1.0", "Import-Package: nobody.has.it")
		require.Equal(t, "INSTALLED", l.update(b.ID, bytes).State)
		require.Equal(t, digestOf(bytes), l.get(b.ID).Digest)
	})
	t.Run("a refused update changes nothing", func(t *testing.T) {
		b := l.named("stopfails")
		a := l.wait(l.send("update", members{"bundle": b.ID}, plain(t, "stopfails", "1-0")))
		require.Equal(t, manifestError, a.Error.Type)
		require.Equal(t, b, l.get(b.ID))
	})
	t.Run("the same again, and the same elsewhere", func(t *testing.T) {
		first := l.install("dx:same", plain(t, "same", "1.0.0"))
		again := l.install("dx:same", plain(t, "other", "9.0.0"))
		require.Equal(t, first, again, "the same location gives the bundle that is there")
		a := l.wait(l.send("install", members{"location": "dx:elsewhere"}, plain(t, "same", "1.0.0")))
		require.Equal(t, duplicateError, a.Error.Type)
	})
	t.Run("a fragment", func(t *testing.T) {
		b := l.install("dx:fragment", plain(t, "fragment", "1.0.0", "Fragment-Host: same"))
		require.True(t, b.Fragment)
		l.fails("start", members{"bundle": b.ID})
		l.on("start", l.named("same").ID)
		l.refresh(l.named("same").ID)
		require.Equal(t, "RESOLVED", l.get(b.ID).State)
		l.fails("stop", members{"bundle": b.ID})
		require.Equal(t, "ACTIVE", l.named("same").State)
	})
	t.Run("of a singleton one resolves", func(t *testing.T) {
		one := l.install("dx:single/1", plain(t, "single;singleton:=true", "1.0.0"))
		require.Equal(t, "single", one.SymbolicName)
		require.Equal(t, "ACTIVE", l.on("start", one.ID).State)
		two := l.install("dx:single/2", plain(t, "single;singleton:=true", "2.0.0"))
		require.Equal(t, resolveError, l.fails("start", members{"bundle": two.ID}).Type)
		var resolved struct{ Resolved bool }
		l.do("resolve", members{"bundles": []int{two.ID}}, &resolved)
		require.False(t, resolved.Resolved)
		l.do("resolve", members{"bundles": []int{one.ID}}, &resolved)
		require.True(t, resolved.Resolved)
	})
	t.Run("lazy activation waits for a class", func(t *testing.T) {
		b := l.install("dx:lazy", plain(t, "lazy", "1.0.0", "Bundle-ActivationPolicy: lazy"))
		require.True(t, b.Lazy)
		require.Equal(t, "STARTING", l.on("start", b.ID).State)
	})
	t.Run("a start level above the framework's", func(t *testing.T) {
		b := l.install("dx:high", plain(t, "high", "1.0.0"))
		l.do("setStartLevel", members{"bundle": b.ID, "level": 200}, &b)
		require.Equal(t, 200, b.StartLevel)
		b = l.on("start", b.ID)
		require.Equal(t, "INSTALLED", b.State)
		require.True(t, b.Persistent)
		l.do("setStartLevel", members{"bundle": b.ID, "level": 50}, &b)
		require.Eventually(t, func() bool { return l.get(b.ID).State == "ACTIVE" }, patience, 10*time.Millisecond)
	})
	t.Run("manifests that are refused", func(t *testing.T) {
		for name, jar := range map[string][]byte{
			"version":   plain(t, "bad", "1.0-SNAPSHOT"),
			"no name":   osgi.Jar(t, nil, "Bundle-ManifestVersion: 2"),
			"java":      plain(t, "bad", "1.0.0", "Export-Package: java.lang"),
			"duplicate": plain(t, "bad", "1.0.0", "Import-Package: a,a"),
		} {
			a := l.wait(l.send("install", members{"location": "dx:bad"}, jar))
			require.NotNil(t, a.Error, name)
			require.Equal(t, manifestError, a.Error.Type, name)
		}
		a := l.wait(l.send("install", members{"location": "dx:bad"}, []byte("no jar")))
		require.NotNil(t, a.Error)
		bare := l.install("dx:bare", osgi.Jar(t, nil))
		require.Empty(t, bare.SymbolicName, "a jar without a name is a bundle to the framework; edged refuses it before")
	})
	t.Run("a bundle that is not there", func(t *testing.T) {
		for _, op := range []string{"start", "stop", "uninstall", "setStartLevel", "wires"} {
			require.Equal(t, "java.lang.IllegalArgumentException", l.fails(op, members{"bundle": 4711, "level": 1}).Class, op)
		}
		require.Equal(t, "java.lang.IllegalArgumentException", l.fails("refresh", members{"bundles": []int{4711}}).Class)
		a := l.wait(l.send("update", members{"bundle": 4711}, []byte("x")))
		require.Equal(t, "java.lang.IllegalArgumentException", a.Error.Class)
	})
	t.Run("a bundle logs and writes temporary files", func(t *testing.T) {
		b := l.install("dx:logs", active(t, "logs", "1.0.0"))
		require.Equal(t, "ACTIVE", l.on("start", b.ID).State)
	})
}
