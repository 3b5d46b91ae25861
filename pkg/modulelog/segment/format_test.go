package segment

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPutStampIsRFC3339(t *testing.T) {
	times := []int64{0, 1, 1e9 - 1, 1795310425698701355, math.MaxInt64}
	for year := 1970; year < 2262; year++ { // every end of February, every end of a year
		for _, day := range []time.Time{
			time.Date(year, 2, 28, 23, 59, 59, 999999999, time.UTC), time.Date(year, 3, 1, 0, 0, 0, 0, time.UTC),
			time.Date(year, 2, 29, 12, 0, 0, 5, time.UTC), time.Date(year, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(year, 7, 15, 1, 2, 3, 4, time.UTC),
		} {
			times = append(times, day.UnixNano())
		}
	}
	for _, ns := range times {
		var b [StampLen]byte
		PutStamp(b[:], ns)
		require.Equal(t, time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000000000Z"), string(b[:]))
		require.True(t, ValidStamp(b[:]))
	}
	var b [StampLen]byte
	PutStamp(b[:], -1)
	require.Equal(t, "1970-01-01T00:00:00.000000000Z", string(b[:]))
}

func TestHeader(t *testing.T) {
	const stamp = "2026-11-22T01:20:25.698701355Z"
	for _, tc := range []struct {
		line    string
		stream  Stream
		partial bool
		ok      bool
	}{
		{stamp + " stdout F text", Stdout, false, true},
		{stamp + " stderr P text", Stderr, true, true},
		{stamp + " stdout F ", Stdout, false, true},
		{stamp + " stdout F", 0, false, false},
		{stamp + " stdin  F text", 0, false, false},
		{stamp + " stdout X text", 0, false, false},
		{stamp + " stdout Ftext", 0, false, false},
		{stamp[:29] + "+ stdout F text", 0, false, false},
		{"", 0, false, false},
	} {
		s, partial, ok := Header([]byte(tc.line))
		require.Equal(t, tc.ok, ok, tc.line)
		require.Equal(t, tc.stream, s, tc.line)
		require.Equal(t, tc.partial, partial, tc.line)
	}
}

func TestTornHeader(t *testing.T) {
	whole := "2026-11-22T01:20:25.698701355Z stderr P "
	for i := range HeaderLen {
		require.True(t, TornHeader([]byte(whole[:i])), whole[:i])
	}
	require.False(t, TornHeader([]byte(whole)), "that one is whole")
	for _, s := range []string{"x", "2026-11-22 01", whole[:30] + "x", whole[:30] + " stdlog F", whole[:38] + "X", "\x00\x00"} {
		require.False(t, TornHeader([]byte(s)), s)
	}
}

func TestParseName(t *testing.T) {
	for _, n := range []int64{0, 1, 9, 10, 123456789012345678} {
		got, ok := ParseName(Name(n))
		require.True(t, ok)
		require.Equal(t, n, got)
	}
	for _, s := range []string{"", ".log", "00.log", "01.log", "-1.log", "+1.log", "1.log.gz", "1", "a.log", "1 .log", "1234567890123456789.log", "lock"} {
		_, ok := ParseName(s)
		require.False(t, ok, s)
	}
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte("2026-11-22T01:20:25.698701355Z stdout F text"))
	f.Add([]byte("2026-11-22T01:20:25.698701355Z std"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, ok := Header(b)
		require.False(t, ok && TornHeader(b))
		require.False(t, ok && len(b) < HeaderLen)
	})
}
