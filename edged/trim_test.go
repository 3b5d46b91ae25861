package main

import (
	"os"
	"strings"
	"testing"

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
