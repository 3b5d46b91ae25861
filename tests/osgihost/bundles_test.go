package osgihost

import (
	"sync"
	"testing"

	"github.com/edged/edged/tests/osgi"
)

// sources are the bundles' classes, a package a bundle.
var sources = map[string]string{
	"api/Api.java":              `package api; public class Api { }`,
	"user/Activator.java":       activator("user", `System.err.println("user has " + new api.Api());`, ""),
	"good/Activator.java":       activator("good", `System.err.println("good starts");`, ""),
	"startfails/Activator.java": activator("startfails", `throw new IllegalStateException("outer", new java.io.IOException("the disk burns"));`, ""),
	"stopfails/Activator.java":  activator("stopfails", ``, `throw new IllegalStateException("no stop");`),
	"hangs/Activator.java":      activator("hangs", `Thread.sleep(1_000_000);`, ""),
	"exits/Activator.java":      activator("exits", `System.exit(0);`, ""),
	"halts/Activator.java":      activator("halts", `Runtime.getRuntime().halt(3);`, ""),
	"eats/Activator.java": activator("eats", `
		java.util.List<byte[]> all = new java.util.ArrayList<>();
		while (true) { all.add(new byte[1 << 20]); }`, ""),
	"ends/Activator.java": activator("ends", `context.getBundle(0).stop();`, ""),
	"logs/Activator.java": activator("logs", `
		org.slf4j.LoggerFactory.getLogger("logs.Activator").warn("said through slf4j");
		java.nio.file.Files.createTempFile("a", "b");`, ""),
	"toggles/Activator.java": activator("toggles", `
		org.osgi.framework.Bundle other = context.getBundle("dx:toggled");
		for (int i = 0; i < 4000; i++) {
			other.start(org.osgi.framework.Bundle.START_TRANSIENT);
			other.stop(org.osgi.framework.Bundle.STOP_TRANSIENT);
		}`, ""),
	"component/Part.java": `package component; public class Part {
		public void activate() { System.err.println("the component is active"); }
	}`,
}

func activator(name, start, stop string) string {
	return `package ` + name + `; public class Activator implements org.osgi.framework.BundleActivator {
		public void start(org.osgi.framework.BundleContext context) throws Exception {` + start + ` }
		public void stop(org.osgi.framework.BundleContext context) throws Exception {` + stop + ` }
	}`
}

var compiled struct {
	sync.Once
	classes osgi.Classes
}

// active is a bundle with an activator, the package's that has its name.
func active(t testing.TB, name, version string, headers ...string) []byte {
	imports := "Import-Package: org.osgi.framework"
	if name == "logs" {
		imports += ",org.slf4j"
	}
	return osgi.Bundle(t, name, version, classes(t).Of(name), append([]string{"Bundle-Activator: " + name + ".Activator", imports}, headers...)...)
}

func classes(t testing.TB) osgi.Classes {
	compiled.Do(func() {
		compiled.classes = osgi.Compile(t, sources, osgi.Debian(t, "osgi.core"), osgi.Debian(t, "osgi.annotation"), osgi.Debian(t, "slf4j-api"))
	})
	return compiled.classes
}

// api is what user imports.
func api(t testing.TB, version string) []byte {
	return osgi.Bundle(t, "api", version, classes(t).Of("api"), "Export-Package: api;version="+version)
}

func user(t testing.TB) []byte {
	return osgi.Bundle(t, "user", "1.0.0", classes(t).Of("user"), "Bundle-Activator: user.Activator", "Import-Package: org.osgi.framework,api;version=\"[1,2)\"")
}

func plain(t testing.TB, name, version string, headers ...string) []byte {
	return osgi.Bundle(t, name, version, nil, headers...)
}
