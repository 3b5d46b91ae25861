package bundles

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/pack/packtest"
	"github.com/edged/edged/tests/device"
	"github.com/edged/edged/tests/osgi"
)

func TestBundles(t *testing.T) {
	whole := &rig{device.New(t, device.Options{OSGi: true, Config: "[[grant]]\npermissions = [\"adminTemplates\"]\nmodules = [\"admin\"]\n[bundles]\nstart_timeout = \"6s\"\n"}), t}
	for _, test := range []struct {
		name string
		run  func(*rig)
	}{
		{"the framework runs only for bundles", (*rig).runsOnlyForBundles},
		{"documented calls get documented answers", (*rig).documentedCalls},
		{"real bundles go through every transition", (*rig).realBundles},
		{"a start resolves what it needs", (*rig).startResolves},
		{"a failed start is remembered", (*rig).failedStart},
		{"activators that throw", (*rig).throwingActivators},
		{"one version takes the place of another", (*rig).otherVersions},
		{"what cannot be two", (*rig).notTwice},
		{"fragments, singletons and lazy bundles", (*rig).kinds},
		{"an update in place", (*rig).update},
		{"all or none", (*rig).allOrNone},
		{"dependencies in Jahia's way", (*rig).jahia},
		{"a deployment package", (*rig).deploymentPackage},
		{"states are stored and restored", (*rig).persistentStates},
		{"who may", (*rig).whoMay},
		{"the host's container", (*rig).container},
		{"edgectl", (*rig).edgectl},
		{"no state is older than the framework", (*rig).crashes},
		{"bundles that end the framework", (*rig).badBundles},
	} {
		require.True(t, t.Run(test.name, func(t *testing.T) {
			r := whole.sub(t)
			test.run(r)
			r.clear()
		}))
	}
}

func (r *rig) runsOnlyForBundles() {
	_, status := r.Get("osgiHost")
	require.Equal(r.t, http.StatusNotFound, status, "no bundle, no framework")
	r.install(false, debian(r.t, "commons-lang3"))
	require.Equal(r.t, "RESOLVED", r.resolvedOrInstalled("org.apache.commons.lang3/3.12.0"))
	r.WaitFor("osgiHost", "running")
	r.do("org.apache.commons.lang3", "uninstall")
	r.WaitFor("osgiHost", "stopped")
	r.install(true, debian(r.t, "commons-lang3"))
	require.Equal(r.t, "ACTIVE", r.state("org.apache.commons.lang3/3.12.0"))
}

// resolvedOrInstalled lets a framework resolve early what nobody started yet.
func (r *rig) resolvedOrInstalled(key string) string {
	s := r.state(key)
	if s == "INSTALLED" {
		return "RESOLVED"
	}
	return s
}

func (r *rig) realBundles() {
	names := map[string]string{
		"slf4j-api": "slf4j.api", "commons-lang3": "org.apache.commons.lang3", "commons-io": "org.apache.commons.io", "gson": "com.google.gson", "org.apache.felix.scr": "org.apache.felix.scr",
	}
	for jar, name := range names {
		r.install(false, debian(r.t, jar))
		r.do(name, "start")
		key := ""
		for k, state := range r.states() {
			if strings.HasPrefix(k, name+"/") {
				key = k
				require.Equal(r.t, "ACTIVE", state, k)
			}
		}
		require.NotEmpty(r.t, key, name)
		for _, step := range [][2]string{{"stop", "RESOLVED"}, {"start", "ACTIVE"}, {"refresh", "ACTIVE"}, {"update", "ACTIVE"}, {"start", "ACTIVE"}, {"stop", "RESOLVED"}, {"update", "INSTALLED RESOLVED"}, {"start", "ACTIVE"}} {
			r.do(key, step[0])
			// One that is used is made anew with those that use it, and resolved by that.
			require.Contains(r.t, step[1], r.state(key), "%s after %s", key, step[0])
		}
		r.install(true, debian(r.t, jar))
		require.Equal(r.t, "ACTIVE", r.state(key), "the same key again")
	}
	require.Len(r.t, r.states(), len(names))
	for _, name := range names {
		r.do(name, "uninstall")
	}
	require.Empty(r.t, r.states())
}

func (r *rig) startResolves() {
	r.install(false, article(r.t, "1.0.0"), news(r.t, "1.0.0"))
	r.do("news", "start")
	require.Equal(r.t, map[string]string{"org.jahia.modules/article/1.0.0": "RESOLVED", "org.jahia.modules/news/1.0.0": "ACTIVE"}, r.states(), "the provider is resolved, and not started")
	r.do("article", "start")
	r.do("article", "stop")
	require.Equal(r.t, "ACTIVE", r.state("news/1.0.0"), "who uses it goes on")
	r.do("article", "uninstall")
	require.Equal(r.t, map[string]string{"org.jahia.modules/news/1.0.0": "INSTALLED"}, r.states(), "it was made anew without what it needs")
	require.Contains(r.t, r.fault("news", "start"), "article", "the framework says what is missing")
	r.install(false, article(r.t, "1.0.0"))
	require.Equal(r.t, "ACTIVE", r.state("news/1.0.0"), "what was to be started comes up with what it needs")
}

func (r *rig) failedStart() {
	a := r.tryInstall(true, news(r.t, "1.0.0"))
	cause := r.refused(a)
	require.Contains(r.t, a.Body, `"message":"Error while starting bundle org.jahia.modules/news/1.0.0"`)
	require.True(r.t, strings.HasPrefix(cause, "org.osgi.framework.BundleException: "), cause)
	require.Contains(r.t, cause, "article")
	require.Equal(r.t, "INSTALLED", r.state("news/1.0.0"))
	r.install(false, article(r.t, "1.0.0"))
	require.Equal(r.t, "ACTIVE", r.state("news/1.0.0"))
	r.do("news", "stop")
	r.do("article", "uninstall")
	r.install(false, article(r.t, "1.0.0"))
	require.NotEqual(r.t, "ACTIVE", r.state("news/1.0.0"), "what was stopped stays stopped")
}

func (r *rig) throwingActivators() {
	cause := r.refused(r.tryInstall(true, active(r.t, "startfails", "1.0.0")))
	require.Contains(r.t, cause, "the disk burns", "the reason at the bottom")
	require.Equal(r.t, "RESOLVED", r.state("startfails/1.0.0"))
	r.install(true, active(r.t, "stopfails", "1.0.0"))
	require.Contains(r.t, r.fault("stopfails", "stop"), "no stop")
	require.Equal(r.t, "RESOLVED", r.state("stopfails/1.0.0"), "it is stopped all the same")
	r.do("stopfails", "start")
	r.do("stopfails", "start")
	require.Equal(r.t, "ACTIVE", r.state("stopfails/1.0.0"), "it can be started again")
}

func (r *rig) otherVersions() {
	r.install(true, active(r.t, "good", "1.0.0"))
	r.install(true, active(r.t, "good", "2.0.0"))
	require.Equal(r.t, "ACTIVE", r.state("good/2.0.0"))
	require.NotEqual(r.t, "ACTIVE", r.state("good/1.0.0"))
	r.do("good/1.0", "start")
	require.Equal(r.t, "ACTIVE", r.state("good/1"))
	require.NotEqual(r.t, "ACTIVE", r.state("good/2.0.0"))
	require.Equal(r.t, http.StatusNotFound, r.try("good", "stop").Status, "which of them, nobody said")
	r.killFramework()
	require.Equal(r.t, "ACTIVE", r.state("good/1.0.0"))
	require.NotEqual(r.t, "ACTIVE", r.state("good/2.0.0"))
}

func (r *rig) notTwice() {
	r.install(true, active(r.t, "good", "1.0.0"))
	a := r.tryInstall(false, plain(r.t, "good", "1.0.0", "Jahia-GroupId: another"))
	require.Contains(r.t, a.Body, `"message":"Error while installing bundle"`)
	require.Contains(r.t, r.refused(a), `A bundle is already installed with the name "good" and version "1.0.0"`)
	require.Equal(r.t, map[string]string{"good/1.0.0": "ACTIVE"}, r.states())
}

func (r *rig) kinds() {
	r.install(false, plain(r.t, "good", "1.0.0"), plain(r.t, "part", "1.0.0", "Fragment-Host: good"))
	require.Contains(r.t, r.fault("part", "start"), "org.osgi.framework.BundleException")
	r.do("good", "start")
	require.Equal(r.t, map[string]string{"good/1.0.0": "ACTIVE", "part/1.0.0": "RESOLVED"}, r.states())
	a := r.Host(http.MethodGet, root+"/part/1.0.0/_localInfo", "")
	require.Equal(r.t, `{"type":"FRAGMENT","osgiState":"RESOLVED","moduleState":null}`, a.Body)

	r.install(true, plain(r.t, "single", "1.0.0", "X: y"))
	r.install(true, osgi.Jar(r.t, nil, "Bundle-ManifestVersion: 2", "Bundle-SymbolicName: one;singleton:=true", "Bundle-Version: 1.0.0"))
	require.Equal(r.t, "ACTIVE", r.state("one/1.0.0"))
	r.install(true, osgi.Jar(r.t, nil, "Bundle-ManifestVersion: 2", "Bundle-SymbolicName: one;singleton:=true", "Bundle-Version: 2.0.0"))
	require.Equal(r.t, "ACTIVE", r.state("one/2.0.0"))
	require.Equal(r.t, "INSTALLED", r.state("one/1.0.0"), "only one of them is resolved")

	r.install(true, osgi.Bundle(r.t, "lazy", "1.0.0", classes(r.t).Of("lazy"), "Bundle-ActivationPolicy: lazy"))
	require.Equal(r.t, "STARTING", r.state("lazy/1.0.0"), "until one of its classes is asked for")
}

func (r *rig) update() {
	r.install(true, article(r.t, "1.0.0"), news(r.t, "1.0.0"))
	// The same key with other bytes: what news needs is gone.
	r.install(false, plain(r.t, "article", "1.0.0", "Jahia-GroupId: org.jahia.modules", "Jahia-Module-Type: system"))
	require.Equal(r.t, map[string]string{"org.jahia.modules/article/1.0.0": "ACTIVE", "org.jahia.modules/news/1.0.0": "INSTALLED"}, r.states())
	r.install(false, article(r.t, "1.0.0"))
	require.Equal(r.t, map[string]string{"org.jahia.modules/article/1.0.0": "ACTIVE", "org.jahia.modules/news/1.0.0": "ACTIVE"}, r.states())
	r.install(true, active(r.t, "counts", "1.0.0"))
	r.install(false, active(r.t, "counts", "1.0.0", "X: another"))
	require.Equal(r.t, "ACTIVE", r.state("counts/1.0.0"))
	r.killFramework()
	require.Equal(r.t, "ACTIVE", r.state("counts/1.0.0"))
	require.Contains(r.t, r.Logs("osgiHost", "&tail=20"), "started 3 times", "its own data outlives update and crash")
}

func (r *rig) allOrNone() {
	r.install(true, active(r.t, "good", "1.0.0"))
	before := r.states()
	a := r.tryInstall(true, active(r.t, "good", "1.0.0", "X: another"), plain(r.t, "new", "1.0.0"), []byte("no bundle"))
	require.Equal(r.t, http.StatusBadRequest, a.Status, a.Body)
	require.Equal(r.t, before, r.states())
	a = r.tryInstall(true, plain(r.t, "new", "1.0.0"), plain(r.t, "java", "1.0.0", "Export-Package: java.lang"))
	require.Equal(r.t, http.StatusBadRequest, a.Status, a.Body)
	require.Contains(r.t, a.Body, "Export-Package")
	require.Equal(r.t, before, r.states())
	// What only the framework knows: a bundle of the host's own that is in the way is none.
	a = r.tryInstall(true, plain(r.t, "new", "1.0.0"), plain(r.t, "new", "1.0.0", "X: twice"))
	require.Equal(r.t, http.StatusBadRequest, a.Status, a.Body)
	require.Equal(r.t, before, r.states())
}

func (r *rig) jahia() {
	r.install(false, plain(r.t, "needs", "1.0.0", "Jahia-Module-Type: system", "Jahia-Depends: base=[1.4,2)"))
	require.Contains(r.t, r.fault("needs", "start"), "moduleIdentifier=base")
	r.install(false, plain(r.t, "base", "2.0.0", "Jahia-Module-Type: system"))
	require.Equal(r.t, "INSTALLED", r.state("needs/1.0.0"), "its version is too high")
	r.install(false, plain(r.t, "base", "1.5.0", "Jahia-Module-Type: system"))
	a := r.Host(http.MethodGet, root+"/needs/1.0.0/_localInfo", "")
	require.Equal(r.t, `{"type":"MODULE","osgiState":"ACTIVE","moduleState":"STARTED"}`, a.Body)
	r.install(false, plain(r.t, "old", "1.0.0", "Jahia-Module-Type: system", "Jahia-Required-Version: 8.1.2"))
	require.Contains(r.t, r.fault("old", "start"), "com.jahia.server")
	a = r.Host(http.MethodGet, root+"/old/1.0.0/_localInfo", "")
	require.Equal(r.t, `{"type":"MODULE","osgiState":"INSTALLED","moduleState":"INCOMPATIBLE_VERSION"}`, a.Body)
}

func (r *rig) deploymentPackage() {
	dp := packtest.DeploymentPackage{
		Files: map[string][]byte{"bundles/a.jar": article(r.t, "1.0.0"), "bundles/n.jar": news(r.t, "1.0.0")},
		Sections: map[string]map[string]string{
			"bundles/a.jar": {"Bundle-SymbolicName": "article", "Bundle-Version": "1.0.0"}, "bundles/n.jar": {"Bundle-SymbolicName": "news", "Bundle-Version": "1.0.0"},
		},
	}.Bytes()
	a := r.tryInstall(true, dp)
	require.Equal(r.t, http.StatusOK, a.Status, a.Body)
	var done wire.BundleOperation
	require.NoError(r.t, json.Unmarshal([]byte(a.Body), &done))
	require.Len(r.t, done.BundleInfos, 2)
	require.Equal(r.t, map[string]string{"org.jahia.modules/article/1.0.0": "ACTIVE", "org.jahia.modules/news/1.0.0": "ACTIVE"}, r.states())
}
