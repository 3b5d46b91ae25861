package modulelog

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	const day = 24 * time.Hour
	for in, want := range map[string]time.Time{
		"2026-11-22T01:20:25Z":                time.Date(2026, 11, 22, 1, 20, 25, 0, time.UTC),
		"2026-11-22T01:20:25.698701355+02:00": time.Date(2026, 11, 21, 23, 20, 25, 698701355, time.UTC),
		"0":                                   time.Unix(0, 0),
		"100":                                 time.Unix(100, 0),
		"-100":                                time.Unix(-100, 0),
		"1700000000":                          time.Unix(1700000000, 0),
		"1700000000.5":                        time.Unix(1700000000, 500000000),
		"1700000000.000000001":                time.Unix(1700000000, 1),
		"1700000000.0000000019":               time.Unix(1700000000, 1),
		"-1.5":                                time.Unix(-1, -500000000),
		"-0.5":                                time.Unix(0, -500000000),
		"4294967296":                          time.Unix(1<<32, 0),
		"9223372036854775807":                 time.Unix(math.MaxInt64, 0),
		"30m":                                 ago(30 * time.Minute),
		"1h 20m":                              ago(80 * time.Minute),
		"1h20m":                               ago(80 * time.Minute),
		"1.5h":                                ago(90 * time.Minute),
		"1d":                                  ago(day),
		"1 day":                               ago(day),
		"2 days 3 hours":                      ago(51 * time.Hour),
		"2days3hours":                         ago(51 * time.Hour),
		"1 hour":                              ago(time.Hour),
		" 1 hour ":                            ago(time.Hour),
		"1week":                               ago(7 * day),
		"1M":                                  ago(2630016 * time.Second),
		"1y":                                  ago(31557600 * time.Second),
		"100y 1ns":                            ago(100*31557600*time.Second + 1),
		"5ms 3us 2ns":                         ago(5003002),
		"0s":                                  now,
	} {
		got, err := ParseTime(in, now)
		require.NoError(t, err, in)
		require.True(t, got.Equal(want), "%s: %s, want %s", in, got, want)
	}
}

func TestParseTimeRefuses(t *testing.T) {
	for _, in := range []string{
		"", " ", "yesterday", "1x", "h", "1h 2", "-5m", "1.h.", "1..5h", ".", "1.", "1.-5", "1.5.5", "1e5", "0x10", "300y", "1000000000000y", "9223372036854775808",
		"2026-11-22", "2026-11-22T01:20:25", "2026-13-22T01:20:25Z", "1 0 m", "١h", "1\x00h", strings.Repeat("9", 400) + "h",
	} {
		_, err := ParseTime(in, time.Now())
		require.ErrorIs(t, err, errdefs.ErrInvalidArgument, in)
		require.Less(t, len(err.Error()), 500)
	}
}

func TestParseTail(t *testing.T) {
	for in, want := range map[string]int{"all": -1, "0": 0, "1": 1, "100": 100, "18446744073709551615": math.MaxInt} {
		got, err := ParseTail(in)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, in := range []string{"", "-1", "+1", "ALL", "1.5", "ten", " 1", "18446744073709551616"} {
		_, err := ParseTail(in)
		require.ErrorIs(t, err, errdefs.ErrInvalidArgument, in)
	}
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"2026-11-22T01:20:25Z", "1700000000.5", "1h 20m", "2 days 3 hours", "-1", "9223372036854775807.999999999", "292y", "1.5h"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseTime(s, now)
		if err != nil {
			require.ErrorIs(t, err, errdefs.ErrInvalidArgument)
			return
		}
		if b := bound(got); b != "" {
			require.Len(t, b, 30, s)
		}
		if strings.ContainsAny(s, "hdwyM") && !strings.Contains(s, "T") {
			require.False(t, got.After(now), s)
		}
	})
}
