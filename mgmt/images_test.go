package mgmt

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/image"
	"github.com/edged/edged/pkg/module"
)

func TestImagesAreListedWithWhoUsesThem(t *testing.T) {
	w := newFixture(t).ask("other", "GET", "/images"+v, "")
	require.JSONEq(t, `{"images":[
		{"name":"r.example/a:1","digest":"sha256:aa","size":10,"lastUsed":"2026-01-02T03:04:05Z","usedBy":[]},
		{"name":"r.example/b:1","digest":"sha256:bb","size":20,"lastUsed":"2026-01-02T03:04:05Z","usedBy":["target"],"kept":"module"}]}`, w.Body.String())
}

func TestAPullIsAnsweredInLines(t *testing.T) {
	layers := func(offset int64) []image.Layer {
		return []image.Layer{{Digest: "sha256:l1", Offset: offset, Total: 9}, {Digest: "sha256:l2", Offset: 4, Total: 4}}
	}
	lines := `{"status":"downloading"}
{"status":"downloading","layer":"sha256:l1","offset":1,"total":9}
{"status":"downloading","layer":"sha256:l2","offset":4,"total":4}
{"status":"downloading","layer":"sha256:l1","offset":9,"total":9}
{"status":"unpacking"}
`
	progress := []image.Progress{
		{Phase: image.Waiting},
		{Phase: image.Resolving},
		{Phase: image.Downloading, Layers: layers(1)},
		{Phase: image.Downloading, Layers: layers(1)},
		{Phase: image.Downloading, Layers: layers(9)},
		{Phase: image.Unpacking, Layers: layers(9)},
	}
	for name, tc := range map[string]struct {
		progress []image.Progress
		fail     error
		status   int
		kind     string
		want     string
	}{
		"success":                      {progress: progress, status: 200, kind: ndjson, want: lines + `{"status":"pulled","image":"docker.io/library/i:1","digest":"sha256:cc"}` + "\n"},
		"all of it is here":            {status: 200, kind: ndjson, want: `{"status":"pulled","image":"docker.io/library/i:1","digest":"sha256:cc"}` + "\n"},
		"refused at the registry":      {progress: progress[:2], fail: errdefs.ErrInvalidArgument, status: 400, kind: "application/json", want: `{"message":"invalid argument"}`},
		"away":                         {fail: errdefs.ErrUnavailable, status: 503, kind: "application/json", want: `{"message":"unavailable"}`},
		"broken when it has come far":  {progress: progress, fail: errdefs.ErrUnavailable, status: 200, kind: ndjson, want: lines + `{"status":"failed","code":503,"message":"unavailable"}` + "\n"},
		"back to its registry, and on": {progress: []image.Progress{{Phase: image.Downloading}, {Phase: image.Resolving}}, status: 200, kind: ndjson, want: `{"status":"downloading"}` + "\n" + `{"status":"resolving"}` + "\n" + `{"status":"pulled","image":"docker.io/library/i:1","digest":"sha256:cc"}` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.imgs.progress, f.imgs.fail = tc.progress, tc.fail
			w := f.ask("root", "POST", "/images/pull"+v, `{"image":"i:1","auth":{"username":"u","password":"hunter2","serveraddress":"s"}}`)
			require.Equal(t, tc.status, w.Code)
			require.Equal(t, tc.kind, w.Header().Get("Content-Type"))
			require.Equal(t, tc.want, w.Body.String())
			require.Equal(t, &module.Auth{Username: "u", Password: "hunter2", ServerAddress: "s"}, f.imgs.auth)
		})
	}
}

func TestPullsAndPrunesThatAreNotAsked(t *testing.T) {
	for body, status := range map[string]int{``: 400, `{`: 422, `{}`: 400, `{"image":""}`: 400, `{"image":1}`: 422, `{"image":"` + strings.Repeat("x", 2<<20) + `"}`: 413} {
		f := newFixture(t)
		require.Equal(t, status, f.ask("root", "POST", "/images/pull"+v, body).Code, "%.20s", body)
		require.Empty(t, f.sup.asked)
	}
	f := newFixture(t)
	require.Equal(t, 422, f.ask("root", "POST", "/images/prune"+v, `{"all":"yes"}`).Code)
	require.Equal(t, 404, f.ask("root", "POST", "/images/pull?api-version=2021-12-07", `{"image":"i"}`).Code)
	require.Empty(t, f.sup.asked)
	require.JSONEq(t, `{"removed":[{"name":"r.example/a:1","digest":"sha256:aa","bytes":7}],"bytes":7}`, f.ask("edged", "POST", "/images/prune"+v, `{"all":true}`).Body.String())
	require.Equal(t, []string{"prune all=true"}, f.sup.asked)
}

// stuckImages pull until their client leaves.
type stuckImages struct {
	fakeImages
	begun chan struct{}
}

func (s *stuckImages) Pull(ctx context.Context, _ string, _ *module.Auth, report func(image.Progress)) (module.Image, error) {
	report(image.Progress{Phase: image.Downloading})
	close(s.begun)
	<-ctx.Done()
	return module.Image{}, context.Cause(ctx)
}

func TestAStopOfEdgedEndsTheAnswerOfAPull(t *testing.T) {
	f := newFixture(t)
	stuck := &stuckImages{begun: make(chan struct{})}
	stopping, stop := context.WithCancel(t.Context())
	f.cfg.Images, f.cfg.Stopping = stuck, stopping
	answered := make(chan *httptest.ResponseRecorder)
	go func() { answered <- f.ask("root", "POST", "/images/pull"+v, `{"image":"i:1"}`) }()
	<-stuck.begun
	stop()
	require.Contains(t, (<-answered).Body.String(), `{"status":"failed","code":503,"message":"edged is stopping"}`)
}
