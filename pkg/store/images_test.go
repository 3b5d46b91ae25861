package store

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnImageUseIsWrittenOnceAnHourOrWhenTheDigestChanges(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	use := func() (digest string, at int64) {
		require.NoError(t, s.read.QueryRowContext(ctx, `SELECT digest, used_at FROM image_uses WHERE ref = 'a:1'`).Scan(&digest, &at))
		return digest, at
	}
	age := func(seconds int64) int64 {
		_, err := s.write.ExecContext(ctx, `UPDATE image_uses SET used_at = used_at - ?`, seconds)
		require.NoError(t, err)
		_, at := use()
		return at
	}
	require.NoError(t, s.TouchImage(ctx, "a:1", "sha256:old"))
	young := age(600)
	require.NoError(t, s.TouchImage(ctx, "a:1", "sha256:old"))
	_, at := use()
	require.Equal(t, young, at, "ten minutes are no news")

	old := age(3600)
	require.NoError(t, s.TouchImage(ctx, "a:1", "sha256:old"))
	_, at = use()
	require.Greater(t, at, old)

	require.NoError(t, s.TouchImage(ctx, "a:1", "sha256:new"))
	digest, _ := use()
	require.Equal(t, "sha256:new", digest)

	ahead := age(-7200) // the clock was wrong when it was written
	require.NoError(t, s.TouchImage(ctx, "a:1", "sha256:new"))
	_, at = use()
	require.Less(t, at, ahead)
}
