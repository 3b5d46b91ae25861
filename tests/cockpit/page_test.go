//go:build cockpit

package cockpit

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// newBrowser starts a browser, until the test ends.
func newBrowser(t *testing.T) context.Context {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("/usr/bin/chromium"), chromedp.NoSandbox, chromedp.Flag("lang", "en-US"))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(ctx), "contrib/setup/deps.sh cockpit installs chromium")
	return ctx
}

// page is a tab of a user who is signed in, with edged's page in Cockpit's frame.
type page struct {
	t       *testing.T
	ctx     context.Context
	console *complaints
}

// complaints are what the browser wrote to the console as errors: exceptions, and violations of the content policy.
type complaints struct {
	mu  sync.Mutex
	all []string
}

// gather takes them until ctx ends.
func (c *complaints) gather(ctx context.Context) {
	for m, err := range chromedp.Console(ctx) {
		if err != nil {
			return
		}
		if m.IsException() || m.Type == "error" || m.Type == "warning" {
			c.mu.Lock()
			c.all = append(c.all, m.String()+" "+m.URL)
			c.mu.Unlock()
		}
	}
}

// forget is for complaints that a test caused on purpose.
func (c *complaints) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = nil
}

// ofPage are those of edged's page, and of any that breaks a content policy.
func (c *complaints) ofPage() (ours []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.all {
		if strings.Contains(m, "/edged/") || strings.Contains(m, "Content Security Policy") {
			ours = append(ours, m)
		}
	}
	return ours
}

// desktop and phone are sizes of screens, in pixels.
var (
	desktop = [2]int64{1280, 800}
	phone   = [2]int64{320, 640}
)

// signIn opens edged's page as a user.
func (c *console) signIn(browser context.Context, user string) *page {
	c.t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	require.NoError(c.t, chromedp.Do(ctx))
	p := &page{c.t, ctx, new(complaints)}
	var wg sync.WaitGroup
	wg.Go(func() { p.console.gather(ctx) })
	c.t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	p.size(desktop)
	p.run(
		chromedp.Navigate(c.url+"/edged"),
		chromedp.WaitVisible(chromedp.CSS("#login-user-input")),
		chromedp.SendKeys(chromedp.CSS("#login-user-input"), user),
		chromedp.SendKeys(chromedp.CSS("#login-password-input"), password+kb.Enter),
	)
	p.eventually("the page is there", `doc.querySelector('nav a')`)
	return p
}

// with is the same page in a sub-test, which fails by itself.
func (p *page) with(t *testing.T) *page {
	q := *p
	q.t = t
	return &q
}

func (p *page) run(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	require.NoError(p.t, chromedp.Do(ctx, actions...))
}

// helpers are what expressions may use besides doc and win: the page's document and window.
const helpers = `
	const frame = [...document.querySelectorAll('iframe')].find(f => f.name.includes('/edged') && getComputedStyle(f).display !== 'none');
	if (!frame || frame.contentDocument.readyState !== 'complete') return null;
	const win = frame.contentWindow, doc = win.document;
	const name = e => e && (e.getAttribute('aria-label') ?? (e.labels?.[0] ?? e).textContent.trim());
	const shown = e => e.checkVisibility();
	const named = text => [...doc.querySelectorAll('a, button, input, summary')].find(e => name(e) === text && shown(e));
	const rowOf = text => [...doc.querySelectorAll('tbody tr')].find(r => r.firstElementChild.textContent.startsWith(text));
	const text = () => doc.body.innerText;
`

// eval gives what an expression of JavaScript is, as JSON.
func (p *page) eval(expression string, out any) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`JSON.stringify((() => {`+helpers+`return (`+expression+`)})() ?? null)`))
	require.NoError(p.t, err, expression)
	require.NoError(p.t, json.Unmarshal([]byte(text), out), text)
}

// is says whether an expression holds.
func (p *page) is(expression string) (yes bool) {
	p.t.Helper()
	p.eval(`Boolean(`+expression+`)`, &yes)
	return yes
}

// eventually waits until an expression holds.
func (p *page) eventually(what, expression string) {
	p.t.Helper()
	p.wait(what, func() bool { return p.is(expression) })
}

func (p *page) wait(what string, holds func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(30 * time.Millisecond) {
		if holds() {
			return
		}
	}
	p.picture("failed")
	var text string
	p.eval(`doc.body.innerText`, &text)
	require.FailNow(p.t, "it never came about: "+what, "%s\n%v", text, p.console.all)
}

// sees waits for a text on the page.
func (p *page) sees(text string) {
	p.t.Helper()
	p.eventually("the page says "+text, `text().includes(`+quote(text)+`)`)
}

// state waits for the words of the state of a row.
func (p *page) state(row, state string) {
	p.t.Helper()
	p.eventually(row+" is "+state, `rowOf(`+quote(row)+`)?.querySelector('.state').textContent === `+quote(state))
}

// press clicks what has a name.
func (p *page) press(name string) {
	p.t.Helper()
	p.eventually("there is "+name, `named(`+quote(name)+`) && named(`+quote(name)+`).getAttribute('aria-disabled') !== 'true'`)
	p.is(`(named(` + quote(name) + `).click(), true)`)
}

// keys sends keys to what has the focus.
func (p *page) keys(keys string) {
	p.t.Helper()
	p.run(chromedp.KeyEvent(keys))
}

// reach gets to what has a name, by the Tab key alone.
func (p *page) reach(name string) {
	p.t.Helper()
	for range 150 {
		if p.is(`name(doc.activeElement) === ` + quote(name)) {
			return
		}
		p.keys(kb.Tab)
	}
	require.FailNow(p.t, "the keyboard does not get to "+name)
}

// focus is for what is not reached by keys alone because a test is not about them.
func focus(p *page, name string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(context.Context, *chromedp.Target) error {
		p.is(`(named(` + quote(name) + `).focus(), true)`)
		return nil
	})
}

// shell waits until an expression about Cockpit's own page, around edged's, holds. button finds one by its words.
func (p *page) shell(expression string) {
	p.t.Helper()
	p.wait(expression, func() bool {
		ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
		defer cancel()
		yes, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`(() => {
			const button = text => [...document.querySelectorAll('button')].find(b => b.textContent.trim() === text && b.checkVisibility());
			return Boolean(`+expression+`) })()`))
		require.NoError(p.t, err, expression)
		return yes
	})
}

// contrast finds texts that are too near to their background: 4.5 to 1 is what WCAG 2.1 wants (1.4.3).
func (p *page) contrast(part string) {
	p.t.Helper()
	var poor []string
	p.eval(`(() => {
		const channels = c => c.match(/[\d.]+/g).map(Number);
		const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
		const behind = e => { for (; e; e = e.parentElement) { const c = channels(win.getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] === 1) return c; } return [255, 255, 255]; };
		return [...doc.querySelectorAll('body *')].filter(e => e.checkVisibility() && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).flatMap(e => {
			const [a, b] = [light(channels(win.getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
			const ratio = (a + 0.05) / (b + 0.05);
			return ratio < 4.5 ? [ratio.toFixed(2) + ' ' + e.tagName + '.' + e.className + ' ' + e.textContent.slice(0, 30)] : [];
		});
	})()`, &poor)
	require.Empty(p.t, poor, part)
}

// open goes to a part of the page by its address.
func (p *page) open(path string) {
	p.t.Helper()
	p.is(`(win.location.hash = ` + quote("#/"+path) + `, true)`)
	part, _, _ := strings.Cut(path, "/")
	p.eventually(part+" is there", `doc.querySelector('nav a[aria-current]')?.getAttribute('href') === `+quote("#/"+part))
}

func (p *page) size(size [2]int64) {
	p.t.Helper()
	p.run(chromedp.EmulateViewport(size[0], size[1]))
}

// dark is what the user's system says; Cockpit goes by it when it is told nothing else.
func (p *page) dark(yes bool) {
	p.t.Helper()
	scheme := "light"
	if yes {
		scheme = "dark"
	}
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	require.NoError(p.t, err)
}

// picture writes what is seen to build/cockpit.
func (p *page) picture(name string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	require.NoError(p.t, err)
	folder := filepath.Join(device.Repository(), "build", "cockpit")
	require.NoError(p.t, os.MkdirAll(folder, 0o755))
	file := strings.NewReplacer("/", "-").Replace(strings.TrimPrefix(p.t.Name(), "Test")) + "-" + name + ".png"
	require.NoError(p.t, os.WriteFile(filepath.Join(folder, file), png, 0o600))
}

func quote(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}
