package engine

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/image"
)

func TestOneAtATimeHasALock(t *testing.T) {
	var k keyedLocks
	ctx := t.Context()
	inside, most := 0, atomic.Int64{}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := k.Lock(ctx, "a"); err != nil {
				t.Error(err)
				return
			}
			inside++ // the race detector watches
			most.Store(max(most.Load(), int64(inside)))
			inside--
			k.Unlock("a")
		})
	}
	require.NoError(t, k.Lock(ctx, "b"), "another key is another lock")
	wg.Wait()
	require.EqualValues(t, 1, most.Load())

	leaving, leave := context.WithCancel(ctx)
	leave()
	require.ErrorIs(t, k.Lock(leaving, "b"), context.Canceled)
	k.Unlock("b")
	require.Empty(t, k.locks, "nothing is kept of what nobody waits for")
}

func TestABodyThatStallsEndsLikeALineThatBroke(t *testing.T) {
	stall := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "some")
		_ = http.NewResponseController(w).Flush()
		<-stall
	}))
	defer server.Close()
	defer close(stall)
	var bytes atomic.Uint64
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c := http.Client{Transport: &watchedTransport{RoundTripper: transport, stall: 50 * time.Millisecond, bytes: &bytes}}
	resp, err := c.Get(server.URL)
	require.NoError(t, err)
	b, err := io.ReadAll(resp.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "the fetcher then asks for the rest")
	require.Equal(t, "some", string(b))
	require.EqualValues(t, 4, bytes.Load())
	_ = resp.Body.Close()
}

func layerOf(text string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromString(text), Size: int64(len(text))}
}

func TestProgressIsOfLayersThatHaveToBeFetched(t *testing.T) {
	p := newProgress()
	now, changed := p.look()
	require.Equal(t, image.Progress{Phase: image.Waiting}, now)
	p.phase(image.Resolving)
	<-changed
	here, wanted, late := layerOf("here"), layerOf("wanted"), layerOf("later")
	p.know(t.Context(), []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromString("c"), Size: 1}, here, wanted, late})
	var locks keyedLocks
	require.NoError(t, wantingLocks{&locks, p}.Lock(t.Context(), "blob://"+wanted.Digest.String()))
	require.NoError(t, wantingLocks{&locks, p}.Lock(t.Context(), "sn://overlayfs/"+here.Digest.String()))
	require.NoError(t, wantingLocks{&locks, p}.Lock(t.Context(), "blob://sha256:unknown"))
	p.set(wanted.Digest.String(), 2)
	p.set(here.Digest.String(), 2)
	now, _ = p.look()
	require.Equal(t, image.Progress{Phase: image.Downloading, Layers: []image.Layer{{Digest: wanted.Digest.String(), Offset: 2, Total: 6}}}, now)

	p.want(late.Digest.String())
	p.set(wanted.Digest.String(), 1) // it began anew
	p.set(wanted.Digest.String(), 700)
	p.set(wanted.Digest.String(), 3) // an old status of one that is whole
	p.set(late.Digest.String(), 5)
	now, _ = p.look()
	offset, total := now.Bytes()
	require.Equal(t, []int64{11, 11}, []int64{offset, total})
	require.Equal(t, image.Unpacking, now.Phase)
}

func TestTheLogSaysHowFarAndHowFast(t *testing.T) {
	require.Equal(t, "pulling image: 25% of 4MiB, 512KiB/s", pace(1<<20, 4<<20, 1<<20, 2*time.Second))
	require.Equal(t, "pulling image: waiting for its registry", pace(0, 0, 0, time.Second))
	require.True(t, isFull(errors.New("write /x: no space left on device")))
	require.False(t, isFull(io.ErrUnexpectedEOF))
}

func TestSizesCountWhatIsThere(t *testing.T) {
	a, b := digest.FromString("a"), digest.FromString("b")
	have := &stored{
		blobs:  map[digest.Digest]int64{a: 1},
		layers: map[string]layer{"base": {size: 10}, "top": {parent: "base", size: 100}},
	}
	require.EqualValues(t, 111, have.size(contents{blobs: []digest.Digest{a, b}, chainID: "top"}))
	require.EqualValues(t, 1, have.size(contents{blobs: []digest.Digest{a}, chainID: "gone"}))
	require.EqualValues(t, 101, have.without(&stored{layers: map[string]layer{"base": {}}}))
}
