package upload

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/contrib/imagetar/archive"
)

// Two archives are one package, since they have the same name: whoever brings one makes its
// own image, takes back its own, or hears that the other is here.
func TestOthersThatBringAndRemoveTheSamePackage(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Images = slowRemovals{c.Images} })
	var variants [][]byte
	for _, content := range []string{"one", "two"} {
		var b bytes.Buffer
		require.NoError(t, archive.Write(&b, archive.Image{
			Ref: "app:1", Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}, Layers: []archive.Layer{{"/etc/version": {Body: []byte(content)}}},
		}))
		variants = append(variants, b.Bytes())
	}
	id := uid("docker.io/library/app", "1")
	var bringing, removing sync.WaitGroup
	brought, stop := context.WithCancel(t.Context())
	for i := range 6 {
		b := variants[i%2]
		bringing.Go(func() {
			for range 30 {
				u, err := r.Receive(t.Context(), int64(len(b)))
				if err == nil {
					_, err = u.ReadFrom(bytes.NewReader(b))
				}
				if err == nil {
					_, err = u.Add(t.Context())
				}
				if err != nil && CodeOf(err) != ModuleExists && CodeOf(err) != TooManyUploads {
					t.Errorf("%v", err)
				}
			}
		})
		removing.Go(func() {
			for brought.Err() == nil {
				if err := r.Delete(t.Context(), id); err != nil && CodeOf(err) != ModuleNotFound {
					t.Errorf("%v", err)
				}
			}
		})
	}
	bringing.Wait()
	stop()
	removing.Wait()
	if _, err := r.Get(id); err == nil {
		require.NoError(t, r.Delete(t.Context(), id))
	}
	r.nothingLeft()
}

// slowRemovals take as long as containerd's, so that others wait meanwhile.
type slowRemovals struct{ Images }

func (s slowRemovals) RemovePackage(ctx context.Context, uid, name, digest string) error {
	time.Sleep(3 * time.Millisecond)
	return s.Images.RemovePackage(ctx, uid, name, digest)
}
