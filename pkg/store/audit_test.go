package store

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/audit"
)

// at is a moment of the test's own day.
func at(minutes int) time.Time {
	return time.Date(2026, 1, 2, 3, 0, 0, 123456000, time.UTC).Add(time.Duration(minutes) * time.Minute)
}

func changed(minutes int, caller, module string) audit.Entry {
	return audit.Entry{Kind: audit.Change, Time: at(minutes), Last: at(minutes), Count: 1, Caller: "module", CallerModule: caller, Module: module, Status: 204}
}

func refused(minutes, count int, alike string) audit.Entry {
	return audit.Entry{Kind: audit.Refusal, Time: at(minutes), Last: at(minutes), Count: count, Alike: alike, Caller: "host", CallerUID: 1000, Status: 403}
}

// brief is an entry in a few words.
func brief(t *testing.T, s *Store, q audit.Query) []string {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	all, err := s.Audit(t.Context(), q)
	require.NoError(t, err)
	words := []string{}
	for _, e := range all {
		words = append(words, fmt.Sprintf("%s %s%s %d", e.Kind, e.CallerModule, e.Module, e.Count))
	}
	return words
}

func TestTheAuditTableIsReadAsItWasWritten(t *testing.T) {
	home := t.TempDir()
	s, err := Open(t.Context(), home, nil)
	require.NoError(t, err)
	entry := changed(0, "edgeAgent", "a\"b\u202e")
	entry.Comment, entry.CallerPID, entry.Bundle = "why\x1b", 7, "g/n/1"
	require.NoError(t, s.WriteAudit(t.Context(), []audit.Entry{entry, refused(1, 3, "x")}))
	require.NoError(t, s.Close())
	s, err = Open(t.Context(), home, nil)
	require.NoError(t, err)
	defer s.Close()
	all, err := s.Audit(t.Context(), audit.Query{Limit: 10})
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, audit.Refusal, all[0].Kind, "the newest first")
	require.Positive(t, all[1].ID)
	all[1].ID = 0
	require.Equal(t, entry, all[1])
}

func TestTheAuditTableIsAskedForSomeRows(t *testing.T) {
	s := open(t, t.TempDir())
	require.NoError(t, s.WriteAudit(t.Context(), []audit.Entry{changed(0, "a", "x"), changed(1, "b", "y"), refused(2, 1, "r"), changed(3, "a", "y")}))
	all, err := s.Audit(t.Context(), audit.Query{Limit: 100})
	require.NoError(t, err)
	for _, tc := range []struct {
		q    audit.Query
		want []string
	}{
		{audit.Query{}, []string{"change ay 1", "refusal  1", "change by 1", "change ax 1"}},
		{audit.Query{Kind: audit.Refusal}, []string{"refusal  1"}},
		{audit.Query{Module: "y"}, []string{"change ay 1", "change by 1"}},
		{audit.Query{Caller: "a"}, []string{"change ay 1", "change ax 1"}},
		{audit.Query{Caller: "1000"}, []string{"refusal  1"}},
		{audit.Query{Caller: "%"}, []string{}},
		{audit.Query{Since: at(2)}, []string{"change ay 1", "refusal  1"}},
		{audit.Query{Limit: 2}, []string{"change ay 1", "refusal  1"}},
		{audit.Query{Before: all[1].ID}, []string{"change by 1", "change ax 1"}},
		{audit.Query{After: all[1].ID}, []string{"change ay 1"}},
		{audit.Query{Caller: "a", Module: "x", Kind: audit.Change}, []string{"change ax 1"}},
	} {
		require.Equal(t, tc.want, brief(t, s, tc.q), "%+v", tc.q)
	}
}

func TestRefusalsThatGoOnAreOneRowAnHourAndTheNewest(t *testing.T) {
	s := open(t, t.TempDir())
	for minute := range 59 {
		require.NoError(t, s.WriteAudit(t.Context(), []audit.Entry{refused(minute, 10, "loop")}))
	}
	require.NoError(t, s.WriteAudit(t.Context(), []audit.Entry{changed(59, "a", "x"), refused(59, 10, "loop"), refused(59, 1, "other")}))
	require.Equal(t, []string{"refusal  1", "refusal  600", "change ax 1"}, brief(t, s, audit.Query{}))
	all, err := s.Audit(t.Context(), audit.Query{Limit: 2})
	require.NoError(t, err)
	require.Equal(t, at(0), all[1].Time)
	require.Equal(t, at(59), all[1].Last)
	require.NoError(t, s.WriteAudit(t.Context(), []audit.Entry{refused(61, 5, "loop")}))
	require.Equal(t, []string{"refusal  5", "refusal  1", "refusal  600", "change ax 1"}, brief(t, s, audit.Query{}))
}

// TestTheOldestRowsGoAndNoneForTheOtherKind fills both kinds over their bounds.
func TestTheOldestRowsGoAndNoneForTheOtherKind(t *testing.T) {
	s := open(t, t.TempDir())
	require.NoError(t, s.WriteAudit(t.Context(), []audit.Entry{changed(0, "first", "x"), changed(0, "second", "x")}))
	var flood []audit.Entry
	for i := range maxRefusals + 100 {
		flood = append(flood, refused(i, 1, fmt.Sprint(i)))
	}
	require.NoError(t, s.WriteAudit(t.Context(), flood))
	rows := func(kind audit.Kind) (n int) {
		require.NoError(t, s.read.QueryRowContext(t.Context(), `SELECT count(*) FROM audit WHERE kind = ?`, kind).Scan(&n))
		return n
	}
	require.Equal(t, maxRefusals, rows(audit.Refusal))
	require.Equal(t, 2, rows(audit.Change))
	// As if there had been as many changes as are kept.
	require.NoError(t, s.tx(t.Context(), "test", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), `UPDATE audit SET n = n + ? WHERE kind = 'change' AND n = 2`, maxChanges-2)
		return err
	}))
	require.NoError(t, s.WriteAudit(t.Context(), []audit.Entry{changed(1, "third", "x")}))
	require.Equal(t, []string{"change thirdx 1", "change secondx 1"}, brief(t, s, audit.Query{Kind: audit.Change}))
}

func BenchmarkAuditOfAChange(b *testing.B) {
	s, err := Open(b.Context(), b.TempDir(), nil)
	require.NoError(b, err)
	defer s.Close()
	for i := 0; b.Loop(); i++ {
		require.NoError(b, s.WriteAudit(b.Context(), []audit.Entry{changed(i, "edgeAgent", "x")}))
	}
}
