package image

import (
	"context"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/sirupsen/logrus"

	"github.com/edged/edged/pkg/module"
)

// fakeDevice is engine and store at once. Its fields are set before they are of use.
type fakeDevice struct {
	mu      sync.Mutex
	images  map[string]Image
	named   map[string]Named // by module and generation
	uses    map[string]time.Time
	disk    Disk
	gone    []string
	fail    error
	reading func() // called, unlocked, when records are read
	pull    func(ctx context.Context, ref string, report func(Progress)) error
}

func newDevice() *fakeDevice {
	return &fakeDevice{images: map[string]Image{}, named: map[string]Named{}, uses: map[string]time.Time{}, disk: Disk{Used: 100, Free: 900}}
}

func digestOf(name string) string { return "sha256:" + name }

// have puts an image of edged's there, last used so long ago.
func (d *fakeDevice) have(name string, age time.Duration) {
	d.images[name] = Image{Name: name, Digest: digestOf(name), Size: 10, Owned: true, Changed: time.Now().Add(-age)}
	d.uses[name] = time.Now().Add(-age)
}

func (d *fakeDevice) Images(context.Context) ([]Image, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Values(d.images)), d.fail
}

func (d *fakeDevice) RemoveImage(_ context.Context, name, digest string) (int64, error) {
	for range 10 { // it takes its time
		runtime.Gosched()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return 0, d.fail
	}
	im, ok := d.images[name]
	if !ok || im.Digest != digest {
		return 0, nil
	}
	delete(d.images, name)
	d.gone = append(d.gone, name)
	d.disk.Used -= uint64(im.Size)
	d.disk.Free += uint64(im.Size)
	return im.Size, nil
}

func (d *fakeDevice) PullImage(ctx context.Context, ref string, _ *module.Auth, report func(Progress)) (module.Image, error) {
	if d.pull != nil {
		if err := d.pull(ctx, ref, report); err != nil {
			return module.Image{}, err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.images[ref] = Image{Name: ref, Digest: digestOf(ref), Size: 10, Owned: true, Changed: time.Now()}
	return module.Image{Ref: ref, Digest: digestOf(ref)}, nil
}

func (d *fakeDevice) ImageDisk(context.Context) (Disk, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.disk, d.fail
}

func (d *fakeDevice) NamedImages(context.Context) ([]Named, error) {
	if d.reading != nil {
		d.reading()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Values(d.named)), nil
}

func (d *fakeDevice) ImageUses(context.Context) (map[string]time.Time, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.uses), nil
}

func (d *fakeDevice) TouchImage(_ context.Context, ref, _ string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.uses[ref] = time.Now()
	return nil
}

func (d *fakeDevice) ForgetImage(_ context.Context, ref string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.uses, ref)
	return nil
}

func (d *fakeDevice) left() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.images))
}

func (d *fakeDevice) went() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.gone)
}

// ensure is what a create does with the engine: the image is there afterwards, or it fails.
func (d *fakeDevice) ensure(name string, mayPull bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.images[name]; !ok {
		if !mayPull {
			return fmt.Errorf("image %s is not here: %w", name, errdefs.ErrInvalidArgument)
		}
		d.images[name] = Image{Name: name, Digest: digestOf(name), Size: 10, Owned: true, Changed: time.Now()}
	}
	d.uses[name] = time.Now()
	return nil
}

func keeper(t *testing.T, d *fakeDevice, protected ...string) *Keeper {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	k := New(Config{Engine: d, Store: d, Keep: 168 * time.Hour, DiskHigh: 85, Protected: protected, Log: log})
	t.Cleanup(k.Close)
	return k
}
