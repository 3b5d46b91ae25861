package protocol

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMessagesComeThroughOneByOne(t *testing.T) {
	var b bytes.Buffer
	slot := 2
	sent := []Request{
		{Op: Open, Token: &Token{Module: "/m", Slot: &slot, PIN: "p"}},
		{Op: MAC, Label: "l", Data: bytes.Repeat([]byte{0xff}, 30000)},
	}
	for i := range sent {
		require.NoError(t, Write(&b, &sent[i]))
	}
	for i := range sent {
		var got Request
		require.NoError(t, Read(&b, &got))
		require.Equal(t, sent[i], got)
	}
	require.ErrorIs(t, Read(&b, new(Request)), io.EOF)
}

func TestWhatIsTooLongOrBrokenEndsTheConversation(t *testing.T) {
	require.ErrorContains(t, Write(io.Discard, &Request{Data: make([]byte, MaxSize)}), "at most 65536")
	for text, want := range map[string]string{
		"\xff\xff\xff\xff": "at most 65536", "\x00\x00\x00\x05{}": "unexpected EOF", "\x00\x00": "unexpected EOF",
		"\x00\x00\x00\x02{}x": "", "\x00\x00\x00\x02{x": "invalid character", "\x00\x00\x00\x00": "unexpected end of JSON",
	} {
		err := Read(strings.NewReader(text), new(Answer))
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, want, "%q", text)
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	require.NoError(f, Write(&b, &Answer{Error: "e", Class: NotFound, Data: []byte("d")}))
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, message []byte) {
		var a Answer
		if Read(bytes.NewReader(message), &a) != nil {
			return
		}
		var again bytes.Buffer
		if Write(&again, &a) != nil {
			return // what is not UTF-8 is written longer than it was read
		}
		var b Answer
		require.NoError(t, Read(&again, &b))
		require.Equal(t, a.Class, b.Class)
	})
}
