package framework

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/bundle"
)

func picture(s *Session) string {
	var all []string
	for _, a := range s.Picture().All {
		all = append(all, fmt.Sprintf("%d %s", a.ID, a.State))
	}
	return strings.Join(all, ", ")
}

func TestASessionBeginsWithHelloAndAList(t *testing.T) {
	_, s := pair(t, one(3, "ACTIVE"))
	require.Equal(t, "org.example 1.2 on Java 17.0.1", s.Describe())
	require.Equal(t, 17, s.JavaLevel())
	require.Equal(t, "0 ACTIVE, 3 ACTIVE", picture(s))
	require.Equal(t, bundle.Actual{ID: 3, Location: "dx:b3/1.0.0", SymbolicName: "b3", Version: "1.0.0", State: bundle.Active, Persistent: true, StartLevel: 80, Digest: "sha256:ab"}, s.Picture().ByLocation["dx:b3/1.0.0"])
}

func TestWhatSaysNoHelloIsClosed(t *testing.T) {
	for name, first := range map[string]string{
		"another protocol": `{"hello":2}`, "no JSON": "GET / HTTP/1.1", "an event": `{"event":"bundle"}`, "nothing": "", "null": "null", "a list": "[]",
	} {
		h := newHost(t)
		a := h.dial()
		a.say(first)
		a.ended()
		require.Eventually(t, func() bool { return h.log.has("does not say which protocol it speaks") }, 5*time.Second, time.Millisecond, name)
		require.Empty(t, h.sessions, name)
	}
}

func TestAListThatIsRefusedOrWrongIsNoSession(t *testing.T) {
	for _, answer := range []string{`{"id":1,"error":{"class":"java.lang.Error","message":"no"}}`, `{"id":1,"ok":{"x":1}}`, "no JSON"} {
		h := newHost(t)
		a := h.dial()
		a.say(goodHello)
		a.hear()
		a.say(answer)
		a.ended()
		require.Empty(t, h.sessions)
	}
}

func TestAnswersComeInAnyOrder(t *testing.T) {
	a, s := pair(t)
	var wg sync.WaitGroup
	for _, id := range []int64{1, 2, 3} {
		wg.Go(func() {
			users, err := s.Users(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, []int64{id * 10}, users)
		})
	}
	heard := []map[string]any{a.hear(), a.hear(), a.hear()}
	for i := range heard {
		r := heard[2-i]
		require.Equal(t, "wires", r["op"])
		a.answer(r, fmt.Sprintf(`{"provides":[%v0],"requires":[]}`, r["bundle"]))
	}
	wg.Wait()
}

func TestRequestsAreTheProtocols(t *testing.T) {
	a, s := pair(t)
	ctx := t.Context()
	for want, ask := range map[string]func() error{
		`map[id:ID op:ping]`:                         func() error { return s.Ping(ctx) },
		`map[bundle:0 id:ID op:start]`:               func() error { return s.Start(ctx, 0) },
		`map[bundle:7 id:ID op:stop]`:                func() error { return s.Stop(ctx, 7, false) },
		`map[bundle:7 id:ID op:stop transient:true]`: func() error { return s.Stop(ctx, 7, true) },
		`map[bundle:7 id:ID op:uninstall]`:           func() error { return s.Uninstall(ctx, 7) },
		`map[id:ID op:refresh]`:                      func() error { return s.Refresh(ctx) },
		`map[bundles:[1 2] id:ID op:refresh]`:        func() error { return s.Refresh(ctx, 1, 2) },
		`map[id:ID location:dx:a op:install size:0]`: func() error { _, err := s.Install(ctx, "dx:a", strings.NewReader(""), 0); return err },
		`map[bundle:7 id:ID op:update size:0]`:       func() error { _, err := s.Update(ctx, 7, strings.NewReader(""), 0); return err },
		`map[bundle:7 id:ID op:wires]`:               func() error { _, err := s.Users(ctx, 7); return err },
	} {
		done := make(chan error, 1)
		go func() { done <- ask() }()
		r := a.hear()
		id := r["id"]
		r["id"] = "ID"
		require.Equal(t, want, fmt.Sprint(r))
		a.say(fmt.Sprintf(`{"id":%v,"ok":{}}`, id))
		require.NoError(t, <-done)
	}
	done := make(chan []int64, 1)
	go func() {
		all, err := s.Closure(ctx, 1)
		assert.NoError(t, err)
		done <- all
	}()
	a.answer(a.hear(), "[1,4,2]")
	require.Equal(t, []int64{1, 4, 2}, <-done)
}

func TestBytesFollowTheLine(t *testing.T) {
	a, s := pair(t)
	body := strings.Repeat("0123456789\n", 100_000)
	done := make(chan bundle.Actual, 1)
	go func() {
		b, err := s.Install(t.Context(), "dx:b4/1.0.0", io.MultiReader(strings.NewReader(body), strings.NewReader("more than was said")), int64(len(body)))
		assert.NoError(t, err)
		assert.Equal(t, "0 ACTIVE, 4 INSTALLED", picture(s), "the picture has it before whoever asked goes on")
		done <- b
	}()
	r := a.hear()
	got := make([]byte, len(body))
	_, err := io.ReadFull(a.in, got)
	require.NoError(t, err)
	require.Equal(t, body, string(got))
	a.answer(r, one(4, "INSTALLED"))
	require.Equal(t, "dx:b4/1.0.0", (<-done).Location)
	go func() { _ = s.Ping(t.Context()) }()
	require.Equal(t, "ping", a.hear()["op"], "the next line begins where the bytes end")
}

func TestASourceThatFailsEndsTheSession(t *testing.T) {
	for _, source := range []io.Reader{io.MultiReader(strings.NewReader("half"), broken{}), strings.NewReader("too short")} {
		a, s := pair(t)
		_, err := s.Update(t.Context(), 7, source, 100)
		require.True(t, errdefs.IsUnavailable(err), "%v", err)
		require.Error(t, err)
		wait(t, s)
		a.ended()
		require.True(t, errdefs.IsUnavailable(s.Ping(t.Context())))
	}
}

var errBroken = errors.New("the disk is broken")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

func TestTheFrameworksNoIsRefused(t *testing.T) {
	a, s := pair(t)
	for answer, want := range map[string]bundle.Refused{
		`{"class":"org.osgi.framework.BundleException","type":4,"message":"Unable to resolve x","cause":"java.lang.Error: y"}`: {Class: "org.osgi.framework.BundleException", Type: 4, Text: "Unable to resolve x", Root: "java.lang.Error: y"},
		`{"class":"java.lang.IllegalArgumentException","message":"no\u0007 bell\u001b[1m"}`:                                    {Class: "java.lang.IllegalArgumentException", Text: "no bell[1m"},
		`{"class":"x","message":"` + strings.Repeat("é", maxText) + `"}`:                                                       {Class: "x", Text: strings.Repeat("é", maxText/2) + "..."},
		`{}`: {},
	} {
		done := make(chan error, 1)
		go func() { done <- s.Start(t.Context(), 1) }()
		a.say(fmt.Sprintf(`{"id":%v,"error":%s}`, a.hear()["id"], answer))
		var no *bundle.Refused
		require.ErrorAs(t, <-done, &no)
		require.Equal(t, want, *no)
	}
}

func TestEventsKeepThePicture(t *testing.T) {
	a, s := pair(t, one(5, "RESOLVED"))
	event := func(b string) string { return `{"event":"bundle","type":"X","bundle":` + b + `}` }
	a.say(event(one(9, "INSTALLED")), event(one(2, "INSTALLED")), event(one(5, "STARTING")), event(one(5, "ACTIVE")), event(one(9, "UNINSTALLED")), event(one(77, "UNINSTALLED")))
	ping := func() {
		done := make(chan error, 1)
		go func() { done <- s.Ping(t.Context()) }()
		a.answer(a.hear(), "{}")
		require.NoError(t, <-done)
	}
	ping()
	require.Equal(t, "0 ACTIVE, 2 INSTALLED, 5 ACTIVE", picture(s), "by their ids")
	require.Len(t, s.Picture().ByLocation, 3)
	before := s.Picture()
	// Nothing of all this says anything.
	a.say(`{"id":4711,"ok":{}}`, `{"event":"bundle"}`, `{"event":"bundle","bundle":null}`, `{"event":"other","bundle":`+one(8, "ACTIVE")+`}`, `{}`, `{"id":null}`, `{"event":"framework","type":"STARTED"}`)
	ping()
	require.Equal(t, before, s.Picture())
	a.say(event(one(2, "UNINSTALLED")))
	ping()
	require.Equal(t, "0 ACTIVE, 2 INSTALLED, 5 ACTIVE", func() string {
		var all []string
		for _, b := range before.All {
			all = append(all, fmt.Sprintf("%d %s", b.ID, b.State))
		}
		return strings.Join(all, ", ")
	}(), "a picture does not change")
}

func TestALateAnswerIsTakenIntoThePicture(t *testing.T) {
	a, s := pair(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := s.Start(ctx, 3)
	require.True(t, errdefs.IsUnavailable(err))
	require.ErrorContains(t, err, "has not ended the operation start in time, and goes on with it")
	a.answer(a.hear(), one(3, "ACTIVE"))
	done := make(chan error, 1)
	go func() { done <- s.Ping(t.Context()) }()
	a.answer(a.hear(), "{}")
	require.NoError(t, <-done)
	require.Equal(t, "0 ACTIVE, 3 ACTIVE", picture(s))
	require.Empty(t, s.waiting)
}

func TestTroubleIsLogged(t *testing.T) {
	h := newHost(t)
	a := h.dial()
	a.say(strings.Replace(goodHello, `"session"`, `"recovered":"storage was\u0007 broken","session"`, 1))
	a.answer(a.hear(), "["+system+"]")
	h.session()
	a.say(`{"event":"framework","type":"ERROR","bundle":` + one(3, "ACTIVE") + `,"text":"java.lang.Error: it hurts"}`)
	require.Eventually(t, func() bool {
		return h.log.has("it hurts") && h.log.has("dx:b3/1.0.0") && h.log.has("storage was broken")
	}, 5*time.Second, time.Millisecond)
}

func TestWhatIsNoLineEndsTheSession(t *testing.T) {
	deep := strings.Repeat("[", 20_000)
	for name, line := range map[string]string{
		"no JSON":         "{",
		"deep":            `{"id":1,"ok":` + deep,
		"another type":    `{"id":"one"}`,
		"a negative id":   `{"id":-1}`,
		"a list":          `[]`,
		"too many":        `{"id":99,"ok":[` + strings.Repeat(`{"state":"ACTIVE"},`, maxBundles) + `{"state":"ACTIVE"}]}`,
		"a long location": `{"event":"bundle","bundle":{"id":1,"state":"ACTIVE","location":"` + strings.Repeat("x", maxText) + `"}}`,
	} {
		a, s := pair(t)
		done := make(chan error, 1)
		go func() { done <- s.Start(t.Context(), 1) }()
		a.hear()
		a.say(line)
		wait(t, s)
		err := <-done
		require.True(t, errdefs.IsUnavailable(err), "%s: %v", name, err)
		require.ErrorContains(t, err, "the connection to the OSGi framework ended", name)
		a.ended()
	}
}

func TestALineHasALimit(t *testing.T) {
	a, s := pair(t)
	long := `{"x":"` + strings.Repeat("x", maxLine-9) + `"}`
	require.Len(t, long+"\n", maxLine)
	a.say(long)
	done := make(chan error, 1)
	go func() { done <- s.Ping(t.Context()) }()
	a.answer(a.hear(), "{}")
	require.NoError(t, <-done)
	_, _ = io.WriteString(a.conn, " "+long+"\n")
	wait(t, s)
	require.ErrorContains(t, s.Ping(t.Context()), "sends a line of more than")
}

func TestALongListCostsNoMoreThanItsBound(t *testing.T) {
	for element, cost := range map[string]uint64{"{}": 8 << 20, "1": 4 << 20} {
		s := &Session{conn: nowhere{}, waiting: map[uint64]chan line{}}
		s.picture.Store(&bundle.Picture{})
		l := line{OK: json.RawMessage("[" + strings.Repeat(element+",", 1<<20) + element + "]")}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := s.answer(1, l)
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, cost, element)
		if element == "{}" {
			require.ErrorIs(t, err, errTooMany)
		}
		var ids struct{ Provides some[int64] }
		require.Error(t, json.Unmarshal([]byte(`{"Provides":[`+strings.Repeat("1,", maxBundles)+`1]}`), &ids))
	}
}

func TestAnEndInTheMiddleOfALineIsOne(t *testing.T) {
	a, s := pair(t)
	_, err := io.WriteString(a.conn, `{"id":`)
	require.NoError(t, err)
	require.NoError(t, a.conn.Close())
	wait(t, s)
	require.ErrorContains(t, s.Ping(t.Context()), io.ErrUnexpectedEOF.Error())
}

func TestAFloodOfEventsIsTakenIn(t *testing.T) {
	a, s := pair(t)
	for i := range 40 {
		var lines []string
		for j := range 100 {
			lines = append(lines, `{"event":"bundle","bundle":`+one(j, []string{"ACTIVE", "RESOLVED"}[i%2])+`}`)
		}
		a.say(lines...)
	}
	done := make(chan error, 1)
	go func() { done <- s.Ping(t.Context()) }()
	a.answer(a.hear(), "{}")
	require.NoError(t, <-done)
	require.Len(t, s.Picture().All, 100)
	require.Equal(t, bundle.Resolved, s.Picture().All[99].State)
}

func TestRequestsAtOnceAreBounded(t *testing.T) {
	a, s := pair(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range requestsAtOnce {
		wg.Go(func() { require.Error(t, s.Start(ctx, 1)) })
	}
	for range requestsAtOnce {
		a.hear()
	}
	short, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer stop()
	require.True(t, errdefs.IsUnavailable(s.Ping(short)))
	cancel()
	wg.Wait()
	require.ErrorContains(t, s.Ping(ctx), "nobody waits for the operation ping any longer")
	done := make(chan error, 1)
	go func() { done <- s.Ping(t.Context()) }()
	a.answer(a.hear(), "{}")
	require.NoError(t, <-done)
}

// inMemory is a session on a pipe, in a time of its own.
func inMemory(t *testing.T, f func(t *testing.T, a *agent, s *Session)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		a := &agent{t, far, newReader(far)}
		go a.greet()
		log := logrus.New()
		log.SetOutput(io.Discard)
		s, err := start(t.Context(), near, log)
		require.NoError(t, err)
		f(t, a, s)
		s.close(errors.New("the end"))
		<-s.Done()
	})
}

func TestAHostThatTakesNothingIsGivenUp(t *testing.T) {
	inMemory(t, func(t *testing.T, _ *agent, s *Session) {
		begun := time.Now()
		err := s.Start(t.Context(), 1) // nobody reads
		require.True(t, errdefs.IsUnavailable(err))
		require.Equal(t, stallTimeout, time.Since(begun))
		<-s.Done()
	})
}

func TestARequestBehindBytesWaitsNoLongerThanItMay(t *testing.T) {
	inMemory(t, func(t *testing.T, a *agent, s *Session) {
		gate := make(chan struct{})
		installed := make(chan error, 1)
		go func() {
			_, err := s.Install(t.Context(), "dx:b1/1.0.0", io.MultiReader(waiting{gate}, strings.NewReader("bytes")), 5)
			installed <- err
		}()
		r := a.hear()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		require.True(t, errdefs.IsUnavailable(s.Ping(ctx)))
		require.Equal(t, time.Second, time.Since(begun))
		close(gate)
		_, err := io.ReadFull(a.in, make([]byte, 5))
		require.NoError(t, err)
		a.answer(r, one(1, "INSTALLED"))
		require.NoError(t, <-installed, "the other goes on")
	})
}

// waiting is a source that has nothing for a while.
type waiting struct{ gate chan struct{} }

func (w waiting) Read([]byte) (int, error) {
	<-w.gate
	return 0, io.EOF
}

func TestALateHelloIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		defer near.Close()
		begun := time.Now()
		_, err := start(t.Context(), near, logrus.New())
		require.True(t, errdefs.IsUnavailable(err))
		require.Equal(t, helloTimeout, time.Since(begun))
	})
}

func TestAListThatDoesNotComeIsNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		a := &agent{t, far, newReader(far)}
		go func() {
			a.say(goodHello)
			a.hear()
		}()
		begun := time.Now()
		_, err := start(t.Context(), near, logrus.New())
		require.True(t, errdefs.IsUnavailable(err))
		require.Equal(t, helloTimeout, time.Since(begun))
	})
}
