package osgihost

import (
	"bufio"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestWrongRequestsAreAnswered and leave the connection as it was.
func TestWrongRequestsAreAnswered(t *testing.T) {
	_, l := newRig(t).start()
	for name, line := range map[string]string{
		"no JSON":        "hello",
		"empty":          "",
		"no object":      "[1]",
		"no id":          `{"op":"ping"}`,
		"id is text":     `{"id":"1","op":"ping"}`,
		"id is negative": `{"id":-1,"op":"ping"}`,
		"id is large":    `{"id":123456789012345678901234567890,"op":"ping"}`,
		"id twice":       `{"id":1,"id":2,"op":"ping"}`,
		"more behind":    `{"id":1,"op":"ping"} x`,
		"nested":         `{"id":1,"op":` + strings.Repeat("[", 100_000),
		"no UTF-8":       "{\"id\":1,\"op\":\"\xff\"}",
		"half a string":  `{"id":1,"op":"pi`,
	} {
		_, err := l.conn.Write([]byte(line + "\n"))
		require.NoError(t, err)
		select {
		case a := <-l.lost:
			require.Nil(t, a.ID, name)
			require.NotNil(t, a.Error, name)
			require.Equal(t, "java.lang.IllegalArgumentException", a.Error.Class, name)
		case <-time.After(patience):
			require.Fail(t, "no answer", name)
		}
	}
	for _, wrong := range []struct {
		op string
		m  members
	}{
		{"dance", nil},
		{"", nil},
		{"ping", members{"op": 7}},
		{"start", nil},
		{"start", members{"bundle": "1"}},
		{"start", members{"bundle": 1.5}},
		{"start", members{"bundle": 1, "transient": "yes"}},
		{"refresh", members{"bundles": 7}},
		{"refresh", members{"bundles": []any{"a"}}},
		{"install", members{"location": "dx:a"}},
		{"update", members{"bundle": 1}},
		{"setStartLevel", members{"bundle": 1, "level": int64(1) << 40}},
	} {
		require.Equal(t, "java.lang.IllegalArgumentException", l.fails(wrong.op, wrong.m).Class, "%s %v", wrong.op, wrong.m)
	}
	// Bytes that follow are taken, whatever becomes of the request.
	for _, m := range []members{{"location": 7}, {"location": ""}, {"location": "host:a"}, {"location": "a\nb"}} {
		a := l.wait(l.send("install", m, []byte("\n{}\n")))
		require.Equal(t, "java.lang.IllegalArgumentException", a.Error.Class, "%v", m)
	}
	a := l.wait(l.send("dance", nil, []byte("\n{}\n")))
	require.Equal(t, "java.lang.IllegalArgumentException", a.Error.Class)
	b := l.install("dx:ü\u2028\"", plain(t, "good", "1.0.0"))
	require.Equal(t, "dx:ü\u2028\"", b.Location)
	require.Empty(t, l.lost)
}

// TestAConnectionOnWhichNothingCanBeFoundAnyMoreEnds after it was said why, and the next one serves.
func TestAConnectionOnWhichNothingCanBeFoundAnyMoreEnds(t *testing.T) {
	r := newRig(t)
	_, l := r.start()
	for name, line := range map[string]string{
		"a line without end": strings.Repeat("x", 2<<20),
		"size is text":       `{"id":1,"op":"install","location":"a","size":"1"}` + "\n",
		"size is negative":   `{"id":1,"op":"install","location":"a","size":-1}` + "\n",
		"size is null":       `{"id":1,"op":"install","location":"a","size":null}` + "\n",
	} {
		_, _ = l.conn.Write([]byte(line))
		select {
		case a := <-l.lost:
			require.NotNil(t, a.Error, name)
		case <-time.After(patience):
			require.Fail(t, "no answer", name)
		}
		select {
		case <-l.closed:
		case <-time.After(patience):
			require.Fail(t, "the connection goes on", name)
		}
		l = r.accept()
		require.NotEmpty(t, l.list(), name)
	}
}

// TestSixtyFourRequestsAtOnce are taken, more are refused, and one is taken again when one is over.
func TestSixtyFourRequestsAtOnce(t *testing.T) {
	_, l := newRig(t).start()
	b := l.install("dx:good", plain(t, "good", "1.0.0"))
	var come []chan answer
	for range 64 {
		come = append(come, l.send("ping", nil, nil))
	}
	for _, c := range come {
		require.Nil(t, l.wait(c).Error)
	}
	come = nil
	for i := range 64 {
		op := "start"
		if i%2 == 1 {
			op = "stop"
		}
		come = append(come, l.send(op, members{"bundle": b.ID}, nil))
	}
	for _, c := range come {
		require.Nil(t, l.wait(c).Error)
	}

	// Each waits for the first, which never ends.
	hangs := l.install("dx:hangs", active(t, "hangs", "1.0.0"))
	for range 64 {
		l.send("start", members{"bundle": hangs.ID}, nil)
	}
	// The frame of a bundle that comes with a refused request is not lost.
	a := l.wait(l.send("install", members{"location": "dx:more"}, plain(t, "more", "1.0.0")))
	require.NotNil(t, a.Error)
	require.Equal(t, "java.lang.IllegalStateException", a.Error.Class)
	require.Equal(t, "java.lang.IllegalStateException", l.fails("ping", nil).Class)
}

// TestAnEdgedThatDoesNotReadLosesItsConnection and never stops the framework.
func TestAnEdgedThatDoesNotReadLosesItsConnection(t *testing.T) {
	r := newRig(t)
	h := r.run()
	l := r.accept()
	l.install("dx:toggled", plain(t, "toggled", "1.0.0"))
	toggles := l.install("dx:toggles", active(t, "toggles", "1.0.0"))
	l.close()

	deaf := r.silent()
	close(deaf.closed)
	hello, err := bufio.NewReaderSize(deaf.conn, 16).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, hello, `"hello":1`)
	come := deaf.send("start", members{"bundle": toggles.ID}, nil)
	h.says("edged does not read")
	require.Empty(t, come)

	l = r.accept()
	require.Eventually(t, func() bool { return l.get(toggles.ID).State == "ACTIVE" }, patience, 20*time.Millisecond, "the operation went on")
	rest, _ := io.Copy(io.Discard, deaf.conn)
	require.Less(t, rest, int64(10_000*1_000))
	require.NoError(t, deaf.conn.Close())
}
