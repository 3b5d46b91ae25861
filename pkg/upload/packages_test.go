package upload

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/pkg/pack"
	"github.com/edged/edged/pkg/pack/packtest"
)

func TestMain(m *testing.M) {
	if err := log.SetLevel("error"); err != nil { // the store says of each test's disk that it has no fs-verity
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

const (
	waitAtMost = 20 * time.Second
	tick       = 2 * time.Millisecond
)

func TestARedisModuleIsKeptAndBecomesAnImage(t *testing.T) {
	r := newRig(t, nil)
	b := packtest.RAMP{Fields: map[string]any{"module_name": "ReJSON", "version": 10007}}.Bytes()
	changed := r.Changed()
	p := r.added(b)
	require.Equal(t, "3bf0fbcb6444a95f026ffebf794180cc", p.UID, "md5 of ReJSON:10007")
	require.Equal(t, Image{Name: "edged.local/ramp/rejson:1.2.3", Digest: "sha256:" + p.UID, Base: "redis:7"}, p.Image)
	require.True(t, p.Kept)
	<-changed
	got, err := r.Get(p.UID)
	require.NoError(t, err)
	require.Equal(t, p, got)
	require.Equal(t, []*Package{p}, r.List().Packages)
	require.NotEmpty(t, r.images.layers[p.UID])
	blobs, ingests := r.left()
	require.Equal(t, []int{1, 0}, []int{blobs, ingests})

	r.Close()
	r.start(nil)
	require.Equal(t, []*Package{p}, r.List().Packages, "a restart changes nothing")
	require.NoError(t, r.Delete(t.Context(), p.UID))
	r.nothingLeft()
	_, err = r.Get(p.UID)
	require.Equal(t, ModuleNotFound, CodeOf(err))
	require.ErrorIs(t, r.Delete(t.Context(), p.UID), errdefs.ErrNotFound)
}

func TestAnImageIsImportedAndItsBytesGo(t *testing.T) {
	r := newRig(t, nil)
	p := r.added(anImage(t, "registry.example/app:2.0.1", runtime.GOARCH))
	require.Equal(t, "registry.example/app", p.Name)
	require.Equal(t, uid("registry.example/app", "2.0.1"), p.UID)
	require.EqualValues(t, 20001, p.Version)
	require.Equal(t, "sha256:"+p.SHA256, p.Image.Digest)
	require.False(t, p.Kept)
	require.Len(t, r.images.blobs[p.UID], 1)
	blobs, ingests := r.left()
	require.Zero(t, blobs+ingests)
	require.NoError(t, r.Delete(t.Context(), p.UID))
	r.nothingLeft()
}

func TestEachCodeHasItsPackage(t *testing.T) {
	field := func(name string, value any) []byte {
		return packtest.RAMP{Fields: map[string]any{name: value}}.Bytes()
	}
	r := newRig(t, nil)
	for name, tc := range map[string]struct {
		bytes []byte
		code  Code
	}{
		"nothing":                      {nil, NoModule},
		"text":                         {[]byte("no package"), InvalidModule},
		"a zip that is cut off":        {packtest.RAMP{}.Bytes()[:100], InvalidModule},
		"a wrong digest":               {field("sha256", strings.Repeat("0", 64)), InvalidModule},
		"an ELF of another machine":    {field("architecture", "s390x"), InvalidModule},
		"a system that is none":        {field("os_list", []string{"?"}), InvalidModule},
		"for another system":           {field("os", "Darwin"), OSNotSupported},
		"for another distribution":     {field("os_list", []string{"rhel8", "ubuntu18.04"}), OSNotSupported},
		"for another version":          {field("operating_systems", []string{"debian11"}), OSNotSupported},
		"an image for another machine": {anImage(t, "app:1", "s390x"), OSNotSupported},
		"wants a newer pack":           {field("min_redis_pack_version", "6.2.10"), MinRedisPackVersion},
		"wants a newer Redis":          {field("min_redis_version", "7.4"), MinRedisPackVersion},
		"has not what is required":     {field("capabilities", []string{"flash"}), UnsupportedCapabilities},
		"has dependencies":             {field("dependencies", map[string]any{"d": map[string]any{"url": "https://h.example/d", "sha256": strings.Repeat("a", 64)}}), DependenciesUnsupported},
		"has dependencies of no form":  {field("dependencies", "d"), InvalidDependencyData},
		"an image of edged's own name": {anImage(t, "edged.local/agent:1", runtime.GOARCH), InvalidModule},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.add(tc.bytes)
			require.Equal(t, tc.code, CodeOf(err), "%v", err)
			r.nothingLeft()
		})
	}
	for _, sound := range []any{[]string{"debian12"}, []string{"rhel8", "Debian12"}} {
		p := r.added(field("os_list", sound))
		_, err := r.add(field("os_list", sound))
		require.Equal(t, ModuleExists, CodeOf(err))
		require.ErrorIs(t, err, errdefs.ErrAlreadyExists)
		_, err = r.add(packtest.RAMP{Library: packtest.Library(99)}.Bytes())
		require.Equal(t, ModuleExists, CodeOf(err), "whatever its bytes")
		require.NoError(t, r.Delete(t.Context(), p.UID))
	}
	r.nothingLeft()
}

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
	require.EqualValues(t, 1<<19, r.promised, "what is written is not promised any more")
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

func TestPackagesShareBytes(t *testing.T) {
	r := newRig(t, nil)
	dep := packtest.Gzip(packtest.Tar(packtest.Plain("f", []byte("x"))))
	r.hosts["https://h.example/d.tgz"] = dep
	with := func(name string) []byte {
		return packtest.RAMP{Fields: map[string]any{"module_name": name, "dependencies": map[string]any{"d": map[string]any{"url": "https://h.example/d.tgz", "sha256": packtest.SHA256(dep)}}}}.Bytes()
	}
	var uids []string
	for _, name := range []string{"a", "b"} {
		p, action, err := r.receive(with(name)).AddLater(t.Context())
		require.NoError(t, err)
		done := ended(t, r, action.UID)
		require.Equal(t, Completed, done.Status, done.Message)
		require.Equal(t, 100, done.Progress)
		uids = append(uids, p.UID)
	}
	blobs, _ := r.left()
	require.Equal(t, 3, blobs, "two packages, and one dependency")
	require.Contains(t, string(r.images.layers[uids[0]]), "var/opt/redislabs/modules/a/10203/deps/d/f")
	require.Equal(t, DependenciesUnsupported, CodeOf(r.Delete(t.Context(), uids[0])), "v1 knows no dependencies")
	action, err := r.DeleteLater(t.Context(), uids[0])
	require.NoError(t, err)
	require.Equal(t, Completed, action.Status)
	blobs, _ = r.left()
	require.Equal(t, 2, blobs)
	r.Close()
	r.start(nil)
	blobs, _ = r.left()
	require.Equal(t, 2, blobs)
	_, err = r.DeleteLater(t.Context(), uids[1])
	require.NoError(t, err)
	r.nothingLeft()
	_, err = r.DeleteLater(t.Context(), uids[1])
	require.Equal(t, ModuleNotFound, CodeOf(err))
}

// ended waits for the end of an action.
func ended(t *testing.T, r *rig, uid string) *Action {
	t.Helper()
	var a *Action
	require.Eventually(t, func() bool {
		var err error
		a, err = r.Action(uid)
		return err == nil && a.Status != Running
	}, waitAtMost, tick)
	return a
}

func TestDependenciesThatCannotBeHadShowInTheAction(t *testing.T) {
	r := newRig(t, nil)
	dep := packtest.Gzip(packtest.Tar(packtest.Plain("f", []byte("x"))))
	r.hosts["https://h.example/d.tgz"], r.hosts["https://h.example/broken"] = dep, dep
	for url, tc := range map[string]struct {
		sum  string
		code Code
	}{
		"https://h.example/none":   {packtest.SHA256(dep), DependencyNotFound},
		"https://h.example/away":   {packtest.SHA256(dep), DependencyFailed},
		"https://h.example/broken": {packtest.SHA256(dep), DependencyFailed},
		"https://evil.example/d":   {packtest.SHA256(dep), InvalidDependencyData},
		"https://h.example/d.tgz":  {strings.Repeat("a", 64), InvalidDependencyData},
	} {
		b := packtest.RAMP{Fields: map[string]any{"dependencies": []any{map[string]any{"name": "d", "url": url, "sha256": tc.sum}}}}.Bytes()
		_, action, err := r.receive(b).AddLater(t.Context())
		require.NoError(t, err)
		a := ended(t, r, action.UID)
		require.Equal(t, Failed, a.Status, url)
		require.Equal(t, tc.code, a.Code, a.Message)
		require.Eventually(t, func() bool { blobs, ingests := r.left(); return blobs+ingests == 0 }, waitAtMost, tick)
		r.nothingLeft()
	}
	_, _, err := r.receive([]byte("text")).AddLater(t.Context())
	require.Equal(t, InvalidModule, CodeOf(err), "what is wrong with the package itself is said at once")
	_, err = r.Action("none")
	require.Equal(t, ActionNotFound, CodeOf(err))
}

func TestActionsOutliveAStart(t *testing.T) {
	r := newRig(t, nil)
	a, err := r.begin(t.Context(), addAction, "uid")
	require.NoError(t, err)
	for range keptActions {
		b, err := r.begin(t.Context(), removeAction, "uid")
		require.NoError(t, err)
		r.end(t.Context(), b.UID, nil)
	}
	_, err = r.Action(a.UID)
	require.Error(t, err, "the oldest is forgotten")
	a, err = r.begin(t.Context(), addAction, "uid")
	require.NoError(t, err)
	r.progress(a.UID, 40)
	r.Close()
	r.start(nil)
	a, err = r.Action(a.UID)
	require.NoError(t, err)
	require.Equal(t, Failed, a.Status)
	require.Equal(t, Interrupted, a.Code)
	require.LessOrEqual(t, len(r.actions), keptActions)
}

func TestWhatIsInUseStays(t *testing.T) {
	users := &fakeUser{}
	r := newRig(t, func(c *Config) { c.Users = []User{users} })
	p := r.added(packtest.RAMP{}.Bytes())
	r.guard.named[p.Image.Name] = "module m"
	err := r.Delete(t.Context(), p.UID)
	require.Equal(t, ModuleInUse, CodeOf(err))
	require.ErrorIs(t, err, errdefs.ErrFailedPrecondition)
	require.ErrorContains(t, err, "module m")
	delete(r.guard.named, p.Image.Name)
	users.of = []string{"bundle b"}
	require.ErrorContains(t, r.Delete(t.Context(), p.UID), "bundle b")
	users.of = nil
	require.NoError(t, r.Delete(t.Context(), p.UID))
	r.nothingLeft()
}

type fakeUser struct{ of []string }

func (u *fakeUser) UsersOf(context.Context, *Package) ([]string, error) { return u.of, nil }

func TestWithoutContainerdBytesComeInAndNothingGoes(t *testing.T) {
	r := newRig(t, nil)
	r.images.fail = errdefs.ErrUnavailable
	ramp, im := r.added(packtest.RAMP{}.Bytes()), r.added(anImage(t, "app:1", runtime.GOARCH))
	require.NotEmpty(t, ramp.Image.Pending)
	require.NotEmpty(t, im.Image.Pending)
	blobs, _ := r.left()
	require.Equal(t, 2, blobs)
	require.ErrorIs(t, r.Delete(t.Context(), ramp.UID), errdefs.ErrUnavailable)
	require.Len(t, r.List().Packages, 2, "nothing went")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	require.Error(t, r.compare(ctx))
	r.images.fail = nil
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	require.Eventually(t, func() bool { return len(r.images.names()) == 2 }, waitAtMost, tick)
	cancel()
	<-done
	for _, p := range r.List().Packages {
		require.Empty(t, p.Image.Pending)
		require.True(t, p.Image.Made())
		require.NoError(t, r.Delete(t.Context(), p.UID))
	}
	r.nothingLeft()
}

func TestABaseThatIsNotHereIsFetched(t *testing.T) {
	r := newRig(t, nil)
	r.images.base = false
	p := r.added(packtest.RAMP{}.Bytes())
	require.Contains(t, p.Image.Pending, "no base")
	r.makeMissing(t.Context())
	require.Equal(t, 1, r.images.fetched)
	r.images.base = true
	r.makeMissing(t.Context())
	p, err := r.Get(p.UID)
	require.NoError(t, err)
	require.True(t, p.Image.Made())
	r.makeMissing(t.Context())
	require.Equal(t, 1, r.images.fetched, "it is there")
}

func TestAnArchiveThatIsNoImageHereIsRefused(t *testing.T) {
	r := newRig(t, nil)
	r.images.fail = errdefs.ErrInvalidArgument
	_, err := r.add(anImage(t, "app:1", runtime.GOARCH))
	require.Equal(t, InvalidModule, CodeOf(err))
	r.nothingLeft()
	r.images.fail = errdefs.ErrResourceExhausted
	_, err = r.add(anImage(t, "app:1", runtime.GOARCH))
	require.Equal(t, InsufficientStorage, CodeOf(err))
	r.nothingLeft()
	r.images.fail = nil
	r.Reserved = []string{"docker.io/library/agent:1"}
	_, err = r.add(anImage(t, "agent:1", runtime.GOARCH))
	require.Equal(t, InvalidModule, CodeOf(err))
	r.nothingLeft()
}

func TestWithoutABaseNoImageIsMade(t *testing.T) {
	r := newRig(t, func(c *Config) { c.RedisImage = "" })
	p := r.added(packtest.RAMP{}.Bytes())
	require.Equal(t, Image{}, p.Image)
	r.Close()
	r.start(nil) // now there is one
	require.NoError(t, r.compare(t.Context()))
	r.makeMissing(t.Context())
	p, err := r.Get(p.UID)
	require.NoError(t, err)
	require.True(t, p.Image.Made())
	require.NoError(t, r.Delete(t.Context(), p.UID))
	r.nothingLeft()
}

func TestImagesOfNamesThatDifferByCase(t *testing.T) {
	r := newRig(t, nil)
	name := func(name string, more map[string]any) string {
		fields := map[string]any{"module_name": name}
		for k, v := range more {
			fields[k] = v
		}
		p := r.added(packtest.RAMP{Fields: fields}.Bytes())
		return strings.ReplaceAll(p.Image.Name, p.UID[:8], "UID8")
	}
	require.Equal(t, "edged.local/ramp/rejson:1.2.3", name("ReJSON", nil))
	require.Equal(t, "edged.local/ramp/rejson:1.2.3-UID8", name("REJSON", nil))
	require.Equal(t, "edged.local/ramp/rejson:1.2.3-UID8", name("ReJSON", map[string]any{"version": 5}), "a version given twice")
	require.Equal(t, "edged.local/ramp/a-b-UID8:1.2.3", name("a  b!", nil))
	require.Equal(t, "edged.local/ramp/UID8:1.2.3", name("数据", nil))
	require.Equal(t, "edged.local/ramp/tag:1.0.0-rc.1-build", name("tag", map[string]any{"semantic_version": "1.0.0-rc.1+build"}))
	require.Equal(t, "edged.local/ramp/words:1.2.3", name("words", map[string]any{"semantic_version": "one two"}))
}

func TestACrashBetweenTwoStepsLeavesNothing(t *testing.T) {
	r := newRig(t, nil)
	p := r.added(packtest.RAMP{}.Bytes())
	row := r.store.rows[p.UID]
	r.Close()
	for name, tc := range map[string]struct {
		phase Phase
		image bool
		left  int
	}{"before the row": {Storing, false, 0}, "in a removal": {Deleting, true, 0}, "whole": {Ready, true, 1}} {
		row.Phase = tc.phase
		r.store.rows[p.UID] = row
		putFile(t, filepath.Join(r.home, "content", "ingest", "half", "data"), "half")
		putFile(t, filepath.Join(r.home, "content", "blobs", "sha256", packtest.SHA256([]byte("orphan"))), "orphan")
		r.start(nil)
		_, ingests := r.left()
		require.Zero(t, ingests)
		require.NoError(t, r.compare(t.Context()))
		blobs, _ := r.left()
		require.Equal(t, tc.left, blobs, name)
		require.Len(t, r.List().Packages, tc.left, name)
		if tc.left == 1 {
			require.NoError(t, r.Delete(t.Context(), p.UID))
		}
		r.nothingLeft()
		r.Close()
		r.start(nil)
		require.Equal(t, p.UID, r.added(packtest.RAMP{}.Bytes()).UID, "it can be brought again")
		r.Close()
	}
}

func putFile(t *testing.T, file, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
}

func TestPackagesThatAreGoneAreGone(t *testing.T) {
	r := newRig(t, nil)
	ramp, im := r.added(packtest.RAMP{}.Bytes()), r.added(anImage(t, "app:1", runtime.GOARCH))
	// containerd lost all: what has its bytes is made again, what has not is gone.
	r.images.kept = map[string]PackageImage{"unknown": {"unknown", "x:1", "sha256:x"}}
	require.NoError(t, r.compare(t.Context()))
	r.makeMissing(t.Context())
	require.Equal(t, []string{ramp.Image.Name}, r.images.names(), "an image of a package that nobody knows is removed")
	_, err := r.Get(im.UID)
	require.Equal(t, ModuleNotFound, CodeOf(err))
	r.Close()
	require.NoError(t, os.RemoveAll(filepath.Join(r.home, "content", "blobs")))
	r.start(nil)
	require.Empty(t, r.List().Packages)
	require.NoError(t, r.compare(t.Context()))
	r.nothingLeft()
}

func TestErrorsOfTheDatabaseLeaveNothing(t *testing.T) {
	r := newRig(t, nil)
	for _, phase := range []Phase{Storing, Ready} {
		r.store.fail[phase] = errors.New("disk I/O error")
		_, err := r.add(packtest.RAMP{}.Bytes())
		require.ErrorContains(t, err, "disk I/O error")
		delete(r.store.fail, phase)
		r.nothingLeft()
	}
	p := r.added(packtest.RAMP{}.Bytes())
	r.store.fail[Deleting] = errors.New("disk I/O error")
	require.Error(t, r.Delete(t.Context(), p.UID))
	require.Len(t, r.List().Packages, 1)
	delete(r.store.fail, Deleting)
	r.store.failDelete = errors.New("disk I/O error")
	require.Error(t, r.Delete(t.Context(), p.UID))
	require.Empty(t, r.List().Packages)
	require.True(t, r.removing(), "it is ended when it can be")
	r.store.failDelete = nil
	require.NoError(t, r.compare(t.Context()))
	r.nothingLeft()
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

func TestWhatIsStagedCanBeReadBeforeItIsCommitted(t *testing.T) {
	r := newRig(t, nil)
	u := r.receive([]byte("bytes"))
	b, err := io.ReadAll(u.staged.reader())
	require.NoError(t, err)
	require.Equal(t, "bytes", string(b), "the store's own layout of what is not committed is as it is taken to be")
	u.Abort()
	r.nothingLeft()
}

func TestSignaturesByPolicy(t *testing.T) {
	signer, other := packtest.NewSigner(), packtest.NewSigner()
	key, err := pack.ParseKey("k", signer.Public)
	require.NoError(t, err)
	b := packtest.RAMP{}.Bytes()
	add := func(r *rig, b, signature []byte) (*Package, error) {
		u := r.receive(b)
		u.Sign(signature)
		p, err := u.Add(t.Context())
		if err == nil {
			require.NoError(t, r.Delete(t.Context(), p.UID))
		}
		return p, err
	}
	newest := signer.Sign(b, "counter:7")
	r := newRig(t, func(c *Config) { c.Policy[pack.RAMPFormat] = Require })
	r.keys = []pack.Key{key}
	warned := newRig(t, func(c *Config) { c.Policy[pack.RAMPFormat] = Warn })
	warned.keys = r.keys
	for _, tc := range []struct {
		name      string
		signature []byte
		code      Code
		verified  bool
	}{
		{"none", nil, SignatureRequired, false},
		{"another key's", other.Sign(b, "counter:7"), InvalidSignature, false},
		{"of other bytes", signer.Sign([]byte("other"), "counter:7"), InvalidSignature, false},
		{"of the legacy kind", signer.SignLegacy(b), InvalidSignature, false},
		{"without a number", signer.Sign(b, "no number"), RollbackRefused, true},
		{"sound", newest, "", true},
		{"the same again", newest, "", true},
		{"older", signer.Sign(b, "counter:6"), RollbackRefused, true},
		{"newer", signer.Sign(b, "timestamp:8"), "", true},
		{"no more the newest", newest, RollbackRefused, true},
	} {
		p, err := add(r, b, tc.signature)
		require.Equal(t, tc.code, CodeOf(err), "%s: %v", tc.name, err)
		if err == nil {
			require.Equal(t, key.ID(), p.Signed.KeyID)
		}
		r.nothingLeft()
		p, err = add(warned, b, tc.signature)
		require.NoError(t, err, tc.name)
		require.Equal(t, tc.verified, p.Signed != nil, tc.name)
	}
	// The other format has a policy of its own, and a broken trust folder lets nothing in.
	_, err = add(r, anImage(t, "app:1", runtime.GOARCH), nil)
	require.NoError(t, err)
	r.Trust = func() ([]pack.Key, error) { return nil, errors.New("others may write it") }
	_, err = add(r, b, signer.Sign(b, "counter:9"))
	require.ErrorContains(t, err, "others may write it")
	r.nothingLeft()
}

func TestSystems(t *testing.T) {
	for text, want := range map[string][]string{
		"debian12": {"debian", "12"}, "Ubuntu 18.04": {"ubuntu", "18.04"}, "rhel8": {"rhel", "8"}, "?": nil, "debian": nil, "12": nil,
	} {
		name, version, ok := System(text)
		require.Equal(t, want != nil, ok, text)
		if ok {
			require.Equal(t, want, []string{name, version})
		}
	}
	names, version := OSRelease("NAME=\"Rocky Linux\"\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"8.9\"\n")
	d := Device{Systems: names, SystemVersion: version}
	require.NoError(t, d.fitsSystem([]string{"rhel8"}))
	require.NoError(t, d.fitsSystem([]string{"x1", "rocky8.9"}))
	require.Error(t, d.fitsSystem([]string{"rhel9"}))
	require.Error(t, d.fitsSystem([]string{"rhel8.9.1"}))
	names, version = OSRelease("PRETTY_NAME='x'\nID=debian\n")
	require.Equal(t, []string{"debian"}, names)
	require.Empty(t, version)
}
