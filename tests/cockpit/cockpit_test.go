//go:build cockpit

package cockpit

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// TestThePage is everything, in the Cockpit of each Debian that the page is for. The device is the same for all, so each leaves it as it was.
func TestThePage(t *testing.T) {
	d := newDevice(t)
	browser := newBrowser(t)
	for _, suite := range []string{"bookworm", "trixie"} {
		t.Run(suite, func(t *testing.T) {
			d := d.For(t)
			c := newConsole(t, d, suite)
			p := c.signIn(browser, "member")
			for _, test := range []struct {
				name string
				run  func(*page, *device.Device)
			}{
				{"modules", modulesChange},
				{"lifecycle", modulesAreStartedAndStopped},
				{"failure", aFailureIsToldWhereItBelongs},
				{"log", logsFollow},
				{"hostile", textStaysText},
				{"policy", nothingElseRuns},
				{"logs", quietLogsKeepNoRequestWaiting},
				{"packages", packagesAreShownAndRemoved},
				{"bundles", bundlesWithoutAHost},
				{"catalog", componentsAreFound},
				{"device", theDeviceIsShownAndChecked},
				{"keyboard", theKeyboardIsEnough},
				{"restart", edgedIsRestartedInTheMiddle},
				{"looks", looks},
			} {
				t.Run(test.name, func(t *testing.T) {
					p := p.with(t)
					p.open("modules")
					p.state("pump", "running")
					test.run(p, d.For(t))
				})
			}
			require.Empty(t, p.console.ofPage(), "what the browser complained of")
			t.Run("stranger", func(t *testing.T) { aStrangerIsToldWhy(t, d.For(t), c.with(t).signIn(browser, "visitor")) })
			t.Run("admin", func(t *testing.T) { administrativeAccessMakesRoot(c.with(t).signIn(browser, "admin")) })
			t.Run("elsewhere", func(t *testing.T) {
				file := filepath.Join(c.root, "etc/cockpit/edged.override.json")
				require.NoError(t, os.WriteFile(file, []byte(`{"config":{"socket":"/run/edged/elsewhere.sock"}}`), 0o644))
				p := c.with(t).signIn(browser, "member")
				p.sees("edged does not answer at /run/edged/elsewhere.sock. Is edged.service running?")
				require.NoError(t, os.Symlink("mgmt.sock", filepath.Join(d.Run, "elsewhere.sock")))
				defer os.Remove(filepath.Join(d.Run, "elsewhere.sock"))
				p.press("Try again")
				p.state("pump", "running")
			})
		})
	}
}

// modulesChange: the list shows what each does, what comes about elsewhere, and what comes and goes.
func modulesChange(p *page, d *device.Device) {
	p.state("broken", "failed")
	p.state("nothing", "stopped")
	p.state(longName, "running")
	d.Post("valve", "stop")
	p.state("valve", "stopped")
	d.Post("valve", "start")
	p.state("valve", "running")
	d.Create(d.CommandSpec("newcomer", "sleep"))
	p.state("newcomer", "stopped")
	d.Delete("newcomer")
	p.eventually("it is gone", `!rowOf('newcomer')`)
}

func modulesAreStartedAndStopped(p *page, d *device.Device) {
	p.press("Stop valve")
	p.state("valve", "stopped")
	d.WaitFor("valve", "stopped")
	require.True(p.t, p.is(`named('Stop valve').getAttribute('aria-disabled') === 'true'`))
	p.press("Start valve")
	p.state("valve", "running")
	before := d.WaitFor("valve", "running").Status.StartTime
	p.press("Restart valve")
	p.wait("it was started anew", func() bool {
		m, _ := d.Get("valve")
		return m.Status.RuntimeStatus.Status == "running" && m.Status.StartTime != before
	})
	p.state("valve", "running")
	p.eventually("it is told to who does not see it", `doc.getElementById('said').textContent === 'valve was restarted'`)
	require.Equal(p.t, "running", d.WaitFor("pump", "running").Status.RuntimeStatus.Status)

	// The agent is what makes the device right, so it is asked for first.
	p.press("Stop edgeAgent")
	p.eventually("it is asked", `doc.querySelector('dialog[open]')`)
	p.press("Cancel")
	p.eventually("it is not asked any more", `!doc.querySelector('dialog')`)
	p.state("edgeAgent", "running")
}

func aFailureIsToldWhereItBelongs(p *page, d *device.Device) {
	a := d.Host(http.MethodPost, "/modules/nothing/start?"+device.Version, "")
	require.Equal(p.t, http.StatusBadRequest, a.Status)
	p.press("Start nothing")
	p.eventually("edged's own words", `rowOf('nothing').querySelector('[role=alert]').textContent.includes(`+quote(a.Message())+`)`)
	require.True(p.t, p.is(`[...doc.querySelectorAll('[role=alert]')].filter(e => e.textContent).length === 1`), "nowhere else")
	p.picture("desktop")
}

func logsFollow(p *page, d *device.Device) {
	p.open("modules/pump")
	p.eventually("lines", `doc.querySelectorAll('.log .line').length > 2`)
	var before int
	p.eval(`doc.querySelectorAll('.log .line').length`, &before)
	p.eventually("further lines", fmt.Sprintf(`doc.querySelectorAll('.log .line').length > %d`, before))
	require.True(p.t, p.is(`(l => l.scrollTop + l.clientHeight >= l.scrollHeight - 4)(doc.querySelector('.log'))`), "the last line is in sight")
	p.picture("desktop")

	p.press("Times")
	p.eventually("times", `/^\d{4}-\d\d-\d\dT\S+ tick \d+/.test(doc.querySelector('.log .line')?.textContent)`)
	// A run that ends has the end of its log, and the next is followed again.
	d.Post("pump", "restart")
	p.eventually("the new run", `[...doc.querySelectorAll('.log .line')].filter(l => / tick 0 /.test(l.textContent)).length >= 2`)
	p.open("modules/missing")
	p.sees("There is no such module on this device.")
}

// textStaysText: names and logs are shown for what they are, and no element comes of them.
func textStaysText(p *page, _ *device.Device) {
	untouched := func() {
		p.t.Helper()
		require.True(p.t, p.is(`doc.querySelectorAll('img, svg, script:not([src]), b, i, iframe, object').length === 0`))
		require.True(p.t, p.is(`win.hacked === undefined && parent.hacked === undefined && doc.title === 'Edge modules'`))
	}
	p.state(hostileShown, "running")
	untouched()
	p.press(hostileShown)
	p.sees(`\x1b]0;owned\a\x1b[31mred\x1b[0m <img src=x onerror=parent.hacked=1><script>parent.hacked=1</script> ` + "\ufffd" + ` \u202etxet`)
	p.sees(`<svg onload=parent.hacked=1> complains`)
	require.True(p.t, p.is(`doc.querySelector('h2').textContent.startsWith(`+quote(hostileShown)+`)`))
	require.True(p.t, p.is(`doc.querySelectorAll('.log .line.error').length === 1`), "standard error is told from output")
	require.True(p.t, p.is(`[...doc.querySelectorAll('.log .line')].every(l => [...l.children].every(c => c.className === 'unseen'))`))
	untouched()
	p.picture("desktop")
	for part, text := range map[string]string{"packages": "Search <i>everything</i>", "bundles": "News <b>of the plant</b>"} {
		p.open(part)
		p.sees(text)
		untouched()
	}
	p.open("catalog/openssl")
	p.press("1 package")
	p.sees("libssl3-0:3.0.19-1<b>.amd64.rpm")
	untouched()
	// The address is anybody's to write, too.
	p.open("catalog/" + `%3Cimg%20src%3Dx%20onerror%3Dparent.hacked%3D1%3E`)
	p.sees("contains <img src=x onerror=parent.hacked=1>")
	untouched()
}

// nothingElseRuns: the policy that is served, not the one that is written, keeps out what would get past everything else.
func nothingElseRuns(p *page, _ *device.Device) {
	require.True(p.t, p.is(`(() => {
		const request = new win.XMLHttpRequest();
		request.open('GET', win.location.pathname, false);
		request.send();
		const policy = request.getResponseHeader('Content-Security-Policy');
		return ['default-src', 'script-src', 'style-src'].every(d => new RegExp(d + " 'self'( " + win.location.origin + ')?;').test(policy)) && !/unsafe/.test(policy);
	})()`))
	require.True(p.t, p.is(`(() => {
		try { win.eval('parent.ran = 1') } catch {}
		const script = doc.createElement('script');
		script.textContent = 'parent.ran = 1';
		doc.body.append(script);
		script.remove();
		return parent.ran === undefined;
	})()`))
	p.wait("the browser says that it kept it out", func() bool { return strings.Contains(strings.Join(p.console.ofPage(), "\n"), "inline script") })
	p.console.forget()
}

// quietLogsKeepNoRequestWaiting: newer bridges have few threads, and keep one for each answer that nobody ends.
func quietLogsKeepNoRequestWaiting(p *page, _ *device.Device) {
	for range 12 {
		p.open("modules/valve")
		p.sees("Nothing was printed yet.")
		p.open("modules")
	}
	p.open("device")
	p.sees("edged up for")
}

func packagesAreShownAndRemoved(p *page, d *device.Device) {
	p.open("packages")
	p.sees("Search <i>everything</i>")
	p.picture("desktop")
	p.press("Remove Search <i>everything</i>")
	p.picture("dialog")
	p.press("Cancel")
	p.press("Remove Search <i>everything</i>")
	p.press("Remove")
	p.sees("No package was brought to this device.")
	require.JSONEq(p.t, `[]`, d.Host(http.MethodGet, "/v1/modules", "").Body)
	p.picture("empty")
	bringPackage(p.t, d)
	p.press("Refresh")
	p.sees("Search <i>everything</i>")
}

// bundlesWithoutAHost: what is remembered is shown, what cannot be done is told in edged's words.
func bundlesWithoutAHost(p *page, d *device.Device) {
	p.open("bundles")
	p.state("news/2.0.1", "INSTALLED")
	a := d.Host(http.MethodPost, "/modules/api/bundles/news/2.0.1/_start", "")
	require.Equal(p.t, http.StatusServiceUnavailable, a.Status, a.Body)
	p.press("Start news/2.0.1")
	p.eventually("edged's own words", `rowOf('news/2.0.1').querySelector('[role=alert]').textContent.includes(`+quote(a.Message())+`)`)
	p.picture("desktop")
	p.press("Refresh")
	p.sees("is to run")
	p.press("Stop news/2.0.1")
	p.eventually("it is not to run", `rowOf('news/2.0.1') && !text().includes('is to run')`)
	p.press("Uninstall news/2.0.1")
	p.press("Uninstall")
	p.sees("No bundle is installed on this device.")
	bringBundle(p.t, d)
}

func componentsAreFound(p *page, _ *device.Device) {
	p.open("catalog")
	p.press("Component")
	p.run(focus(p, "Component"))
	p.keys("openssl" + kb.Enter)
	p.sees("2 builds contain openssl")
	require.True(p.t, p.is(`rowOf('gateway').querySelector('.state').textContent === 'in use' && rowOf('historian').querySelector('.state').textContent === 'not in use'`))
	p.picture("desktop")
	p.open("catalog/nosuchthing")
	p.sees("No build on this device contains nosuchthing")
}

func theDeviceIsShownAndChecked(p *page, d *device.Device) {
	p.open("device")
	p.sees("edged up for")
	p.press("Check this device")
	p.sees("checks")
	p.eventually("outcomes", `doc.querySelectorAll('table[aria-label=Checks] tbody tr').length > 10`)
	require.True(p.t, p.is(`rowOf('the configuration is valid')?.querySelector('.state').textContent === 'ok'`))
	p.picture("desktop")
}

// theKeyboardIsEnough: everything there is to do is done by Tab, Enter and the space bar, and the focus is where it was.
func theKeyboardIsEnough(p *page, d *device.Device) {
	act := func(name, key string) {
		p.t.Helper()
		p.reach(name)
		p.keys(key)
	}
	act("Stop valve", kb.Enter)
	p.state("valve", "stopped")
	require.True(p.t, p.is(`name(doc.activeElement) === 'Stop valve'`), "the focus stays")
	p.keys(kb.Enter)
	require.False(p.t, p.is(`[...doc.querySelectorAll('[role=alert]')].some(e => e.textContent)`), "what cannot be done does nothing")
	act("Start valve", " ")
	p.state("valve", "running")
	act("Restart valve", kb.Enter)
	p.eventually("it was done", `doc.getElementById('said').textContent === 'valve was restarted'`)
	p.eventually("it is free again", `named('Restart valve').getAttribute('aria-disabled') === 'false'`)

	act("edgeAgent", kb.Enter)
	p.eventually("the module has the focus", `doc.activeElement.id === 'module'`)
	act("Times", " ")
	p.eventually("times", `/^\d{4}-\d\d-/.test(doc.querySelector('.log .line')?.textContent)`)
	act("Read anew", kb.Enter)
	p.eventually("the log is there", `doc.querySelector('.log .line')`)
	p.reach("Log of edgeAgent")
	act("← All modules", kb.Enter)
	p.state("pump", "running")

	act("Packages", kb.Enter)
	p.sees("Search <i>everything</i>")
	act("Remove Search <i>everything</i>", kb.Enter)
	p.eventually("the safe answer has the focus", `name(doc.activeElement) === 'Cancel'`)
	p.keys(kb.Escape)
	p.eventually("the question is gone, and the focus back", `!doc.querySelector('dialog') && name(doc.activeElement) === 'Remove Search <i>everything</i>'`)
	p.keys(kb.Enter)
	act("Remove", kb.Enter)
	p.sees("No package was brought to this device.")
	bringPackage(p.t, d)

	act("Bundles", kb.Enter)
	act("Start news/2.0.1", kb.Enter)
	p.eventually("it is refused", `rowOf('news/2.0.1')?.querySelector('[role=alert]').textContent`)
	act("Refresh", kb.Enter)
	p.sees("is to run")
	act("Stop news/2.0.1", kb.Enter)
	p.eventually("it is not to run", `rowOf('news/2.0.1') && !text().includes('is to run')`)
	act("Uninstall news/2.0.1", kb.Enter)
	act("Uninstall", kb.Enter)
	p.sees("No bundle is installed on this device.")
	bringBundle(p.t, d)

	act("Catalog", kb.Enter)
	p.reach("Component")
	p.keys("openssl")
	act("Search", kb.Enter)
	p.sees("2 builds contain openssl")
	act("1 package", kb.Enter)
	p.sees("libssl3-0:3.0.19")

	act("Device", kb.Enter)
	act("Check this device", kb.Enter)
	p.sees("the configuration is valid")
	require.True(p.t, p.is(`[...doc.querySelectorAll('[onclick], div[tabindex]:not([role]), span[tabindex]')].length === 0`))
}

// edgedIsRestartedInTheMiddle: what is shown comes back by itself, and the log with it.
func edgedIsRestartedInTheMiddle(p *page, d *device.Device) {
	p.open("modules/pump")
	p.eventually("lines", `doc.querySelectorAll('.log .line').length > 2`)
	d.Edged.Signal(syscall.SIGKILL)
	p.eventually("it is told", `!doc.getElementById('connection').hidden`)
	p.sees("edged does not answer at /run/edged/mgmt.sock")
	p.picture("desktop")
	p.open("modules")
	p.press("Restart valve")
	p.eventually("what is tried meanwhile fails where it is", `rowOf('valve').querySelector('[role=alert]').textContent.includes('edged does not answer')`)
	p.open("modules/pump")
	d.StartEdged()
	p.eventually("it is well again", `doc.getElementById('connection').hidden`)
	p.eventually("the log follows", `doc.querySelectorAll('.log .line').length > 2`)
	var last int
	count := `Number(/tick (\d+)/.exec([...doc.querySelectorAll('.log .line')].at(-1)?.textContent)?.[1] ?? 0)`
	p.eval(count, &last)
	p.eventually("new lines", fmt.Sprintf(count+` > %d`, last))
	p.open("modules")
	d.Post("valve", "stop")
	p.state("valve", "stopped")
	d.Post("valve", "start")
	p.state("valve", "running")
}

// looks: nothing sticks out at 320 pixels, and it is light and dark as Cockpit is told to be.
func looks(p *page, _ *device.Device) {
	parts := []string{"modules", "modules/pump", "packages", "bundles", "catalog/openssl", "device"}
	p.size(phone)
	defer p.size(desktop)
	for _, part := range parts {
		p.open(part)
		p.eventually("it is there", `doc.querySelector('table tbody tr, .log .line, dl')`)
		if part == "device" {
			p.press("Check this device")
			p.sees("the configuration is valid")
		}
		require.True(p.t, p.is(`win.innerWidth === 320 && doc.documentElement.scrollWidth <= 320 &&
			[...doc.querySelectorAll('main *, header *')].every(e => e.closest('thead, .unseen') || e.getBoundingClientRect().right <= 321)`), part)
		p.picture(strings.ReplaceAll(part, "/", "-") + "-phone")
	}
	p.size(desktop)
	defer p.dark(false)
	defer p.is(`(localStorage.removeItem('shell:style'), true)`)
	p.dark(true)
	p.eventually("it is dark", `doc.documentElement.dataset.theme === 'dark'`)
	for _, part := range parts {
		p.open(part)
		p.eventually("it is there", `doc.querySelector('table tbody tr, .log .line, dl')`)
		p.contrast(part)
		p.picture(strings.ReplaceAll(part, "/", "-") + "-dark")
	}
	p.is(`(localStorage.setItem('shell:style', 'light'), win.dispatchEvent(new win.CustomEvent('cockpit-style', {detail: {style: 'light'}})), true)`)
	p.eventually("who wants it light has it light", `doc.documentElement.dataset.theme === 'light'`)
	for _, part := range parts {
		p.open(part)
		p.eventually("it is there", `doc.querySelector('table tbody tr, .log .line, dl')`)
		p.contrast(part)
	}
	p.picture("device-light")
}

// aStrangerIsToldWhy: who may not use the socket, and who may but not for everything.
func aStrangerIsToldWhy(t *testing.T, d *device.Device, p *page) {
	p.sees("You may not use edged's socket /run/edged/mgmt.sock. Turn on administrative access")
	p.picture("socket")
	require.NoError(t, os.Chmod(d.Management(), 0o666))
	defer os.Chmod(d.Management(), 0o660)
	p.press("Try again")
	p.state("pump", "running")
	p.open("packages")
	p.sees("edged does not allow this to you: forbidden. It takes the permission view_cluster_modules")
	p.picture("packages")
	p.open("bundles")
	p.sees("is not allowed to access Module Manager HTTP API. It takes the permission adminTemplates")
	p.open("catalog/openssl")
	p.sees("2 builds contain openssl")
}

// administrativeAccessMakesRoot: the page comes anew when it is turned on, and edged sees root.
func administrativeAccessMakesRoot(p *page) {
	p.sees("You may not use edged's socket")
	p.shell(`(b => b && (b.click(), true))(button('Limited access'))`)
	p.shell(`(i => i && (i.focus(), true))(document.querySelector('[role=dialog] input[type=password]'))`)
	p.keys(password + kb.Enter)
	p.shell(`button('Administrative access')`)
	p.state("pump", "running")
	p.open("packages")
	p.sees("Search <i>everything</i>")
}
