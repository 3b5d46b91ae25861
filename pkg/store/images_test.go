package store

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/image"
	"github.com/edged/edged/pkg/module"
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

func TestGenerationsNameTheirImagesUntilTheyEnd(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	generation := func(number int64, ref, digest string) module.Generation {
		return module.Generation{Number: number, Spec: module.Spec{Name: "m", Type: "docker", Image: ref}, ImageDigest: digest, Created: time.Now()}
	}
	longAgo := func() {
		_, err := s.write.ExecContext(ctx, `UPDATE image_uses SET used_at = 1000`)
		require.NoError(t, err)
	}
	inUseNow := func() (now []string) {
		uses, err := s.ImageUses(ctx)
		require.NoError(t, err)
		for ref, at := range uses {
			if time.Since(at) < time.Minute {
				now = append(now, ref)
			}
		}
		return now
	}
	require.NoError(t, s.TouchImage(ctx, "docker.io/library/a:1", "sha256:a"))
	require.NoError(t, s.TouchImage(ctx, "r.example/b:1", "sha256:b"))
	longAgo()
	next := generation(2, "r.example/b:1", "sha256:b")
	r := &module.Record{Name: "m", Phase: module.PhaseUpdating, Current: generation(1, "a:1", "sha256:a"), Next: &next}
	require.NoError(t, s.SaveModule(ctx, r))
	named, err := s.NamedImages(ctx)
	require.NoError(t, err)
	require.Equal(t, []image.Named{{Module: "m", Ref: "a:1", Digest: "sha256:a"}, {Module: "m", Ref: "r.example/b:1", Digest: "sha256:b"}}, named)
	require.Empty(t, inUseNow())

	r.Phase, r.Current, r.Next = module.PhaseReady, next, nil
	require.NoError(t, s.SaveModule(ctx, r))
	require.Equal(t, []string{"docker.io/library/a:1"}, inUseNow(), "the old generation has had its image until now")

	r.Phase = module.PhaseDeleting
	require.NoError(t, s.SaveModule(ctx, r))
	named, err = s.NamedImages(ctx)
	require.NoError(t, err)
	require.Len(t, named, 1, "whatever the phase")
	longAgo()
	require.NoError(t, s.DeleteModule(ctx, "m"))
	require.Equal(t, []string{"r.example/b:1"}, inUseNow())
	named, err = s.NamedImages(ctx)
	require.NoError(t, err)
	require.Empty(t, named)

	require.NoError(t, s.ForgetImage(ctx, "r.example/b:1"))
	require.NoError(t, s.ForgetImage(ctx, "never"))
	uses, err := s.ImageUses(ctx)
	require.NoError(t, err)
	require.Len(t, uses, 1)
}
