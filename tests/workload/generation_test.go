package workload

import (
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// A module that runs under an identity that was deleted is nobody, until it is made anew.
func TestAStaleGenerationIsNobody(t *testing.T) {
	d := device.New(t, device.Options{})
	m := run(t, d, "sensor")
	const identityCertificate = "/modules/sensor/certificate/identity"
	require.Equal(t, http.StatusCreated, m.post(identityCertificate, "").Status)
	digest, sealed := m.sign("text"), m.encrypt("plain", "iv")
	requireNobody := func() {
		t.Helper()
		for action, body := range map[string]string{"sign": signBody("text"), "decrypt": decryptBody(sealed, "iv"), "certificate/server": `{"commonName":"sensor"}`} {
			require.Equal(t, http.StatusNotFound, m.post(m.path(action), body).Status, action)
		}
	}
	requireStale := func() {
		t.Helper()
		requireNobody()
		// Its path names no generation id: the one that the container was made with counts.
		require.Equal(t, http.StatusNotFound, m.post(identityCertificate, "").Status)
	}
	deleteIdentity(t, d, "sensor")
	requireStale()
	id := identity(t, d, "sensor")
	require.NotEqual(t, m.generation(), id.GenerationID)
	require.Equal(t, id, identity(t, d, "$sensor"), "one that is there stays as it is")
	requireStale()
	d.Post("sensor", "restart")
	require.Equal(t, m.generation(), join(t, d, "sensor").generation(), "a restart makes nothing anew")
	requireStale()
	d.Edged.Signal(syscall.SIGTERM)
	<-d.Edged.Done()
	d.StartEdged()
	requireStale()

	a := d.Agent().Manage(http.MethodPut, "/modules/sensor?start=true", d.Body(d.Spec("sensor")))
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	anew := join(t, d, "sensor")
	require.Equal(t, id.GenerationID, anew.generation())
	require.NotEqual(t, digest, anew.sign("text"))
	require.Equal(t, http.StatusCreated, anew.post(identityCertificate, "").Status)
	require.Equal(t, http.StatusBadRequest, anew.post(anew.path("decrypt"), decryptBody(sealed, "iv")).Status)
	requireNobody() // in the old generation's name
}

func TestAModuleWithoutAnIdentityGetsOne(t *testing.T) {
	d := device.New(t, device.Options{})
	m := run(t, d, "sensor")
	require.Equal(t, m.generation(), identity(t, d, "sensor").GenerationID)
	deleteModule(t, d, "sensor")
	require.Equal(t, m.generation(), identity(t, d, "sensor").GenerationID, "an identity outlives its module")
	deleteIdentity(t, d, "sensor")
	again := run(t, d, "sensor")
	require.NotEqual(t, m.generation(), again.generation())
	require.NotEmpty(t, again.sign("text"))
}

// The first daemon of this protocol glued the module's name and the generation id together: "foo" and "1g" gave the key of "foo1" and "g".
func TestNamesAndGenerationsAreNotGluedTogether(t *testing.T) {
	d := device.New(t, device.Options{})
	foo, foo1, upper, percent := run(t, d, "foo"), run(t, d, "foo1"), run(t, d, "Foo"), run(t, d, "foo%31")
	victim := foo1.encrypt("plain", "iv")
	attacks := map[string]int{
		// Its own name, and what would complete it to the victim's.
		path("foo", "1"+foo1.generation(), "decrypt"):             http.StatusNotFound,
		path("foo", "1/genid/"+foo1.generation(), "decrypt"):      http.StatusNotFound,
		path("foo", foo1.generation(), "decrypt"):                 http.StatusNotFound,
		path("foo", strings.ToLower(foo.generation()), "decrypt"): http.StatusNotFound,
		path("foo", foo.generation()+" ", "decrypt"):              http.StatusNotFound,
		path("foo", foo.generation()+"\x00", "decrypt"):           http.StatusNotFound,
		"/modules/foo/genid//decrypt":                             http.StatusNotFound,
		// The victim's name, written as nobody writes it.
		path("foo1", foo1.generation(), "decrypt"):                http.StatusForbidden,
		path("$foo1", foo1.generation(), "decrypt"):               http.StatusForbidden,
		"/modules/$foo1/genid/" + foo1.generation() + "/decrypt":  http.StatusForbidden,
		"/modules/foo%31/genid/" + foo1.generation() + "/decrypt": http.StatusForbidden,
		"/modules/%66oo1/genid/" + foo1.generation() + "/decrypt": http.StatusForbidden,
		"/modules/foo1/GENID/" + foo1.generation() + "/DECRYPT":   http.StatusForbidden,
		path("FOO1", foo1.generation(), "decrypt"):                http.StatusForbidden,
		// Names that come out as the asker's only when they are read twice, or not at all.
		"/modules/%2566oo/genid/" + foo.generation() + "/decrypt":          http.StatusForbidden,
		"/modules/%2524foo/genid/" + foo.generation() + "/decrypt":         http.StatusForbidden,
		path("$$foo", foo.generation(), "decrypt"):                         http.StatusForbidden,
		path("foo ", foo.generation(), "decrypt"):                          http.StatusForbidden,
		path("FOO", foo.generation(), "decrypt"):                           http.StatusForbidden,
		path("foo\x00", foo.generation(), "decrypt"):                       http.StatusForbidden,
		"/modules/foo/../foo1/genid/" + foo1.generation() + "/decrypt":     http.StatusNotFound,
		"/modules/foo%2F..%2Ffoo1/genid/" + foo1.generation() + "/decrypt": http.StatusForbidden,
		"/modules/foo%2Fgenid%2F" + foo1.generation() + "/decrypt":         http.StatusNotFound,
	}
	for route, want := range attacks {
		for _, m := range []*member{foo, foo.shared()} {
			a := m.post(route, decryptBody(victim, "iv"))
			require.Equal(t, want, a.Status, "%s: %s", route, a.Body)
			require.NotContains(t, a.Body, b64("plain"))
		}
	}
	// With their own names right, what differs is the key.
	digests := map[string]string{}
	for _, m := range []*member{foo, foo1, upper, percent} {
		digests[m.sign("text")] = m.id()
		if m != foo1 {
			require.Equal(t, http.StatusBadRequest, m.post(m.path("decrypt"), decryptBody(victim, "iv")).Status, m.id())
		}
	}
	require.Len(t, digests, 4)
	// The forms that do mean the same module are the same module.
	for _, name := range []string{"$foo", "%24foo", "f%6Fo", "%24f%6Fo"} {
		a := foo.post("/modules/"+name+"/genid/"+url.PathEscape(foo.generation())+"/sign", signBody("text"))
		require.Equal(t, foo.sign("text"), foo.field(a, "digest"), name)
	}
	require.Equal(t, percent.sign("text"), percent.field(percent.post("/modules/foo%2531/genid/"+percent.generation()+"/sign", signBody("text")), "digest"))
}
