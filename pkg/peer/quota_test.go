package peer

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSharedListenerCountsByUIDAndKeepsAReserve(t *testing.T) {
	q := newQuota(Limits{PerListener: 10, PerUID: 4, RootReserve: 2}, true)
	var taken []slot
	take := func(uid uint32, want string) {
		t.Helper()
		s, reason := q.take(uid)
		require.Equal(t, want, reason)
		if reason == "" {
			taken = append(taken, s)
		}
	}
	for range 4 {
		take(1000, "")
	}
	take(1000, ReasonLimitUID)
	for range 4 {
		take(0, "")
	}
	take(0, ReasonLimitListener)
	take(1001, ReasonLimitListener)
	first, ok := q.takeKept()
	require.True(t, ok)
	_, ok = q.takeKept()
	require.True(t, ok)
	_, ok = q.takeKept()
	require.False(t, ok, "ten are open")

	q.release(first)
	take(1001, ReasonLimitListener)
	_, ok = q.takeKept()
	require.True(t, ok, "a place of the reserve goes back to the reserve")
	q.release(taken[0])
	take(1001, "")
	for _, s := range taken[1:] {
		q.release(s)
	}
	require.Zero(t, q.total)
	require.Empty(t, q.perUID, "uids that left are forgotten")
}

func TestModuleListenerCountsAllTogetherAndKeepsNothing(t *testing.T) {
	q := newQuota(Limits{PerListener: 10, PerUID: 2, RootReserve: 2}, false)
	for uid := range uint32(2) {
		_, reason := q.take(uid)
		require.Empty(t, reason)
	}
	_, reason := q.take(7)
	require.Equal(t, ReasonLimitListener, reason)
	_, ok := q.takeKept()
	require.False(t, ok)
}
