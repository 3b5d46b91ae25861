package image

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

const (
	day = 24 * time.Hour
	old = 30 * day
)

func TestWhatIsNeverRemoved(t *testing.T) {
	const pinned = "r.example/pinned@sha256:0123456789012345678901234567890123456789012345678901234567890123"
	for name, tc := range map[string]struct {
		image  string
		set    func(d *fakeDevice)
		reason Reason
	}{
		"image of a module":                 {image: "r.example/a:1", set: func(d *fakeDevice) { d.named["m"] = Named{"m", "r.example/a:1", ""} }, reason: KeptModule},
		"image that a module names shortly": {image: "docker.io/library/a:latest", set: func(d *fakeDevice) { d.named["m"] = Named{"m", "a", ""} }, reason: KeptModule},
		"other name of what a module runs":  {image: "r.example/a:1", set: func(d *fakeDevice) { d.named["m"] = Named{"m", "r.example/b:1", digestOf("r.example/a:1")} }, reason: KeptModule},
		"image pinned by its digest":        {image: pinned, set: func(d *fakeDevice) { d.named["m"] = Named{"m", pinned, ""} }, reason: KeptModule},
		"pinned, and named with a tag too": {image: pinned, set: func(d *fakeDevice) {
			d.named["m"] = Named{"m", "r.example/pinned:1" + pinned[len("r.example/pinned"):], ""}
		}, reason: KeptModule},
		"image that the configuration names": {image: "r.example/agent:1", reason: KeptConfig},
		"image of an uploaded package": {image: "r.example/u:1", set: func(d *fakeDevice) {
			im := d.images["r.example/u:1"]
			im.Package = true
			d.images[im.Name] = im
		}, reason: KeptPackage},
		"image made on the device": {image: "edged.local/ramp/x:1", reason: KeptLocal},
		"image of a preload archive": {image: "r.example/p:1", set: func(d *fakeDevice) {
			im := d.images["r.example/p:1"]
			im.Preloaded = true
			d.images[im.Name] = im
		}, reason: KeptPreload},
		"image that somebody else put there": {image: "r.example/f:1", set: func(d *fakeDevice) {
			im := d.images["r.example/f:1"]
			im.Owned = false
			d.images[im.Name] = im
		}, reason: KeptNotEdged},
		"name that is no reference, of what a module runs": {image: "UPPER//case", set: func(d *fakeDevice) { d.named["m"] = Named{"m", "r.example/b:1", digestOf("UPPER//case")} }, reason: KeptModule},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice()
			d.have(tc.image, old)
			d.have("r.example/spare:1", old)
			d.disk = Disk{Used: 99, Free: 1}
			if tc.set != nil {
				tc.set(d)
			}
			k := keeper(t, d, "r.example/agent:1")
			list, err := k.List(t.Context())
			require.NoError(t, err)
			require.Equal(t, tc.reason, list[slices.IndexFunc(list, func(e Entry) bool { return e.Name == tc.image })].Kept)
			_, err = k.relieve(t.Context())
			require.NoError(t, err)
			_, err = k.Prune(t.Context(), true)
			require.NoError(t, err)
			require.Equal(t, []string{tc.image}, d.left(), "and the spare one goes")
		})
	}
}

// TestTheAgentsOfEarlierVersionsGo: each upgrade brings another.
func TestTheAgentsOfEarlierVersionsGo(t *testing.T) {
	d := newDevice()
	for _, version := range []string{"1", "2", "3"} {
		d.have("edged.local/agent:"+version, 8*day)
	}
	brought := d.images["edged.local/agent:2"]
	brought.Preloaded = true // while an agent of one's own takes its place
	d.images[brought.Name] = brought
	k := keeper(t, d, "edged.local/agent:3")
	removed, err := k.Prune(t.Context(), false)
	require.NoError(t, err)
	require.Len(t, removed, 1)
	require.Equal(t, []string{"edged.local/agent:2", "edged.local/agent:3"}, d.left())
}

func TestImagesGoByTheirAge(t *testing.T) {
	d := newDevice()
	d.have("r.example/old:1", 8*day)
	d.have("r.example/older:1", 9*day)
	d.have("r.example/young:1", 6*day)
	removed, err := keeper(t, d).Prune(t.Context(), false)
	require.NoError(t, err)
	require.Equal(t, []Removed{{"r.example/older:1", digestOf("r.example/older:1"), 10}, {"r.example/old:1", digestOf("r.example/old:1"), 10}}, removed, "the oldest first")
	require.Equal(t, []string{"r.example/young:1"}, d.left())
	require.NotContains(t, d.uses, "r.example/old:1")
}

func TestTheLeastGoesThatBringsTheDiskUnderItsMark(t *testing.T) {
	d := newDevice()
	d.disk = Disk{Used: 100, Free: 10} // 91 per cent; each image is 9
	for i, age := range []time.Duration{time.Hour, 4 * time.Hour, 5 * time.Hour, 6 * time.Hour} {
		d.have(fmt.Sprintf("r.example/%d:1", i), age)
	}
	k := keeper(t, d)
	stuck, err := k.relieve(t.Context())
	require.NoError(t, err)
	require.False(t, stuck)
	require.Equal(t, []string{"r.example/3:1"}, d.went(), "the oldest alone")
	stuck, err = k.relieve(t.Context())
	require.NoError(t, err)
	require.False(t, stuck)
	require.Len(t, d.gone, 1, "it was under its mark")

	d.disk = Disk{Used: 200, Free: 1}
	stuck, err = k.relieve(t.Context())
	require.NoError(t, err)
	require.True(t, stuck, "two were not enough")
	require.Equal(t, []string{"r.example/0:1"}, d.left(), "what came in the last hours is about to be used")
	require.Equal(t, Stats{Removed: 3, Freed: 30}, k.Stats())
}

// A device without a battery starts in 1970, or in the future after a wrong time server.
func TestTimesOfAClockThatNobodySetMakeNoImageOld(t *testing.T) {
	d := newDevice()
	d.have("r.example/a:1", 0)
	d.have("r.example/b:1", 0)
	d.have("r.example/c:1", -3*365*day)
	d.uses["r.example/a:1"] = time.Unix(3600, 0)
	delete(d.uses, "r.example/b:1")
	b := d.images["r.example/b:1"]
	b.Changed = time.Time{}
	d.images[b.Name] = b
	k := keeper(t, d)
	_, err := k.Prune(t.Context(), false)
	require.NoError(t, err)
	require.Len(t, d.left(), 3)
	for name, used := range d.uses {
		require.WithinDuration(t, time.Now(), used, time.Minute, name)
	}
}

func TestNotesOfImagesThatAreGoneGo(t *testing.T) {
	d := newDevice()
	d.uses["r.example/gone:1"] = time.Now().Add(-2 * day)
	d.uses["r.example/coming:1"] = time.Now()
	_, err := keeper(t, d).Prune(t.Context(), false)
	require.NoError(t, err)
	require.NotContains(t, d.uses, "r.example/gone:1")
	require.Contains(t, d.uses, "r.example/coming:1")
}

func TestARecordThatCameSinceTheListKeepsItsImage(t *testing.T) {
	d := newDevice()
	d.have("r.example/a:1", old)
	reads := 0
	d.reading = func() {
		if reads++; reads == 2 { // the list has read; the removal reads again
			d.mu.Lock()
			d.named["m-1"] = Named{"m", "r.example/a:1", ""}
			d.mu.Unlock()
		}
	}
	removed, err := keeper(t, d).Prune(t.Context(), true)
	require.NoError(t, err)
	require.Empty(t, removed)
	require.Len(t, d.left(), 1)
}

func TestAnErrorEndsAPassAndSaysWhatWent(t *testing.T) {
	d := newDevice()
	d.have("r.example/a:1", old)
	d.fail = errdefs.ErrUnavailable
	_, err := keeper(t, d).Prune(t.Context(), true)
	require.ErrorIs(t, err, errdefs.ErrUnavailable)
}

// TestNoHistoryRemovesWhatAGenerationNames lets creates, updates, failed updates, deletes and
// passes of all kinds happen at once, in random order, and looks after each step that succeeded.
func TestNoHistoryRemovesWhatAGenerationNames(t *testing.T) {
	for seed := range uint64(25) {
		d := newDevice()
		k := keeper(t, d, "r.example/6:1")
		ref := func(r *rand.Rand) string { return fmt.Sprintf("r.example/%d:1", r.IntN(8)) }
		check := func() error {
			d.mu.Lock()
			defer d.mu.Unlock()
			for _, n := range d.named {
				if _, ok := d.images[n.Ref]; !ok {
					return fmt.Errorf("seed %d: module %s has lost %s", seed, n.Module, n.Ref)
				}
			}
			return nil
		}
		name := func(module string, generation int, ref string) {
			d.mu.Lock()
			defer d.mu.Unlock()
			if ref == "" {
				delete(d.named, fmt.Sprint(module, generation))
				return
			}
			d.named[fmt.Sprint(module, generation)] = Named{module, ref, digestOf(ref)}
		}
		errs := make(chan error, 8)
		ended := make(chan struct{})
		var passes, modules sync.WaitGroup
		for i := range 2 {
			passes.Go(func() {
				r := rand.New(rand.NewPCG(seed, uint64(i)))
				for {
					select {
					case <-ended:
						return
					default:
					}
					d.mu.Lock()
					for n := range d.uses { // all are old, all the time
						d.uses[n] = time.Now().Add(-old)
					}
					d.disk = Disk{Used: 99, Free: 1}
					d.mu.Unlock()
					var err error
					if r.IntN(3) == 0 {
						_, err = k.relieve(context.Background())
					} else {
						_, err = k.Prune(context.Background(), r.IntN(2) == 0)
					}
					if err == nil {
						err = check()
					}
					if err != nil {
						errs <- err
						return
					}
				}
			})
		}
		for m := range 4 {
			modules.Go(func() {
				r := rand.New(rand.NewPCG(seed, 100+uint64(m)))
				module, generation := fmt.Sprint("m", m), 0
				for range 60 {
					want := ref(r)
					release := k.Hold(want)
					if d.ensure(want, r.IntN(3) > 0) != nil {
						release()
						continue
					}
					for range r.IntN(30) { // the container is made
						runtime.Gosched()
					}
					generation++
					name(module, generation, want)
					release()
					if r.IntN(4) == 0 { // an update that did not come up
						name(module, generation, "")
						generation--
					} else {
						name(module, generation-1, "")
					}
					if r.IntN(6) == 0 {
						name(module, generation, "")
					}
					if err := check(); err != nil {
						errs <- err
						return
					}
				}
			})
		}
		modules.Wait()
		close(ended)
		passes.Wait()
		select {
		case err := <-errs:
			require.NoError(t, err)
		default:
		}
	}
}

func TestImagesGoAtTheStartEachDayAndWhenTheDiskFills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(26 * 365 * day) // synctest begins in 2000, where no clock is trusted
		d := newDevice()
		d.have("r.example/start:1", 8*day)
		d.have("r.example/day:1", 6*day+time.Hour)
		d.have("r.example/disk:1", 2*day)
		k := keeper(t, d)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { k.Run(ctx) })
		synctest.Wait()
		require.Equal(t, []string{"r.example/start:1"}, d.went())

		time.Sleep(25 * time.Hour)
		synctest.Wait()
		require.Equal(t, []string{"r.example/start:1", "r.example/day:1"}, d.went())

		d.mu.Lock()
		d.disk = Disk{Used: 90, Free: 10}
		d.mu.Unlock()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.Equal(t, []string{"r.example/start:1", "r.example/day:1", "r.example/disk:1"}, d.went())
		cancel()
		wg.Wait()
	})
}

func TestAContainerdThatIsAwayPutsTheFirstPassOffByAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(26 * 365 * day)
		d := newDevice()
		d.have("r.example/start:1", 8*day)
		d.fail = errdefs.ErrUnavailable
		k := keeper(t, d)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { k.Run(ctx) })
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		require.Len(t, d.left(), 1)
		d.mu.Lock()
		d.fail = nil
		d.mu.Unlock()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.Empty(t, d.left())
		cancel()
		wg.Wait()
	})
}
