package framework

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/bundle"
)

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }

func TestWhoIsNotTheHostIsClosed(t *testing.T) {
	h := newHostThat(t, func(context.Context, net.Conn) error { return errdefs.ErrPermissionDenied })
	a := h.dial()
	a.ended()
	require.Eventually(t, func() bool { return h.log.has("is of no use") }, 5*time.Second, time.Millisecond)
	require.Empty(t, h.sessions)
}

func TestTheNewestConnectionCounts(t *testing.T) {
	h := newHost(t)
	first := h.dial()
	first.greet()
	s1 := h.session()
	second := h.dial()
	second.greet()
	s2 := h.session()
	wait(t, s1)
	first.ended()
	require.ErrorContains(t, s1.Ping(t.Context()), "the OSGi host has connected anew")
	done := make(chan error, 1)
	go func() { done <- s2.Ping(t.Context()) }()
	second.answer(second.hear(), "{}")
	require.NoError(t, <-done)
}

// TestTheLastThatIsGivenIsTheOneThatCounts has many connect at once.
func TestTheLastThatIsGivenIsTheOneThatCounts(t *testing.T) {
	for range 20 {
		h := newHost(t)
		var agents []*agent
		for range connectionsAtOnce {
			a := h.dial()
			a.say(goodHello)
			a.hear()
			agents = append(agents, a)
		}
		for _, a := range agents {
			a.say(`{"id":1,"ok":[` + system + `]}`)
		}
		var last *Session
		for range agents {
			last = h.session()
		}
		time.Sleep(time.Millisecond)
		select {
		case <-last.Done():
			require.FailNow(t, "the one that is in use was closed")
		default:
		}
	}
}

func TestConnectionsThatSayNothingAreBounded(t *testing.T) {
	h := newHost(t)
	for range connectionsAtOnce {
		h.dial()
	}
	a := h.dial()
	a.ended()
}

func TestCloseEndsSessionsAndWhatIsNoneYet(t *testing.T) {
	h := newHost(t)
	quiet := h.dial()
	a := h.dial()
	a.greet()
	s := h.session()
	done := make(chan error, 1)
	go func() { done <- s.Start(t.Context(), 1) }()
	a.hear()
	h.Close()
	require.ErrorContains(t, <-done, "edged is stopping")
	wait(t, s)
	a.ended()
	quiet.ended()
	require.False(t, h.log.has("is gone"), "nothing is wrong")
}

func TestAHostThatLeavesIsLogged(t *testing.T) {
	h := newHost(t)
	a := h.dial()
	a.greet()
	s := h.session()
	require.NoError(t, a.conn.Close())
	wait(t, s)
	require.Eventually(t, func() bool { return h.log.has("the OSGi framework is gone") }, 5*time.Second, time.Millisecond)
}

// FuzzLines feeds whatever a hostile bundle may send behind a sound beginning.
func FuzzLines(f *testing.F) {
	f.Add(`{"id":2,"ok":{}}`)
	f.Add(`{"event":"bundle","type":"STARTED","bundle":` + one(3, "ACTIVE") + "}\n" + `{"event":"bundle","bundle":` + one(3, "UNINSTALLED") + "}")
	f.Add(`{"id":2,"ok":[` + system + `]}`)
	f.Add(`{"id":2,"error":{"class":"x"}}` + "\n\n")
	f.Add(`{"event":"framework","type":"ERROR","text":"\u0000"}`)
	f.Add(strings.Repeat(`{"ok":`, 100))
	f.Fuzz(func(t *testing.T, text string) {
		s := &Session{conn: nowhere{}, log: silent(), waiting: map[uint64]chan line{2: make(chan line, 1)}, done: make(chan struct{})}
		s.picture.Store(&bundle.Picture{})
		s.read(bufio.NewReaderSize(strings.NewReader(text), 16))
		<-s.Done()
		require.Error(t, s.cause)
		require.Empty(t, s.waiting)
		p := s.Picture()
		require.LessOrEqual(t, len(p.ByLocation), len(p.All))
		for _, a := range p.All {
			require.LessOrEqual(t, len(a.Location), maxText)
		}
	})
}

func TestConnectionsWithoutEndDoNotFillTheLog(t *testing.T) {
	h := newHost(t)
	for range 3 * troubles {
		a := h.dial()
		a.say("no hello")
		a.ended()
	}
	require.Eventually(t, func() bool { return h.log.count("is of no use") == troubles }, 5*time.Second, time.Millisecond)
	a := h.dial()
	a.greet()
	h.session()
	require.Equal(t, 0, h.log.count("the OSGi framework runs"))
}
