package images

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/contrib/imagetar/archive"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/tests/device"
)

func TestPulls(t *testing.T) {
	d := device.New(t, device.Options{NoAgent: true})
	r := device.NewRegistryWith(t, device.RegistryOptions{Open: true})

	t.Run("many that wait for one image are one pull, which goes on without who began it", func(t *testing.T) {
		d := d.For(t)
		ref := r.Push(d, "many:1", 8)
		r.Break(0, 0)
		r.Pause(4 << 20)
		// The first one leaves when it has seen progress.
		watch(t, d, ref, func(s wire.PullStatus) bool {
			if s.Offset == 0 {
				return false
			}
			require.Less(t, s.Offset, s.Total)
			require.Greater(t, s.Total, int64(8<<20))
			require.Regexp(t, "^sha256:", s.Layer)
			return true
		})
		body := `{"image":"` + ref + `"}`
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				a, err := device.UnixClient(d.Management()).Post("http://edged/images/pull?"+device.Version, "application/json", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				defer a.Body.Close()
				// The head of the answer comes with the first progress: they have joined.
				r.Resume()
				last := wire.PullStatus{}
				for dec := json.NewDecoder(a.Body); dec.More(); {
					if err := dec.Decode(&last); err != nil {
						t.Error(err)
						return
					}
				}
				if last.Status != wire.PullDone {
					t.Errorf("it ended with %+v", last)
				}
			})
		}
		wg.Wait()
		_, blobs := r.Asked()
		for blob, times := range blobs {
			require.Equal(t, 1, times, blob)
		}
		require.Equal(t, 1, strings.Count(d.EdgedLog(), `msg="pulling image" image="`+ref+`"`), d.EdgedLog())
		require.Contains(t, list(t, d), ref)
	})

	t.Run("images that share layers fetch each layer once", func(t *testing.T) {
		d := d.For(t)
		shared := device.Ballast(6)
		one := r.PushLayers(d, "one:1", shared, device.Ballast(1))
		two := r.PushLayers(d, "two:1", shared, device.Ballast(1))
		r.Break(0, 0)
		r.Pause(1 << 20)
		var wg sync.WaitGroup
		for _, ref := range []string{one, two} {
			wg.Go(func() { pulled(t, d, ref) })
		}
		d.Eventually("both are under way", func() bool { return strings.Count(d.EdgedLog(), "pulling image") >= 3 })
		r.Resume()
		wg.Wait()
		_, blobs := r.Asked()
		require.NotEmpty(t, blobs)
		for blob, times := range blobs {
			require.Equal(t, 1, times, blob)
		}
		served, _ := r.Served()
		require.Less(t, served, int64(9)<<20)
	})

	t.Run("layers are dropped once unpacked", func(t *testing.T) {
		d := d.For(t)
		ref := r.Push(d, "drop:1", 3)
		last := pulled(t, d, ref)
		d.Eventually("containerd has collected them", func() bool {
			return !strings.Contains(d.Ctr("content", "ls"), "3.146MB") && !strings.Contains(d.Ctr("content", "ls"), "3.1 MiB")
		})
		pinned := strings.TrimSuffix(ref, ":1") + "@" + last.Digest
		pulled(t, d, pinned)
		require.Equal(t, last.Digest, list(t, d)[pinned].Digest, "a digest is a name of its own")
		require.Greater(t, list(t, d)[ref].Size, int64(3<<20), "the size is that of the files")
	})

	t.Run("edged that was killed in the middle goes on where it was", func(t *testing.T) {
		d := d.For(t)
		ref := r.Push(d, "killed:1", 16)
		r.Break(0, 0)
		r.Pause(10 << 20)
		watch(t, d, ref, func(s wire.PullStatus) bool { return s.Offset >= 8<<20 })
		d.Edged.Signal(syscall.SIGKILL)
		r.Resume()
		d.StartEdged()
		before, _ := r.Served()
		pulled(t, d, ref)
		served, ranges := r.Served()
		require.NotEmpty(t, ranges, "it asked for the rest")
		require.Less(t, served-before, int64(10)<<20)
		require.NotContains(t, d.Ctr("leases", "ls"), "edged-pull-")
	})

	t.Run("what an earlier pull fetched outlives the end of its lease", func(t *testing.T) {
		d := d.For(t)
		ref := r.Push(d, "renewed:1", 16)
		r.Break(0, 0)
		r.Pause(10 << 20)
		defer r.Resume()
		watch(t, d, ref, func(s wire.PullStatus) bool { return s.Offset >= 8<<20 })
		d.Edged.Signal(syscall.SIGKILL)
		m, ctx := leaseManager(t, d)
		first := pullLease(t, d)
		old, err := m.Create(ctx, leases.WithID("edged-pull-"+strings.Split(first.ID, "-")[2]), leases.WithExpiration(time.Hour), leases.WithLabels(map[string]string{"io.edged.owner": "edged"}))
		require.NoError(t, err)
		held, err := m.ListResources(ctx, first)
		require.NoError(t, err)
		for _, h := range held {
			require.NoError(t, m.AddResource(ctx, old, h))
		}
		require.NoError(t, m.Delete(ctx, first))
		d.StartEdged()
		before, _ := r.Served()
		watch(t, d, ref, func(s wire.PullStatus) bool { return s.Offset >= 8<<20 })
		now := pullLease(t, d)
		require.NotEqual(t, old.ID, now.ID)
		expires, err := time.Parse(time.RFC3339, now.Labels["containerd.io/gc.expire"])
		require.NoError(t, err)
		require.Greater(t, time.Until(expires), 13*time.Hour)
		kept, err := m.ListResources(ctx, now)
		require.NoError(t, err)
		blobs := slices.DeleteFunc(held, func(r leases.Resource) bool { return r.Type != "content" })
		require.NotEmpty(t, blobs)
		require.Subset(t, kept, blobs)
		r.Resume()
		pulled(t, d, ref)
		served, _ := r.Served()
		require.Less(t, served-before, int64(10)<<20)
		require.NotContains(t, d.Ctr("leases", "ls"), "edged-pull-")
	})

	t.Run("a pull whose lease ends under it is tried again", func(t *testing.T) {
		d := d.For(t)
		ref := r.Push(d, "dropped:1", 16)
		r.Break(0, 0)
		r.Pause(10 << 20)
		defer r.Resume()
		body := `{"image":"` + ref + `"}`
		done := make(chan device.Answer, 1)
		go func() { done <- d.Host(http.MethodPost, "/images/pull?"+device.Version, body) }()
		d.Eventually("most of it is here", func() bool { served, _ := r.Served(); return served >= 9<<20 })
		m, ctx := leaseManager(t, d)
		require.NoError(t, m.Delete(ctx, pullLease(t, d), leases.SynchronousDelete))
		r.Resume()
		a := <-done
		require.Contains(t, a.Body, `"status":"`+wire.PullDone+`"`)
		require.Contains(t, list(t, d), ref)
	})
}

func leaseManager(t *testing.T, d *device.Device) (leases.Manager, context.Context) {
	c, err := client.New(d.Address())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c.LeasesService(), namespaces.WithNamespace(t.Context(), d.Namespace)
}

// pullLease is the one that there is.
func pullLease(t *testing.T, d *device.Device) leases.Lease {
	m, ctx := leaseManager(t, d)
	all, err := m.List(ctx)
	require.NoError(t, err)
	all = slices.DeleteFunc(all, func(l leases.Lease) bool { return !strings.HasPrefix(l.ID, "edged-pull-") })
	require.Len(t, all, 1)
	return all[0]
}

func TestAKilledImportLeavesNoLease(t *testing.T) {
	d := device.New(t, device.Options{NoAgent: true})
	d.Edged.Signal(syscall.SIGTERM)
	image := device.ProbeImage(t, "edged.local/heavy:1")
	image.Layers = append(image.Layers, archive.Layer{"/ballast": {Body: device.Ballast(32)}})
	f, err := os.Create(filepath.Join(d.Home, "images", "heavy.tar"))
	require.NoError(t, err)
	require.NoError(t, archive.Write(f, image))
	require.NoError(t, f.Close())
	m, ctx := leaseManager(t, d)
	count := func() int {
		all, err := m.List(ctx)
		require.NoError(t, err)
		return len(all)
	}
	require.Zero(t, count())
	d.StartEdged()
	d.Eventually("the import is under way", func() bool { return count() > 0 })
	d.Edged.Signal(syscall.SIGKILL)
	require.NotZero(t, count(), "it was killed in the middle")
	d.StartEdged()
	d.Eventually("the import is done", func() bool { return strings.Contains(d.EdgedLog(), "imported edged.local/heavy:1") })
	d.Eventually("its leases are gone", func() bool { return count() == 0 })
}

func TestARegistrysWord(t *testing.T) {
	d := device.New(t, device.Options{NoAgent: true})
	r := device.NewRegistry(t)
	ref := r.Push(d, "word:1", 1)
	reader := &wire.Auth{Username: device.RegistryUser, Password: device.RegistryPassword}
	for _, tc := range []struct {
		name            string
		image           string
		auth            *wire.Auth
		refuse, times   int
		status, atMost  int
		message, logged string
	}{
		{name: "no password", image: ref, status: 400, atMost: 4, message: "credentials"},
		{name: "wrong password", image: ref, auth: &wire.Auth{Username: "reader", Password: "wrong-pass"}, status: 400, atMost: 8, message: "credentials"},
		{name: "forbidden", image: ref, auth: reader, refuse: 403, times: 1000, status: 400, atMost: 4, message: "403"},
		{name: "no such image", image: r.Address + "/none:1", auth: reader, status: 400, atMost: 4, message: "not in its registry"},
		{name: "no reference", image: "UPPER//case", status: 400, message: "invalid image"},
		{name: "reserved", image: "edged.local/probe:1", status: 400, message: "made on the device"},
		{name: "nothing", image: "", status: 400, message: "missing image"},
		{name: "always broken", image: ref, auth: reader, refuse: 500, times: 1000, status: 503, atMost: 40, message: "cannot pull"},
		{name: "broken for a moment", image: ref, auth: reader, refuse: 503, times: 2, status: 200, atMost: 40},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := d.For(t)
			r.Break(0, 0)
			r.Refuse(tc.times, tc.refuse)
			defer r.Refuse(0, 0)
			a, _ := pull(t, d, wire.ImagePull{Image: tc.image, Auth: tc.auth})
			require.Equal(t, tc.status, a.Status, a.Body)
			require.Contains(t, a.Body, tc.message)
			asked, _ := r.Asked()
			require.LessOrEqual(t, asked, max(tc.atMost, 0))
			require.NotContains(t, a.Body, "wrong-pass")
		})
	}
	require.NotContains(t, d.EdgedLog(), device.RegistryPassword)
	require.NotContains(t, d.EdgedLog(), "wrong-pass")
	a := d.Host(http.MethodGet, "/metrics", "")
	require.Regexp(t, `(?m)^edged_image_pulls_total 6$`, a.Body)
	require.Regexp(t, `(?m)^edged_image_pull_failures_total 5$`, a.Body)
	require.Regexp(t, `(?m)^edged_image_pulled_bytes_total [\d.]+e\+0[67]$`, a.Body)
}
