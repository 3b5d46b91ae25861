package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/pkg/catalog"
	"github.com/edged/edged/pkg/catalog/modulemd"
	"github.com/edged/edged/pkg/store/builds"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source is a list that tests change.
type source struct {
	kind string
	all  []catalog.Package
	err  error
}

func (s *source) Kind() string { return s.kind }

func (s *source) Packages(context.Context) ([]catalog.Package, error) { return s.all, s.err }

type rig struct {
	t     *testing.T
	store *builds.Store
	*catalog.Catalog
}

func newRig(t *testing.T) *rig {
	t.Helper()
	s, err := builds.Open(t.Context(), t.TempDir(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return &rig{t, s, catalog.New(catalog.Config{Store: s, ModuleMD: 4 << 20})}
}

func (r *rig) indexer(sources ...catalog.Source) *catalog.Indexer {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return catalog.NewIndexer(r.store, log, sources...)
}

// find asks for rows and returns them by their uid.
func (r *rig) find(filters ...catalog.Filter) map[string]catalog.Row {
	r.t.Helper()
	page, err := r.Page(r.t.Context(), &catalog.Query{Filters: filters})
	require.NoError(r.t, err)
	found := map[string]catalog.Row{}
	_, err = r.Rows(r.t.Context(), page.IDs, catalog.AllFields, func(row *catalog.Row) bool {
		found[row.UID] = *row
		return true
	})
	require.NoError(r.t, err)
	return found
}

func component(name string) catalog.Filter {
	return catalog.Filter{Kind: catalog.ByComponentName, Values: []string{name}}
}

func rpm(name, component string) catalog.RPM {
	n := catalog.NEVRA{Name: name, Version: "1", Release: "2", Arch: "amd64"}
	return catalog.RPM{NEVRA: n, SRPMName: component, SRPMNEVRA: component + "-0:1-2.src", Filename: n.DefaultFilename()}
}

func digest(c string) string { return "sha256:" + strings.Repeat(c, 64) }

// image is one that has something in it.
func image(tag, digit string, contents ...catalog.RPM) catalog.Package {
	return catalog.Package{
		Name: "team/app", Tag: tag, Digest: digest(digit), Reference: "r.example/team/app:" + tag, Active: true,
		Look: func(_ context.Context, p *catalog.Package) ([]catalog.RPM, error) {
			p.Version, p.MediaType, p.Arch = 20240110000000, "application/vnd.oci.image.manifest.v1+json", "amd64"
			return contents, nil
		},
	}
}

const body = `{"name":"app","stream":"1.2","version":"20240110000000","context":"aaaaaaaa","koji_tag":"k","modulemd":"m"}`

func TestWhatIsOnTheDeviceHasARow(t *testing.T) {
	r := newRig(t)
	images := &source{kind: "image", all: []catalog.Package{image("1.2.3", "a", rpm("libssl3", "openssl"), rpm("openssl", "openssl"), rpm("bash", "bash"))}}
	packages := &source{kind: "package", all: []catalog.Package{{
		Name: "search", Tag: "2.10.9", Version: 21009, Digest: digest("b"), MediaType: "application/zip", Arch: "arm64", Image: "edged.local/ramp/search:2.10.9",
		Deps: []catalog.Dep{{Dependency: "json", Stream: "2.6"}},
	}}}
	x := r.indexer(images, packages)
	require.NoError(t, x.Look(t.Context()))
	rows := r.find()
	require.Len(t, rows, 2)
	app := rows["app:1.2:20240110000000:aaaaaaaa"]
	require.True(t, app.Active)
	require.Equal(t, "module-aaaaaaaaaaaaaaaa", app.KojiTag)
	require.JSONEq(t, `["bash-0:1-2.amd64.rpm","libssl3-0:1-2.amd64.rpm","openssl-0:1-2.amd64.rpm"]`, string(app.RPMs))
	doc, err := modulemd.Parse(app.ModuleMD)
	require.NoError(t, err)
	require.Equal(t, "app", doc.Name)
	require.Equal(t, "r.example/team/app:1.2.3", doc.Edge.Reference)
	require.Equal(t, map[string][]string{"bash": {"bash-0:1-2.amd64"}, "openssl": {"libssl3-0:1-2.amd64", "openssl-0:1-2.amd64"}}, doc.Edge.Components)
	search := rows["search:2.10:21009:bbbbbbbb"]
	require.JSONEq(t, `[{"dependency":"json","stream":"2.6"}]`, string(search.RuntimeDeps))
	require.False(t, search.Active)
	require.Len(t, r.find(component("openssl")), 1)
	require.Len(t, r.find(catalog.Filter{Kind: catalog.ByRuntimeDepName, Values: []string{"json"}}), 1)

	doc, err = modulemd.Parse(search.ModuleMD)
	require.NoError(t, err)
	require.Equal(t, "edged.local/ramp/search:2.10.9", doc.Edge.Image)

	// A look at the same changes nothing, and does not look inside again.
	images.all[0].Look = func(context.Context, *catalog.Package) ([]catalog.RPM, error) { panic("looked again") }
	require.NoError(t, x.Look(t.Context()))
	require.Len(t, r.find(), 2)

	// Out of use, and back.
	images.all[0].Active, images.all[0].Known = false, true
	require.NoError(t, x.Look(t.Context()))
	require.Len(t, r.find(component("openssl"), catalog.Filter{Kind: catalog.ByActive, Active: true}), 0)
	require.Len(t, r.find(component("openssl")), 1)
	images.all[0].Active = true
	require.NoError(t, x.Look(t.Context()))
	require.Len(t, r.find(component("openssl"), catalog.Filter{Kind: catalog.ByActive, Active: true}), 1)

	// Nothing goes because a source cannot be asked.
	images.err = fmt.Errorf("away: %w", errdefs.ErrUnavailable)
	packages.all = nil
	require.Error(t, x.Look(t.Context()))
	require.Len(t, r.find(), 1, "the package went, the image stays")
	images.err, images.all = nil, nil
	require.NoError(t, x.Look(t.Context()))
	require.Empty(t, r.find())
	require.Empty(t, r.find(component("openssl")))

	// An image that nothing used yet gets none.
	other := image("2", "c")
	other.Active, other.Known = false, true
	images.all = []catalog.Package{other}
	require.NoError(t, x.Look(t.Context()))
	require.Empty(t, r.find())
}

// TestAnImageOfManyNamesIsOneRow which is in use when one of them is: a tag and a longer
// one are the rule, and who searches for what is affected must not miss it.
func TestAnImageOfManyNamesIsOneRow(t *testing.T) {
	r := newRig(t)
	active := []catalog.Filter{{Kind: catalog.ByActive, Active: true}, component("openssl")}
	long, short := image("1.2.3", "a", rpm("libssl3", "openssl")), image("1.2", "a", rpm("libssl3", "openssl"))
	long.Active, long.Known = false, true
	images := &source{kind: "image", all: []catalog.Package{long, short}}
	x := r.indexer(images)
	require.NoError(t, x.Look(t.Context()))
	require.Len(t, r.find(active...), 1)
	for _, row := range r.find() {
		require.Contains(t, row.ModuleMD, "r.example/team/app:1.2\n", "the name that is in use")
	}
	images.all = []catalog.Package{short, long}
	images.all[0].Active, images.all[1].Active = false, true
	require.NoError(t, x.Look(t.Context()))
	require.Len(t, r.find(active...), 1)
	images.all[1].Active = false
	require.NoError(t, x.Look(t.Context()))
	require.Len(t, r.find(), 1)
	require.Empty(t, r.find(active...))
}

func value(t *testing.T, text string) any {
	t.Helper()
	v, err := catalog.ParseValue([]byte(text))
	require.NoError(t, err)
	return v
}

// TestNeitherSideWritesTheOthersRows: the index says what is on the device, whatever
// clients may write, and never writes what is theirs.
func TestNeitherSideWritesTheOthersRows(t *testing.T) {
	r := newRig(t)
	images := &source{kind: "image", all: []catalog.Package{image("1.2.3", "a", rpm("libssl3", "openssl"))}}
	x := r.indexer(images)
	mine, err := r.Create(t.Context(), value(t, body))
	require.NoError(t, err)
	require.NoError(t, x.Look(t.Context()))
	kept, err := r.Get(t.Context(), mine.UID, nil)
	require.NoError(t, err)
	require.Equal(t, mine.ModuleMD, kept.ModuleMD, "the client's row stays, and the image is found none the less")
	found := r.find(component("openssl"))
	require.Len(t, found, 1)
	for uid, row := range found {
		require.Regexp(t, "^"+mine.UID+"-[a-z0-9]{8}$", uid)
		require.Contains(t, row.ModuleMD, "context: "+row.Context+"\n")
	}
	require.NoError(t, x.Look(t.Context()))
	require.Equal(t, found, r.find(component("openssl")))
	images.all = nil
	require.NoError(t, x.Look(t.Context()))
	require.Len(t, r.find(), 1)

	require.NoError(t, r.Delete(t.Context(), mine.UID, nil))
	images.all = []catalog.Package{image("1.2.3", "a", rpm("libssl3", "openssl"))}
	require.NoError(t, x.Look(t.Context()))
	row := r.find()[mine.UID]
	require.NotEmpty(t, row.UID)
	_, err = r.Create(t.Context(), value(t, body))
	require.True(t, errdefs.IsInvalidArgument(err))
	_, err = r.Update(t.Context(), row.UID, nil, value(t, `{"rpms":[]}`), true)
	require.True(t, errdefs.IsFailedPrecondition(err), "%v", err)
	require.True(t, errdefs.IsFailedPrecondition(r.Delete(t.Context(), row.UID, nil)))
	require.Len(t, r.find(component("openssl")), 1)
}

// TestWhatAStrangerSaysOfAPackageHoldsForHisImageAlone: an image may claim that libssl3
// is made of something harmless, and a client that it knows the RPM; other images'
// packages are what they are.
func TestWhatAStrangerSaysOfAPackageHoldsForHisImageAlone(t *testing.T) {
	r := newRig(t)
	_, err := r.Create(t.Context(), value(t, strings.Replace(body, `"koji_tag"`, `"rpms":[{"name":"libssl3","epoch":0,"version":"1","release":"2","arch":"amd64","srpm_name":"harmless","srpm_nevra":"x"}],"koji_tag"`, 1)))
	require.NoError(t, err)
	liar, honest := image("1.0.1", "b", rpm("libssl3", "harmless")), image("1.0.2", "c", rpm("libssl3", "openssl"))
	images := &source{kind: "image", all: []catalog.Package{liar, honest}}
	x := r.indexer(images)
	require.NoError(t, x.Look(t.Context()))
	require.Len(t, r.find(component("openssl")), 1)
	require.Len(t, r.find(component("harmless")), 2)
	images.all = nil
	require.NoError(t, x.Look(t.Context()))
	require.Len(t, r.find(component("harmless")), 1)
	// What images brought is not known to the API.
	_, err = r.Create(t.Context(), value(t, strings.NewReplacer("aaaaaaaa", "cccccccc", `"koji_tag"`, `"rpms":[{"name":"bash","epoch":0,"version":"1","release":"2","arch":"amd64"}],"koji_tag"`).Replace(body)))
	require.True(t, errdefs.IsInvalidArgument(err))
}

func TestAnImageThatCannotBeReadHasARowThatSaysSo(t *testing.T) {
	r := newRig(t)
	broken := image("1", "a")
	tries := 0
	broken.Look = func(context.Context, *catalog.Package) ([]catalog.RPM, error) {
		if tries++; tries == 1 {
			return nil, fmt.Errorf("containerd is away: %w", errdefs.ErrUnavailable)
		}
		return nil, errors.New("its database is \x1b[0m \"broken\"")
	}
	x := r.indexer(&source{kind: "image", all: []catalog.Package{broken}})
	require.Error(t, x.Look(t.Context()))
	require.Empty(t, r.find(), "later")
	require.NoError(t, x.Look(t.Context()))
	require.NoError(t, x.Look(t.Context()))
	require.Equal(t, 2, tries)
	row := r.find()["app:1:0:aaaaaaaa"]
	doc, err := modulemd.Parse(row.ModuleMD)
	require.NoError(t, err)
	require.Contains(t, doc.Edge.Unread, "broken")
}

func FuzzValue(f *testing.F) {
	f.Add([]byte(body))
	f.Add([]byte(`{"a":"\ud83d\ude00","b":[1e5,null,{"c":"\\u"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := catalog.ParseValue(text)
		if err != nil {
			require.True(t, errdefs.IsInvalidArgument(err))
			return
		}
		if o, ok := v.(catalog.Object); ok {
			again, err := o.MarshalJSON()
			require.NoError(t, err)
			same, err := catalog.ParseValue(again)
			require.NoError(t, err)
			require.Equal(t, v, same)
		}
	})
}

// TestAnIndexThatIsNotCompleteIsSaidInTheLog, as of a database that is broken: a search finds
// less than there is.
func TestAnIndexThatIsNotCompleteIsSaidInTheLog(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want logrus.Level
	}{
		"broken": {errors.New("malformed"), logrus.WarnLevel},
		"away":   {fmt.Errorf("containerd is away: %w", errdefs.ErrUnavailable), logrus.DebugLevel},
	} {
		t.Run(name, func(t *testing.T) {
			log, said := test.NewNullLogger()
			log.SetLevel(logrus.DebugLevel)
			x := catalog.NewIndexer(newRig(t).store, log, &source{kind: "image", err: c.err})
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				x.Run(ctx)
			}()
			require.Eventually(t, func() bool { return len(said.AllEntries()) > 0 }, 10*time.Second, time.Millisecond)
			cancel()
			<-ended
			require.Equal(t, c.want, said.LastEntry().Level)
		})
	}
}
