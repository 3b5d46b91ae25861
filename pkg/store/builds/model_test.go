package builds

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/edged/edged/pkg/catalog"
)

// checks is how many histories are tried: with the race detector each takes a second.
// go test -rapid.checks tries more.
const checks = "10"

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set(checks); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// model is the catalog as one would write it without a thought of speed: a list of rows,
// of which every question looks at all.
type model struct{ rows []modelRow }

type modelRow struct {
	id             int64
	fields         map[string]string // name, stream, version, context, koji_tag, modulemd
	active         bool
	runtime, build []catalog.Dep
	rpms           []catalog.RPM
}

func (r *modelRow) uid() string {
	return strings.Join([]string{r.fields["name"], r.fields["stream"], r.fields["version"], r.fields["context"]}, ":")
}

// same compares without regard to case; what is not ASCII never equals what is.
func same(a, b string) bool { return isASCII(a) == isASCII(b) && strings.EqualFold(a, b) }

func (r *modelRow) fits(f catalog.Filter) bool {
	any := func(n int, value func(int) string) bool {
		for i := range n {
			if slices.Contains(f.Values, value(i)) {
				return true
			}
		}
		return false
	}
	switch f.Kind {
	case catalog.ByUID:
		return same(r.uid(), f.Values[0])
	case catalog.ByName, catalog.ByStream, catalog.ByVersion, catalog.ByContext, catalog.ByKojiTag:
		return same(r.fields[columns[f.Kind]], f.Values[0])
	case catalog.ByActive:
		return r.active == f.Active
	case catalog.ByRuntimeDepName:
		return any(len(r.runtime), func(i int) string { return r.runtime[i].Dependency })
	case catalog.ByRuntimeDepStream:
		return any(len(r.runtime), func(i int) string { return r.runtime[i].Stream })
	case catalog.ByBuildDepName:
		return any(len(r.build), func(i int) string { return r.build[i].Dependency })
	case catalog.ByBuildDepStream:
		return any(len(r.build), func(i int) string { return r.build[i].Stream })
	case catalog.ByComponentName:
		return any(len(r.rpms), func(i int) string { return r.rpms[i].SRPMName })
	case catalog.ByComponentBranch:
		return slices.ContainsFunc(r.rpms, func(p catalog.RPM) bool { return p.CommitBranch != "" && slices.Contains(f.Values, p.CommitBranch) })
	case catalog.ByRPMFilename:
		return any(len(r.rpms), func(i int) string { return r.rpms[i].Filename })
	case catalog.ByComponent:
		return slices.ContainsFunc(r.rpms, func(p catalog.RPM) bool {
			return slices.ContainsFunc(f.Values, func(v string) bool {
				return v == p.Name || p.CommitBranch != "" && v == p.Name+"/"+p.CommitBranch && strings.Count(v, "/") == 1
			})
		})
	}
	panic("unknown filter")
}

// keys are the values of a row under a key of an order: none, one or several.
func (r *modelRow) keys(key string) []any {
	outer, inner, _ := strings.Cut(key, "__")
	var all []any
	deps := func(list []catalog.Dep) []any {
		for _, d := range list {
			switch inner {
			case "dependency":
				all = append(all, d.Dependency)
			case "stream":
				all = append(all, d.Stream)
			default:
				all = append(all, d.Dependency+"\x00"+d.Stream)
			}
		}
		return all
	}
	switch outer {
	case "id":
		return []any{r.id}
	case "variant_id":
		return []any{r.fields["name"]}
	case "type":
		return []any{""}
	case "uid":
		return []any{r.uid()}
	case "active":
		return []any{map[bool]int64{true: 1}[r.active]}
	case "runtime_deps":
		return deps(r.runtime)
	case "build_deps":
		return deps(r.build)
	case "rpms":
		for _, p := range r.rpms {
			switch inner {
			case "":
				all = append(all, fmt.Sprintf("%s\x00%010d\x00%s\x00%s\x00%s", p.Name, p.Epoch, p.Version, p.Release, p.Arch))
			case "epoch":
				all = append(all, p.Epoch)
			default:
				value := map[string]string{
					"name": p.Name, "version": p.Version, "release": p.Release, "arch": p.Arch, "srpm_name": p.SRPMName, "srpm_nevra": p.SRPMNEVRA, "filename": p.Filename,
					"srpm_commit_hash": p.CommitHash, "srpm_commit_branch": p.CommitBranch,
				}[inner]
				if value != "" {
					all = append(all, value)
				}
			}
		}
		return all
	}
	return []any{r.fields[outer]}
}

func compareKeys(a, b any) int {
	if s, ok := a.(string); ok {
		return strings.Compare(s, b.(string))
	}
	return cmp.Compare(a.(int64), b.(int64))
}

// order compares two rows: least values ascending, greatest descending, and rows without
// any first ascending, last descending.
func order(a, b *modelRow, by []catalog.Order) int {
	for _, o := range by {
		ka, kb := a.keys(o.Key), b.keys(o.Key)
		pick := func(keys []any) any {
			if o.Desc {
				return slices.MaxFunc(keys, compareKeys)
			}
			return slices.MinFunc(keys, compareKeys)
		}
		c := 0
		switch {
		case len(ka) == 0 || len(kb) == 0:
			c = cmp.Compare(min(len(ka), 1), min(len(kb), 1))
		default:
			c = compareKeys(pick(ka), pick(kb))
		}
		if o.Desc {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return strings.Compare(a.uid(), b.uid())
}

func (m *model) query(q *catalog.Query) (uids []string, count int, ok bool) {
	var found []*modelRow
	for i := range m.rows {
		r := &m.rows[i]
		if !slices.ContainsFunc(q.Filters, func(f catalog.Filter) bool { return f.Kind != catalog.ByActive && len(f.Values) == 0 || !r.fits(f) }) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b *modelRow) int { return order(a, b, q.Order) })
	for _, r := range found {
		uids = append(uids, r.uid())
	}
	if q.Size == 0 {
		return uids, len(uids), true
	}
	pages := max(1, (len(uids)+q.Size-1)/q.Size)
	page := q.Page
	if page == catalog.LastPage {
		page = pages
	}
	if page > pages {
		return nil, 0, false
	}
	return uids[min(len(uids), (page-1)*q.Size):min(len(uids), page*q.Size)], len(uids), true
}

// Few words, so that rows share them, in cases and alphabets that are easily mixed up.
var (
	words  = rapid.SampledFrom([]string{"a", "A", "b", "a:b", "ä", "Ä", "K", "k", "\u212a", "ab"})
	depGen = rapid.Custom(func(t *rapid.T) catalog.Dep {
		return catalog.Dep{Dependency: words.Draw(t, "dependency"), Stream: words.Draw(t, "stream")}
	})
	rpmGen = rapid.Custom(func(t *rapid.T) catalog.RPM {
		name := words.Draw(t, "rpm")
		p := catalog.RPM{NEVRA: catalog.NEVRA{Name: name, Epoch: int64(rapid.SampledFrom([]int{0, 2, 10}).Draw(t, "epoch")), Version: "1", Release: "1", Arch: "x86_64"}}
		// What else is so of an RPM follows from what names it: the first says it for all.
		p.SRPMName, p.SRPMNEVRA, p.Filename = name+"-src", name+"-0:1-1.src", p.DefaultFilename()
		if p.Epoch == 2 {
			p.CommitBranch, p.CommitHash = "main", "abc"
		}
		if p.Epoch == 10 {
			p.Filename = "other.rpm"
		}
		return p
	})
)

func rpmBody(p catalog.RPM) catalog.Object {
	o := catalog.Object{{Name: "name", Value: p.Name}, {Name: "epoch", Value: json.Number(fmt.Sprint(p.Epoch))}, {Name: "version", Value: p.Version}, {Name: "release", Value: p.Release}, {Name: "arch", Value: p.Arch}, {Name: "srpm_name", Value: p.SRPMName}, {Name: "srpm_nevra", Value: p.SRPMNEVRA}, {Name: "filename", Value: p.Filename}}
	if p.CommitBranch != "" {
		o = append(o, catalog.Member{Name: "srpm_commit_branch", Value: p.CommitBranch}, catalog.Member{Name: "srpm_commit_hash", Value: p.CommitHash})
	}
	return o
}

// change draws values for some members of a row, sets them in the model's row, and
// returns the body that asks for them.
func change(t *rapid.T, r *modelRow, all bool) catalog.Object {
	var o catalog.Object
	want := func(name string) bool { return all || rapid.Bool().Draw(t, "change "+name) }
	for _, f := range []string{"name", "stream", "version", "context", "koji_tag", "modulemd"} {
		if want(f) {
			r.fields[f] = words.Draw(t, f)
			o = append(o, catalog.Member{Name: f, Value: r.fields[f]})
		}
	}
	if want("active") {
		r.active = rapid.Bool().Draw(t, "active")
		o = append(o, catalog.Member{Name: "active", Value: r.active})
	}
	for i, name := range []string{"runtime_deps", "build_deps"} {
		if want(name) {
			deps := rapid.SliceOfN(depGen, 0, 3).Draw(t, name)
			*[]*[]catalog.Dep{&r.runtime, &r.build}[i] = deps
			list := []any{}
			for _, d := range deps {
				list = append(list, catalog.Object{{Name: "dependency", Value: d.Dependency}, {Name: "stream", Value: d.Stream}})
			}
			o = append(o, catalog.Member{Name: name, Value: list})
		}
	}
	if want("rpms") {
		r.rpms = rapid.SliceOfNDistinct(rpmGen, 0, 3, func(p catalog.RPM) catalog.NEVRA { return p.NEVRA }).Draw(t, "rpms")
		list := []any{}
		for _, p := range r.rpms {
			list = append(list, rpmBody(p))
		}
		o = append(o, catalog.Member{Name: "rpms", Value: list})
	}
	return o
}

func (r modelRow) clone() modelRow {
	fields := map[string]string{}
	for k, v := range r.fields {
		fields[k] = v
	}
	r.fields = fields
	return r
}

func (m *model) index(uid string) int {
	return slices.IndexFunc(m.rows, func(r modelRow) bool { return r.uid() == uid })
}

// TestAnswersAreThoseOfANaiveModel after any history of writes, for any question, and
// wherever one way to find rows gives way to another.
func TestAnswersAreThoseOfANaiveModel(t *testing.T) {
	// In memory: what a disk does with each commit is tested elsewhere.
	home := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", home, "tmpfs", 0, "size=1g"))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(home, unix.MNT_DETACH)) })
	number := 0
	rapid.Check(t, func(t *rapid.T) {
		number++
		dir := fmt.Sprintf("%s/%d", home, number)
		require.NoError(t, os.Mkdir(dir, 0o700))
		defer os.RemoveAll(dir)
		ctx := t.Context()
		s, err := Open(ctx, dir, nil)
		require.NoError(t, err)
		defer func() { require.NoError(t, s.Close()) }()
		s.tune = tuning{near: rapid.SampledFrom([]int{0, 3, 500}).Draw(t, "near"), peek: rapid.SampledFrom([]int{0, 3, 128}).Draw(t, "peek"), few: rapid.SampledFrom([]int{0, 2, 2000}).Draw(t, "few")}
		s.positions.size = rapid.SampledFrom([]int{1, 3, 64}).Draw(t, "block")
		s.ranks.size = rapid.SampledFrom([]int{1, 3, 256}).Draw(t, "rank")
		c := catalog.New(catalog.Config{Store: s, ModuleMD: 4 << 20})
		m := &model{}
		uidOf := func(t *rapid.T) string {
			if len(m.rows) == 0 || rapid.IntRange(0, 9).Draw(t, "unknown") == 0 {
				return "no:such:row:x"
			}
			return m.rows[rapid.IntRange(0, len(m.rows)-1).Draw(t, "row")].uid()
		}
		t.Repeat(map[string]func(*rapid.T){
			"create": func(t *rapid.T) {
				r := modelRow{fields: map[string]string{}}
				row, err := c.Create(ctx, change(t, &r, true))
				if m.index(r.uid()) >= 0 {
					require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
					return
				}
				require.NoError(t, err)
				r.id = row.ID
				m.rows = append(m.rows, r)
			},
			"create many": func(t *rapid.T) {
				var bodies []any
				var rows []modelRow
				fails := false
				for range rapid.IntRange(1, 8).Draw(t, "rows") {
					r := modelRow{fields: map[string]string{}}
					bodies = append(bodies, change(t, &r, true))
					fails = fails || m.index(r.uid()) >= 0 || slices.ContainsFunc(rows, func(o modelRow) bool { return o.uid() == r.uid() })
					rows = append(rows, r)
				}
				i := 0
				err := c.CreateMany(ctx, func(yield func(any, error) bool) {
					for _, b := range bodies {
						if !yield(b, nil) {
							return
						}
					}
				}, func(row *catalog.Row) error {
					rows[i].id = row.ID
					i++
					return nil
				})
				require.Equal(t, fails, err != nil, "%v", err)
				if !fails {
					m.rows = append(m.rows, rows...)
				}
			},
			"update": func(t *rapid.T) {
				uid := uidOf(t)
				i := m.index(uid)
				r := modelRow{fields: map[string]string{}}
				if i >= 0 {
					r = m.rows[i].clone()
				}
				body := change(t, &r, rapid.Bool().Draw(t, "put"))
				_, err := c.Update(ctx, uid, nil, body, true)
				switch {
				case len(body) == 0:
					require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
				case i < 0:
					require.True(t, errdefs.IsNotFound(err), "%v", err)
				case r.uid() != uid && m.index(r.uid()) >= 0:
					require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
				default:
					require.NoError(t, err)
					m.rows[i] = r
				}
			},
			"delete": func(t *rapid.T) {
				uid := uidOf(t)
				err := c.Delete(ctx, uid, nil)
				if i := m.index(uid); i >= 0 {
					require.NoError(t, err)
					m.rows = slices.Delete(m.rows, i, i+1)
				} else {
					require.True(t, errdefs.IsNotFound(err), "%v", err)
				}
			},
			"": func(t *rapid.T) { ask(t, s, c, m) },
		})
	})
}

var orderGen = rapid.Custom(func(t *rapid.T) catalog.Order {
	keys := []string{}
	for k := range orders {
		if k != "rpms__id" { // shared rows: the model does not number them
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return catalog.Order{Key: rapid.SampledFrom(keys).Draw(t, "key"), Desc: rapid.Bool().Draw(t, "descending")}
})

func filterGen(m *model) *rapid.Generator[catalog.Filter] {
	return rapid.Custom(func(t *rapid.T) catalog.Filter {
		f := catalog.Filter{Kind: catalog.FilterKind(rapid.IntRange(0, int(catalog.ByRPMFilename)).Draw(t, "filter"))}
		word := func() string { return words.Draw(t, "value") }
		switch f.Kind {
		case catalog.ByActive:
			f.Active = rapid.Bool().Draw(t, "active")
			return f
		case catalog.ByUID:
			uid := "a:b:A:ä"
			if len(m.rows) > 0 {
				uid = m.rows[rapid.IntRange(0, len(m.rows)-1).Draw(t, "row")].uid()
			}
			f.Values = []string{rapid.SampledFrom([]string{uid, strings.ToUpper(uid), strings.ToLower(uid), "a", ":::", uid + ":a"}).Draw(t, "uid")}
			return f
		case catalog.ByName, catalog.ByStream, catalog.ByVersion, catalog.ByContext, catalog.ByKojiTag:
			f.Values = []string{word()}
			return f
		}
		for range rapid.IntRange(0, 2).Draw(t, "values") {
			value := word()
			switch f.Kind {
			case catalog.ByComponentName:
				value += "-src"
			case catalog.ByComponentBranch:
				value = rapid.SampledFrom([]string{"main", "", "x"}).Draw(t, "branch")
			case catalog.ByComponent:
				value += rapid.SampledFrom([]string{"", "/main", "/x", "/main/x", "/"}).Draw(t, "branch")
			case catalog.ByRPMFilename:
				value = rapid.SampledFrom([]string{value + "-1-1.x86_64.rpm", "other.rpm"}).Draw(t, "file")
			}
			f.Values = append(f.Values, value)
		}
		return f
	})
}

// ask asks the store and the model the same.
func ask(t *rapid.T, s *Store, c *catalog.Catalog, m *model) {
	q := &catalog.Query{
		Filters: rapid.SliceOfN(filterGen(m), 0, 3).Draw(t, "filters"), Order: rapid.SliceOfN(orderGen, 0, 3).Draw(t, "order"), Fields: catalog.AllFields,
		Size: rapid.IntRange(0, 4).Draw(t, "size"),
	}
	if q.Size > 0 {
		q.Page = rapid.SampledFrom([]int{1, 2, 3, 5, 9, catalog.LastPage}).Draw(t, "page")
	}
	want, count, ok := m.query(q)
	page, err := c.Page(t.Context(), q)
	if !ok {
		require.ErrorIs(t, err, catalog.ErrNoPage)
		return
	}
	require.NoError(t, err)
	require.Equal(t, count, page.Count)
	var got []string
	done, err := c.Rows(t.Context(), page.IDs, q.Fields, func(r *catalog.Row) bool {
		got = append(got, r.UID)
		compareRow(t, &m.rows[m.index(r.UID)], r)
		return true
	})
	require.NoError(t, err)
	require.Equal(t, len(page.IDs), done)
	require.Equal(t, want, got, "%+v", *q)
	for _, uid := range got {
		_, err := c.Get(t.Context(), uid, q.Filters)
		require.NoError(t, err, "a row fits by itself as it does among others")
	}
	total := 0
	require.NoError(t, s.read.QueryRowContext(t.Context(), "SELECT count(*) FROM builds").Scan(&total))
	require.EqualValues(t, total, s.counts[0].Load()+s.counts[1].Load(), "the count that is kept is that which is made")
}

func compareRow(t *rapid.T, want *modelRow, got *catalog.Row) {
	require.Equal(t, want.fields, map[string]string{"name": got.Name, "stream": got.Stream, "version": got.Version, "context": got.Context, "koji_tag": got.KojiTag, "modulemd": got.ModuleMD})
	require.Equal(t, want.active, got.Active)
	for _, l := range []struct {
		want []catalog.Dep
		got  json.RawMessage
	}{{want.runtime, got.RuntimeDeps}, {want.build, got.BuildDeps}} {
		var deps []catalog.Dep
		require.NoError(t, json.Unmarshal(l.got, &deps))
		require.Equal(t, append([]catalog.Dep{}, l.want...), deps)
	}
	names := []string{}
	rpms := slices.Clone(want.rpms)
	slices.SortFunc(rpms, func(a, b catalog.RPM) int { return a.Compare(b.NEVRA) })
	for _, p := range rpms {
		names = append(names, p.String())
	}
	var shown []string
	require.NoError(t, json.Unmarshal(got.RPMs, &shown))
	require.Equal(t, names, shown)
}
