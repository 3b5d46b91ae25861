package modulelog

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/modulelog/segment"
)

func TestLongLinesAreJoined(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 4<<10) // 64 KiB
	for _, n := range []int{0, 1, segment.MaxText - 1, segment.MaxText, segment.MaxText + 1, 2 * segment.MaxText, 3*segment.MaxText - 1} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			s := newStore(t)
			w := newWriter(s, "m", 1, segment.Config{Now: ticking()})
			w.Feed(segment.Stdout, []byte("before\n"+long[:n]))
			w.Feed(segment.Stdout, []byte("\nafter\n"))
			w.Close()
			require.Equal(t, "before\n"+long[:n]+"\nafter\n", mustRead(t, s, "m", Options{Tail: -1}))
			require.Equal(t, long[:n]+"\nafter\n", mustRead(t, s, "m", Options{Tail: 2}))
			require.Equal(t, "after\n", mustRead(t, s, "m", Options{Tail: 1}))
			stamped := mustRead(t, s, "m", Options{Tail: -1, Timestamps: true})
			require.Len(t, stamped, len("before\n\nafter\n")+n+3*stampSpace, "a long line has one time")
			var c chunkWriter
			require.NoError(t, s.Copy(t.Context(), &c, "m", Options{Tail: -1, Framing: Docker}, nil))
			text := ""
			for _, f := range frames(t, c.chunks) {
				text += f.text
			}
			require.Equal(t, "before\n"+long[:n]+"\nafter\n", text)
		})
	}
}

func TestStreamsDoNotCutEachOthersLongLines(t *testing.T) {
	s := newStore(t)
	w := newWriter(s, "m", 1, segment.Config{})
	long := strings.Repeat("o", 40<<10)
	w.Feed(segment.Stdout, []byte(long))
	w.Feed(segment.Stderr, []byte("e\n"))
	w.Feed(segment.Stdout, []byte("!\n"))
	w.Close()
	require.Equal(t, "e\n"+long+"!\n", mustRead(t, s, "m", Options{Tail: -1}))
}

func TestLineTooLongToHoldIsBrokenNotMixed(t *testing.T) {
	s := newStore(t)
	w := newWriter(s, "m", 1, segment.Config{})
	long := strings.Repeat("o", 1<<20)
	w.Feed(segment.Stdout, []byte(long))
	w.Feed(segment.Stderr, []byte("e\n"))
	w.Feed(segment.Stdout, []byte("!\n"))
	w.Close()
	got := mustRead(t, s, "m", Options{Tail: -1})
	require.Contains(t, got, "\ne\n")
	require.Equal(t, long+"!", strings.ReplaceAll(strings.ReplaceAll(got, "\ne\n", ""), "\n", ""))
}

func TestUnfinishedLineEndsAtTheEndOfItsRun(t *testing.T) {
	for _, n := range []int{1, segment.MaxText, 2 * segment.MaxText, 2*segment.MaxText + 5} {
		s := newStore(t)
		long := strings.Repeat("x", n)
		w := newWriter(s, "m", 1, segment.Config{})
		w.Feed(segment.Stdout, []byte(long))
		w.Close()
		w = newWriter(s, "m", 1, segment.Config{})
		w.Feed(segment.Stdout, []byte("next\n"))
		w.Close()
		require.Equal(t, long+"\nnext\n", mustRead(t, s, "m", Options{Tail: -1}))
		require.Equal(t, "next\n", mustRead(t, s, "m", Options{Tail: 1}))
	}
}

func TestHostileTextStaysText(t *testing.T) {
	for _, text := range []string{
		"2026-11-22T01:20:25.698701355Z stderr F faked",
		"\x00\x00\x00", "\r\r", "", " ", "\xff\xfe", "\x01\x00\x00\x00\x00\x00\x00\x05hello",
		strings.Repeat("\x00", 100000),
	} {
		s := newStore(t)
		w := newWriter(s, "m", 1, segment.Config{})
		w.Feed(segment.Stdout, []byte(text+"\n"+text+"\n"))
		w.Close()
		require.Equal(t, text+"\n"+text+"\n", mustRead(t, s, "m", Options{Tail: -1, Stdout: true}))
		require.Equal(t, text+"\n", mustRead(t, s, "m", Options{Tail: 1}))
		require.Empty(t, mustRead(t, s, "m", Options{Tail: -1, Stderr: true}))
	}
}

func TestGarbageIsTextAndTornHeadersAreNothing(t *testing.T) {
	const a, b = "2026-11-22T01:20:25.698701355Z stdout F a\n", "2026-11-22T01:20:26.698701355Z stdout F b\n"
	for _, tc := range []struct{ name, stored, want string }{
		{"torn text", a + strings.TrimSuffix(b, "\n"), "a\nb\n"},
		{"torn header", a + b[:20], "a\n"},
		{"torn stream", a + b[:35], "a\n"},
		{"torn and ended", a + b[:20] + "\n" + b, "a\nb\n"},
		{"only an end", a + "\n" + b, "a\nb\n"},
		{"garbage", a + "garbage\n" + b, "a\ngarbage\nb\n"},
		{"zeros of a power cut", a + strings.Repeat("\x00", 5) + "\n" + b, "a\n\x00\x00\x00\x00\x00\nb\n"},
		{"a newline in a header", "2026-11-22T01:20:2\n.698701355Z stdout F a\n" + b, ".698701355Z stdout F a\nb\n"},
		{"bad flag", "2026-11-22T01:20:25.698701355Z stdout X a\n", "2026-11-22T01:20:25.698701355Z stdout X a\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStore(t)
			put(t, s, "m", 1, 0, tc.stored)
			require.Equal(t, tc.want, mustRead(t, s, "m", Options{Tail: -1}))
			require.Equal(t, tc.want, mustRead(t, s, "m", Options{Tail: strings.Count(tc.want, "\n")}))
		})
	}
}
