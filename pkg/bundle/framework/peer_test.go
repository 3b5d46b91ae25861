package framework

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	goodHello = `{"hello":1,"session":"s","framework":"org.example","version":"1.2","java":"17.0.1","javaLevel":17,"new":"member"}`
	system    = `{"id":0,"location":"System Bundle","symbolicName":"org.example","version":"1.2","state":"ACTIVE","persistent":true,"startLevel":0}`
)

func one(id int, state string) string {
	return fmt.Sprintf(`{"id":%d,"location":"dx:b%d/1.0.0","symbolicName":"b%d","version":"1.0.0","state":%q,"persistent":true,"startLevel":80,"fragment":false,"digest":"sha256:ab","lazy":false}`, id, id, id, state)
}

// agent is the other end of a connection.
type agent struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func (a *agent) say(lines ...string) {
	a.t.Helper()
	_, err := io.WriteString(a.conn, strings.Join(lines, "\n")+"\n")
	require.NoError(a.t, err)
}

// hear reads a request.
func (a *agent) hear() map[string]any {
	a.t.Helper()
	require.NoError(a.t, a.conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	text, err := a.in.ReadString('\n')
	require.NoError(a.t, err)
	var r map[string]any
	require.NoError(a.t, json.Unmarshal([]byte(text), &r))
	return r
}

func (a *agent) answer(r map[string]any, ok string) {
	a.t.Helper()
	a.say(fmt.Sprintf(`{"id":%v,"ok":%s}`, r["id"], ok))
}

func (a *agent) greet(bundles ...string) {
	a.t.Helper()
	a.say(goodHello)
	a.answer(a.hear(), "["+strings.Join(append([]string{system}, bundles...), ",")+"]")
}

// ended waits until the other side has closed.
func (a *agent) ended() {
	a.t.Helper()
	require.NoError(a.t, a.conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err := io.Copy(io.Discard, a.in)
	require.NotErrorIs(a.t, err, context.DeadlineExceeded)
	var timeout net.Error
	require.False(a.t, errors.As(err, &timeout) && timeout.Timeout(), "it was not closed")
}

// host is a server with what it gave and said.
type host struct {
	*Server
	t        *testing.T
	path     string
	sessions chan *Session
	log      *logged
}

type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func newHost(t *testing.T) *host {
	t.Helper()
	return newHostThat(t, func(context.Context, net.Conn) error { return nil })
}

func newHostThat(t *testing.T, admit func(context.Context, net.Conn) error) *host {
	t.Helper()
	h := &host{t: t, path: filepath.Join(t.TempDir(), "s"), sessions: make(chan *Session, 100), log: &logged{}}
	log := logrus.New()
	log.SetOutput(h.log)
	h.Server = &Server{
		Admit:     admit,
		Connected: func(s *Session) { h.sessions <- s },
		Log:       log,
	}
	l, err := net.Listen("unix", h.path)
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- h.Serve(l) }()
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		require.ErrorIs(t, <-served, net.ErrClosed)
		h.Close()
	})
	return h
}

func (h *host) dial() *agent {
	h.t.Helper()
	conn, err := net.Dial("unix", h.path)
	require.NoError(h.t, err)
	h.t.Cleanup(func() { _ = conn.Close() })
	return &agent{h.t, conn, bufio.NewReader(conn)}
}

func (h *host) session() *Session {
	h.t.Helper()
	select {
	case s := <-h.sessions:
		return s
	case <-time.After(10 * time.Second):
		require.FailNow(h.t, "no session")
	}
	return nil
}

// pair is an agent that was greeted, and its session.
func pair(t *testing.T, bundles ...string) (*agent, *Session) {
	t.Helper()
	h := newHost(t)
	a := h.dial()
	a.greet(bundles...)
	return a, h.session()
}

func wait(t *testing.T, s *Session) {
	t.Helper()
	select {
	case <-s.Done():
	case <-time.After(10 * time.Second):
		require.FailNow(t, "the session goes on")
	}
}

// nowhere is a connection that is only closed.
type nowhere struct{ net.Conn }

func (nowhere) Close() error { return nil }

func silent() logrus.FieldLogger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}
