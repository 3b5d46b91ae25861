package uploads

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the driver
)

// rows are the packages in a database, with their phases.
func rows(t testing.TB, file string) []string {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	require.NoError(t, err)
	defer db.Close()
	found, err := db.Query(`SELECT uid, phase FROM packages ORDER BY uid`)
	require.NoError(t, err)
	defer found.Close()
	var all []string
	for found.Next() {
		var uid, phase string
		require.NoError(t, found.Scan(&uid, &phase))
		all = append(all, uid+" "+phase)
	}
	require.NoError(t, found.Err())
	return all
}
