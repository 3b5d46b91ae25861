package uploads

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/audit"
	"github.com/edged/edged/pkg/content"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/pack"
	"github.com/edged/edged/pkg/pack/packtest"
	"github.com/edged/edged/pkg/peer"
	"github.com/edged/edged/pkg/upload"
)

// memory is a database that forgets.
type memory struct{}

func (memory) Packages(context.Context) ([]upload.Record, error) { return nil, nil }

func (memory) SavePackage(context.Context, *upload.Record, *upload.Counter) error { return nil }

func (memory) DeletePackage(context.Context, string) error { return nil }

func (memory) PackageCounter(context.Context, string) (int64, bool, error) { return 0, false, nil }

func (memory) Actions(context.Context) ([]upload.Action, error) { return nil, nil }

func (memory) SaveAction(context.Context, *upload.Action, int) error { return nil }

func (memory) Fetch(context.Context, string, int64) (io.ReadCloser, error) {
	return nil, errdefs.ErrNotFound
}

func (memory) ImportPackage(context.Context, *upload.Archive) error { return nil }

func (memory) DerivePackage(context.Context, *upload.Derived) (string, error) {
	return "sha256:made", nil
}

func (memory) HavePackage(context.Context, string, string, string) (bool, error) { return true, nil }

func (memory) PackageImages(context.Context) ([]upload.PackageImage, error) { return nil, nil }

func (memory) RemovePackage(context.Context, string, string, string) error { return nil }

func (memory) FetchBase(context.Context, string) error { return nil }

// guard has a module that uses every image whose package is in use.
type guard map[string]bool

func (g guard) WithoutUsers(ctx context.Context, name, _ string, remove func(context.Context) error) error {
	if g[name] {
		return fmt.Errorf("image %s is named by m: %w", name, errdefs.ErrFailedPrecondition)
	}
	return remove(ctx)
}

const permitted = 4242

// fixture is the API on real packages, with what is behind them made up.
type fixture struct {
	t    *testing.T
	used guard
	*upload.Packages
	cfg Config
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	log := audit.New(io.Discard)
	t.Cleanup(log.Close)
	silent := logrus.New()
	silent.SetOutput(io.Discard)
	f := &fixture{t: t, used: guard{}}
	blobs, err := content.Open(t.TempDir())
	require.NoError(t, err)
	f.Packages, err = upload.Open(t.Context(), upload.Config{
		Content: blobs, Store: memory{}, Images: memory{}, Guard: f.used, Fetcher: memory{}, MaxSize: 1 << 20, RedisImage: "redis:7", Log: silent,
		Device: upload.Device{Systems: []string{"debian"}, SystemVersion: "12", Platform: platforms.Default(), Architecture: pack.Architecture(packtest.Machine())},
		Trust:  func() ([]pack.Key, error) { return nil, nil },
	})
	require.NoError(t, err)
	t.Cleanup(f.Close)
	all := []access.Permission{access.ViewClusterModules, access.UpdateCluster}
	f.cfg = Config{
		Packages: f.Packages, MaxSize: 1 << 20, Audit: log, Limits: httpapi.Limits{Body: 1 << 20, BodyRate: 1024, Headers: 64 << 10, HeaderTimeout: 3 * time.Second},
		Decider: access.New([]access.Grant{
			{Permissions: all, Modules: []string{"edgeAgent"}, UIDs: []uint32{0}, GIDs: []uint32{permitted}},
			{Permissions: all[:1], Modules: []string{"viewer"}, UIDs: []uint32{1002}},
			{Permissions: all[1:], UIDs: []uint32{1003}},
			{Permissions: []access.Permission{access.AdminTemplates, access.CatalogWrite}, UIDs: []uint32{1004}},
		}),
	}
	return f
}

var callers = []string{"edgeAgent", "viewer", "other", "root", "edged", "user", "views", "updates", "others-permissions", "foreign", "gone"}

func caller(name string) peer.Caller {
	switch name {
	case "edgeAgent", "viewer", "other":
		return peer.Caller{Kind: peer.Module, Listener: "management", Instance: &peer.Instance{Module: name, Generation: 1, ContainerID: name + "-g1"}}
	case "root":
		return peer.Caller{Kind: peer.Host}
	case "edged":
		return peer.Caller{Kind: peer.Host, UID: 1000, GID: 1000, Groups: []uint32{27, permitted}}
	case "user":
		return peer.Caller{Kind: peer.Host, UID: 1001, GID: 1001}
	case "views":
		return peer.Caller{Kind: peer.Host, UID: 1002, GID: 1002}
	case "updates":
		return peer.Caller{Kind: peer.Host, UID: 1003, GID: 1003}
	case "others-permissions":
		return peer.Caller{Kind: peer.Host, UID: 1004, GID: 1004}
	case "foreign":
		return peer.Caller{Reason: peer.ReasonForeignContainer}
	case "gone":
		return peer.Caller{Reason: peer.ReasonGone}
	}
	panic(name)
}

func (f *fixture) ask(who, method, target string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	r := httptest.NewRequest(method, target, body)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	document(f.t).Holds(f.t, New(f.cfg)).ServeHTTP(w, r.WithContext(peer.NewContext(r.Context(), caller(who))))
	return w
}

// push uploads parts, two arguments each.
func (f *fixture) push(who, path string, parts ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		require.NoError(f.t, w.WriteField(parts[i], parts[i+1])) // no part has a file name
	}
	require.NoError(f.t, w.Close())
	return f.ask(who, http.MethodPost, path, &b, "Content-Type", w.FormDataContentType())
}
