package osgihost

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/osgi"
)

// TestBundlesOfDebian takes real ones through every transition.
func TestBundlesOfDebian(t *testing.T) {
	h, l := newRig(t).start()
	for _, jar := range []string{"commons-lang3", "commons-io", "gson", "slf4j-api", "slf4j-simple", "org.apache.felix.scr"} {
		bytes := osgi.Read(t, osgi.Debian(t, jar))
		b := l.install("dx:"+jar, bytes)
		require.Equal(t, "ACTIVE", l.on("start", b.ID).State, jar)
		require.Equal(t, "RESOLVED", l.on("stop", b.ID).State, jar)
		require.Equal(t, "ACTIVE", l.on("start", b.ID).State, jar)
		b = l.update(b.ID, bytes)
		require.Equal(t, "ACTIVE", b.State, jar)
		require.Equal(t, digestOf(bytes), b.Digest, jar)
		l.refresh(b.ID)
		require.Equal(t, "ACTIVE", l.get(b.ID).State, jar)
		require.Equal(t, "UNINSTALLED", l.on("uninstall", b.ID).State, jar)
		l.refresh()
	}
	for _, own := range []string{"slf4j.api", "slf4j.simple", "org.apache.felix.scr"} {
		b := l.named(own)
		require.Contains(t, b.Location, "host:", "the host's own is back")
		require.Equal(t, "ACTIVE", b.State, own)
	}
	require.Equal(t, 0, h.stop())
}

// TestTheHostsOwnGivesWay to a bundle with its name and version, and comes back.
func TestTheHostsOwnGivesWay(t *testing.T) {
	r := newRig(t)
	h, l := r.start()
	slf4j := osgi.Read(t, osgi.Debian(t, "slf4j-api"))
	logs := l.install("dx:logs", active(t, "logs", "1.0.0"))
	l.on("start", logs.ID)
	h.says("WARN Activator - said through slf4j")

	uses := func() []int {
		var wires struct{ Requires []int }
		l.do("wires", members{"bundle": logs.ID}, &wires)
		return wires.Requires
	}
	require.Contains(t, uses(), l.named("slf4j.api").ID)

	mine := l.install("dx:slf4j", slf4j)
	require.Equal(t, mine.ID, l.named("slf4j.api").ID)
	require.Contains(t, uses(), mine.ID, "what used the host's own uses the new one")
	require.Equal(t, "ACTIVE", l.get(logs.ID).State)
	require.Equal(t, "ACTIVE", l.named("slf4j.simple").State)

	// Across a restart, too.
	require.Equal(t, 0, h.stop())
	_, l = r.start()
	require.Equal(t, mine.ID, l.named("slf4j.api").ID)
	require.Equal(t, "ACTIVE", l.get(logs.ID).State)

	l.on("uninstall", mine.ID)
	require.Equal(t, "host:slf4j-api.jar", l.named("slf4j.api").Location)
	l.refresh()
	require.Equal(t, "ACTIVE", l.get(logs.ID).State)
	require.Contains(t, uses(), l.named("slf4j.api").ID)

	// An update can take the name and give it back.
	other := l.install("dx:other", plain(t, "other", "1.0.0"))
	l.update(other.ID, slf4j)
	require.Equal(t, other.ID, l.named("slf4j.api").ID)
	l.update(other.ID, plain(t, "other", "1.0.1"))
	require.Equal(t, "host:slf4j-api.jar", l.named("slf4j.api").Location)

	// What is refused takes nothing away.
	a := l.wait(l.send("install", members{"location": "dx:bad"}, plain(t, "slf4j.api", "1.7.32", "Export-Package: java.lang")))
	require.NotNil(t, a.Error)
	l.refresh()
	require.Equal(t, "host:slf4j-api.jar", l.named("slf4j.api").Location)
	require.Equal(t, "ACTIVE", l.named("slf4j.api").State)
	require.Equal(t, "ACTIVE", l.get(logs.ID).State)
}

// TestTheHostsOwnFollowTheImage: what a newer one has is updated, what it no longer has goes.
func TestTheHostsOwnFollowTheImage(t *testing.T) {
	r := newRig(t)
	// The test's own in place of the image's.
	r.env = []string{"EDGED_OSGI_BUNDLES=/run/edged/bundles"}
	folder := filepath.Join(r.folder, "run", "bundles", "3")
	require.NoError(t, os.MkdirAll(folder, 0o755))
	write := func(file string, bytes []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, file), bytes, 0o644))
	}
	write("a.jar", plain(t, "a", "1.0.0"))
	write("b.jar", plain(t, "b", "1.0.0", "Import-Package: nobody.has.it"))
	write("c.jar", []byte("no jar"))
	h, l := r.start()
	a := l.named("a")
	require.Equal(t, "ACTIVE", a.State)
	require.Equal(t, 3, a.StartLevel)
	require.Equal(t, "INSTALLED", l.named("b").State, "one that cannot start costs nobody else")
	h.says("host:c.jar")
	h.kill()

	write("a.jar", plain(t, "a", "1.1.0"))
	require.NoError(t, os.Remove(filepath.Join(folder, "b.jar")))
	_, l = r.start()
	require.Equal(t, "1.1.0", l.named("a").Version)
	require.Equal(t, a.ID, l.named("a").ID)
	require.Equal(t, "ACTIVE", l.named("a").State)
	for _, bundle := range l.list() {
		require.NotEqual(t, "b", bundle.SymbolicName)
	}
}

// TestDeclarativeServicesRun with the host's own runtime of them.
func TestDeclarativeServicesRun(t *testing.T) {
	h, l := newRig(t).start()
	part := map[string][]byte{"OSGI-INF/part.xml": []byte(`<?xml version="1.0"?>
		<scr:component xmlns:scr="http://www.osgi.org/xmlns/scr/v1.3.0" name="part" immediate="true" activate="activate"><implementation class="component.Part"/></scr:component>`)}
	for name, body := range classes(t).Of("component") {
		part[name] = body
	}
	b := l.install("dx:component", osgi.Bundle(t, "component", "1.0.0", part, "Service-Component: OSGI-INF/part.xml"))
	l.on("start", b.ID)
	h.says("the component is active")
}
