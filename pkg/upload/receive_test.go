package upload

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/pack/packtest"
)

func TestSizesAreRefusedBeforeTheyAreRead(t *testing.T) {
	r := newRig(t, nil)
	_, err := r.Receive(t.Context(), r.MaxSize+Overhead+1)
	require.Equal(t, ModuleTooLarge, CodeOf(err))
	r.FreeFloor = 1 << 60
	_, err = r.Receive(t.Context(), 1)
	require.Equal(t, InsufficientStorage, CodeOf(err))
	require.ErrorIs(t, err, errdefs.ErrResourceExhausted)
	r.FreeFloor = 0

	u, err := r.Receive(t.Context(), -1) // nobody knows how large it is
	require.NoError(t, err)
	_, err = u.ReadFrom(bytes.NewReader(make([]byte, r.MaxSize+1)))
	require.Equal(t, ModuleTooLarge, CodeOf(err))
	u.Abort()

	var all []*Upload
	for range uploadsAtOnce {
		u, err := r.Receive(t.Context(), 100)
		require.NoError(t, err)
		all = append(all, u)
	}
	_, err = r.Receive(t.Context(), 100)
	require.Equal(t, TooManyUploads, CodeOf(err))
	require.ErrorIs(t, err, errdefs.ErrUnavailable)
	for _, u := range all {
		u.Abort()
		u.Abort() // a second time is none
	}
	r.nothingLeft()
}

func TestUploadsUnderWayHaveTheirRoom(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxSize = 1 << 50 })
	u, err := r.Receive(t.Context(), 1<<20)
	require.NoError(t, err)
	var free int64
	require.NoError(t, r.room())
	r.FreeFloor = 1 << 60
	require.ErrorContains(t, r.room(), "uploads under way need 1048576 of them")
	r.FreeFloor = free
	_, err = u.ReadFrom(bytes.NewReader(make([]byte, 1<<19)))
	require.NoError(t, err)
	r.mu.Lock()
	require.EqualValues(t, 1<<19, r.promised(), "what is written is not promised any more")
	r.mu.Unlock()
	_, err = u.ReadFrom(strings.NewReader("a second package"))
	require.Equal(t, InvalidModule, CodeOf(err))
	u.Abort()
	r.nothingLeft()
}

func TestACutConnectionLeavesNothing(t *testing.T) {
	r := newRig(t, nil)
	u, err := r.Receive(t.Context(), 1000)
	require.NoError(t, err)
	_, err = u.ReadFrom(io.MultiReader(strings.NewReader("PK\x03\x04"), broken{}))
	require.EqualError(t, err, "connection reset")
	u.Abort()
	r.nothingLeft()
	// One that ends early is a package that is cut off.
	u, err = r.Receive(t.Context(), 1000)
	require.NoError(t, err)
	_, err = u.ReadFrom(io.MultiReader(strings.NewReader("PK\x03\x04"), errReader{io.ErrUnexpectedEOF}))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	u.Abort()
	r.nothingLeft()
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func TestTheSameAtOnceIsThereOnce(t *testing.T) {
	r := newRig(t, nil)
	b := packtest.RAMP{}.Bytes()
	var wg sync.WaitGroup
	errs := make(chan error, uploadsAtOnce)
	for range uploadsAtOnce {
		u := r.receive(b)
		wg.Go(func() {
			_, err := u.Add(context.Background())
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	sound := 0
	for err := range errs {
		if err == nil {
			sound++
		} else {
			require.Equal(t, ModuleExists, CodeOf(err))
		}
	}
	require.Equal(t, 1, sound)
	blobs, ingests := r.left()
	require.Equal(t, []int{1, 0}, []int{blobs, ingests})
}

func TestAStopEndsWhatIsUnderWay(t *testing.T) {
	r := newRig(t, nil)
	u := r.receive(packtest.RAMP{}.Bytes())
	r.Close()
	_, err := u.Add(t.Context())
	require.ErrorIs(t, err, errdefs.ErrUnavailable)
	_, err = r.Receive(t.Context(), 1)
	require.ErrorIs(t, err, errdefs.ErrUnavailable)
	r.nothingLeft()
}

func TestALookAtAPackageEndsWithEdged(t *testing.T) {
	r := newRig(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, b := range [][]byte{packtest.RAMP{}.Bytes(), anImage(t, "app:1", runtime.GOARCH)} {
		_, err := r.receive(b).prepare(ctx, false)
		require.ErrorIs(t, err, context.Canceled, "and it says nothing of the package")
		r.nothingLeft()
	}
}

func TestWhatIsStagedCanBeReadBeforeItIsCommitted(t *testing.T) {
	r := newRig(t, nil)
	u := r.receive([]byte("bytes"))
	b, err := io.ReadAll(u.staged.Blob(t.Context()).Whole())
	require.NoError(t, err)
	require.Equal(t, "bytes", string(b), "the store's own layout of what is not committed is as it is taken to be")
	u.Abort()
	r.nothingLeft()
}
