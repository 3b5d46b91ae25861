package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTrimGivesTheProgramsPagesBack(t *testing.T) {
	require.NoError(t, trim())
	exe, err := os.Readlink("/proc/self/exe")
	require.NoError(t, err)
	f, err := os.Open("/proc/self/smaps")
	require.NoError(t, err)
	defer f.Close()
	require.NotEmpty(t, unchanged(f, exe), "there was something to give back")
}

func TestMemoryIsGivenBackAfterWork(t *testing.T) {
	var r rest
	cpu := time.Duration(0)
	for i, c := range []struct {
		cpu    time.Duration
		memory uint64
		want   bool
	}{
		{600 * time.Millisecond, 30, false}, // the start is not over
		{20 * time.Millisecond, 31, true},
		{600 * time.Millisecond, 50, false}, // work, which does not show what rest takes
		{20 * time.Millisecond, 60, true},
		{20 * time.Millisecond, 12, false}, // as much it is
		{20 * time.Millisecond, 16, false},
		{20 * time.Millisecond, 17, true},
		{20 * time.Millisecond, 18, false}, // rest takes more than it did
		{20 * time.Millisecond, 22, false},
	} {
		cpu += c.cpu
		require.Equal(t, c.want, r.over(used{cpu, c.memory << 20}), "%d", i)
	}
}

func TestUsageIsThisProcess(t *testing.T) {
	before, err := usage()
	require.NoError(t, err)
	kept := bytes.Repeat([]byte{1}, 64<<20)
	after, err := usage()
	require.NoError(t, err)
	require.Greater(t, after.memory, before.memory+60<<20)
	require.NotEmpty(t, kept)
	for end := time.Now().Add(10 * time.Second); after.cpu < before.cpu+50*time.Millisecond; {
		require.True(t, time.Now().Before(end), "this loop takes processor time")
		after, err = usage()
		require.NoError(t, err)
	}
}

func TestOnlyUnchangedPagesOfTheProgramAreGivenBack(t *testing.T) {
	const smaps = `00400000-00500000 r-xp 00000000 08:01 11 /usr/bin/edged
Rss:                 512 kB
Anonymous:             0 kB
00500000-00600000 r--p 00100000 08:01 11 /usr/bin/edged
Anonymous:             4 kB
00600000-00700000 rw-p 00200000 08:01 11 /usr/bin/edged
Anonymous:             0 kB
00700000-00800000 r--p 00000000 08:01 12 /usr/bin/other
Anonymous:             0 kB
00800000-00900000 r--p 00000000 00:00 0
Anonymous:             0 kB
00900000-00800000 r-xp 00000000 08:01 11 /usr/bin/edged
Anonymous:             0 kB
`
	all := unchanged(strings.NewReader(smaps), "/usr/bin/edged")
	require.Equal(t, []mapping{{0x400000, 0x500000}}, all)
}
