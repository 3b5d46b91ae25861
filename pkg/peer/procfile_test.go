package peer

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseStat(t *testing.T) {
	tail := " 1 123 123 0 -1 4194304 1 0 0 0 2 1 0 0 20 0 5 0 4711 126443 1580\n"
	for _, tc := range []struct {
		name, text string
		want       procStat
		ok         bool
	}{
		{"plain", "123 (client) S" + tail, procStat{'S', 4194304, 5, 4711}, true},
		{"comm with a space and a parenthesis", "123 (a) R 9 (b) S" + tail, procStat{'S', 4194304, 5, 4711}, true},
		{"comm of closing parentheses", "123 ()))) S" + tail, procStat{'S', 4194304, 5, 4711}, true},
		{"comm with a newline", "123 (a\n) S" + tail, procStat{'S', 4194304, 5, 4711}, true},
		{"start time is the last field", "1 (x) Z 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 7\n", procStat{'Z', 0, 1, 7}, true},
		{"no parenthesis", "123 client S" + tail, procStat{}, false},
		{"cut off before the start time", "123 (client) S 1 123 123", procStat{}, false},
		{"start time is not a number", "1 (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 -7 0", procStat{}, false},
		{"state of two letters", "123 (client) SS" + tail, procStat{}, false},
		{"empty", "", procStat{}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parseStat([]byte(tc.text))
			require.Equal(t, tc.ok, err == nil, err)
			require.Equal(t, tc.want, got)
		})
	}
}

func TestAProcessWhoseFirstThreadExitedIsNotDead(t *testing.T) {
	require.True(t, procStat{state: 'Z', threads: 0}.dead())
	require.True(t, procStat{state: 'Z', threads: 1}.dead())
	require.True(t, procStat{state: 'X'}.dead())
	require.False(t, procStat{state: 'Z', threads: 2}.dead())
	require.False(t, procStat{state: 'T', threads: 1}.dead())
}

func TestParseStatus(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		uid, gid   uint32
		ok         bool
	}{
		{"effective is the second", "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t\n", 2, 6, true},
		{"name that looks like a line", "Name:\tx\\nUid:\\t0\\t0\\t0\\t0\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n", 2, 6, true},
		{"name called Uid", "Name:\tUid:\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n", 2, 6, true},
		{"overflow id", "Uid:\t1\t4294967295\t3\t4\nGid:\t5\t6\t7\t8\n", 4294967295, 6, true},
		{"no Gid", "Uid:\t1\t2\t3\t4\n", 0, 0, false},
		{"three numbers", "Uid:\t1\t2\t3\nGid:\t5\t6\t7\t8\n", 0, 0, false},
		{"five numbers", "Uid:\t1\t2\t3\t4\t5\nGid:\t5\t6\t7\t8\n", 0, 0, false},
		{"beyond 32 bits", "Uid:\t1\t4294967296\t3\t4\nGid:\t5\t6\t7\t8\n", 0, 0, false},
		{"empty", "", 0, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			uid, gid, err := parseStatus([]byte(tc.text))
			require.Equal(t, tc.ok, err == nil, err)
			require.Equal(t, [2]uint32{tc.uid, tc.gid}, [2]uint32{uid, gid})
		})
	}
}

func TestIdentityMap(t *testing.T) {
	for text, want := range map[string]bool{
		"         0          0 4294967295\n":                           true,
		"0 0 4294967295":                                               true,
		"         0       1000          1\n":                           false,
		"         0          0 4294967294\n":                           false,
		"         0          0      65536\n     65536      65536  1\n": false,
		"0 0 4294967295\n1 1 1\n":                                      false,
		"0 0\n4294967295\n":                                            false,
		"":                                                             false,
	} {
		require.Equal(t, want, identityMap([]byte(text)), "%q", text)
	}
}

func TestParseNSLink(t *testing.T) {
	ino, err := parseNSLink([]byte("pid:[4026531836]"))
	require.NoError(t, err)
	require.Equal(t, uint64(4026531836), ino)
	for _, text := range []string{"", "pid:[]", "pid:[12", "4026531836", "pid:[-1]", "pid:[18446744073709551616]"} {
		_, err := parseNSLink([]byte(text))
		require.Error(t, err, "%q", text)
	}
}

func FuzzStat(f *testing.F) {
	f.Add(fixture(f, "module-comm-parenthesis", "stat"))
	f.Add([]byte("1 () Z 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 7\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseStat(b)
		if err != nil {
			require.Zero(t, s)
			return
		}
		// Whatever precedes the last parenthesis says nothing.
		_, rest, _ := strings.Cut(string(b[lastParenthesis(b):]), ")")
		again, err := parseStat([]byte("1 (x)" + rest))
		require.NoError(t, err)
		require.Equal(t, s, again)
	})
}

func lastParenthesis(b []byte) int { return strings.LastIndexByte(string(b), ')') }

func FuzzStatus(f *testing.F) {
	f.Add(fixture(f, "module-comm-parenthesis", "status"))
	f.Fuzz(func(t *testing.T, b []byte) {
		uid, gid, err := parseStatus(b)
		// A first line that holds no newline, as the kernel's Name never does, changes nothing.
		uid2, gid2, err2 := parseStatus(append([]byte("Name:\tUid:\t0\t0\t0\t0\n"), b...))
		require.Equal(t, err == nil, err2 == nil)
		require.Equal(t, [2]uint32{uid, gid}, [2]uint32{uid2, gid2})
	})
}

func FuzzIDMap(f *testing.F) {
	f.Add([]byte("         0          0 4294967295\n"))
	f.Add([]byte("0 0 4294967295\n1 1 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if identityMap(b) {
			require.Equal(t, []string{"0", "0", "4294967295"}, strings.Fields(string(b)))
		}
	})
}

func fixture(t testing.TB, scenario, file string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/proc/" + scenario + "/123/" + file)
	require.NoError(t, err)
	return b
}
