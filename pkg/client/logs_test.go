package client_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client"
)

const framed = "application/vnd.docker.multiplexed-stream"

func frame(stream byte, text string) string {
	var b bytes.Buffer
	b.Write([]byte{stream, 0, 0, 0})
	_ = binary.Write(&b, binary.BigEndian, uint32(len(text)))
	return b.String() + text
}

func TestLogOptionsAreTheContractsQuery(t *testing.T) {
	for want, opt := range map[string]client.LogOptions{
		"api-version=2022-08-03": {},
		"api-version=2022-08-03&follow=true&since=1h+20m&tail=5&timestamps=true&until=2026-01-02T03%3A04%3A05Z": {
			Follow: true, Tail: "5", Since: "1h 20m", Until: "2026-01-02T03:04:05Z", Timestamps: true,
		},
	} {
		var got string
		c := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.URL.RawQuery })
		r, err := c.Logs(t.Context(), "m", opt)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		require.Equal(t, want, got)
	}
}

func TestALogIsItsBytesInEitherFraming(t *testing.T) {
	for name, tc := range map[string]struct{ contentType, body, want string }{
		"plain":                      {"text/plain; charset=utf-8", "a\nb\n", "a\nb\n"},
		"plain that looks like them": {"text/plain; charset=utf-8", frame(1, "a\n"), frame(1, "a\n")},
		"frames":                     {framed, frame(1, "a\n") + frame(2, "err\n") + frame(1, "") + frame(0, "b"), "a\nerr\nb"},
		"nothing in frames":          {framed, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var accept string
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				accept = r.Header.Get("Accept")
				w.Header().Set("Content-Type", tc.contentType)
				_, _ = io.WriteString(w, tc.body)
			})
			r, err := c.Logs(t.Context(), "m", client.LogOptions{})
			require.NoError(t, err)
			defer r.Close()
			require.NoError(t, iotest.TestReader(r, []byte(tc.want)))
			require.Contains(t, accept, framed)
		})
	}
}

func TestAFollowedLineArrivesBeforeTheLogEnds(t *testing.T) {
	more := make(chan struct{})
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", framed)
		_, _ = io.WriteString(w, frame(1, "first\n"))
		_ = http.NewResponseController(w).Flush()
		<-more
		_, _ = io.WriteString(w, frame(1, "second\n"))
	})
	r, err := c.Logs(t.Context(), "m", client.LogOptions{Follow: true})
	require.NoError(t, err)
	defer r.Close()
	line := make([]byte, 6)
	_, err = io.ReadFull(r, line)
	require.NoError(t, err)
	require.Equal(t, "first\n", string(line))
	close(more)
	rest, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "second\n", string(rest))
}

func TestAFollowedLogEndsWithItsContext(t *testing.T) {
	gone := make(chan struct{})
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	})
	ctx, cancel := context.WithCancel(t.Context())
	r, err := c.Logs(ctx, "m", client.LogOptions{Follow: true})
	require.NoError(t, err)
	defer r.Close()
	cancel()
	_, err = r.Read(make([]byte, 1))
	require.ErrorIs(t, err, context.Canceled)
	<-gone
}

func TestALogThatBreaksOffIsNotAWholeLog(t *testing.T) {
	for name, body := range map[string]string{"in a header": frame(1, "a\n") + "\x01\x00", "in a payload": frame(1, "a\n") + frame(1, "long\n")[:10]} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", framed)
				_, _ = io.WriteString(w, body)
			})
			r, err := c.Logs(t.Context(), "m", client.LogOptions{})
			require.NoError(t, err)
			defer r.Close()
			got, err := io.ReadAll(r)
			require.True(t, errdefs.IsUnavailable(err), "%v", err)
			require.ErrorContains(t, err, "the connection broke")
			require.True(t, strings.HasPrefix(string(got), "a\n"))
		})
	}
}

func TestWhatIsNoFrameIsSaidToBeNone(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", framed)
		_, _ = io.WriteString(w, "plain text after all\n")
	})
	r, err := c.Logs(t.Context(), "m", client.LogOptions{})
	require.NoError(t, err)
	defer r.Close()
	_, err = io.ReadAll(r)
	require.ErrorContains(t, err, "no frame's header")
}

func TestLogsOfAMissingModuleAreNotFound(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"message":"module \"m\" not found"}`)
	})
	_, err := c.Logs(t.Context(), "m", client.LogOptions{})
	require.True(t, errdefs.IsNotFound(err))
}

func FuzzFramesGiveNoByteTwice(f *testing.F) {
	f.Add([]byte(frame(1, "a\n") + frame(2, "b")))
	f.Add([]byte("\x01\x00\x00\x00\xff\xff\xff\xffx"))
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := io.ReadAll(client.NewFrames(iotest.OneByteReader(bytes.NewReader(in))))
		require.LessOrEqual(t, len(out), len(in))
		if err == nil && len(in) > 0 && len(in) < 8 {
			t.Fatal("a stream shorter than a header ended well")
		}
	})
}
