package system

import (
	"encoding/json"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"golang.org/x/sync/errgroup"

	"github.com/edged/edged/pkg/client/wire"
)

// sampleFor is how long one sample is the one that the next is compared with: of two
// clients that ask in turns, each should see a second's use and not a millisecond's.
const sampleFor = time.Second

// Collector reads resources and remembers the last sample, since use is what was
// used between two of them.
type Collector struct {
	root  Root
	began time.Time
	now   func() time.Time

	mu     sync.Mutex
	before sample // what the next is compared with
	last   sample
}

type sample struct {
	at      time.Time
	cpu     cpuTimes
	modules map[string]container.StatsResponse // by container id
}

// NewCollector returns a Collector of the running machine.
func NewCollector() *Collector {
	return &Collector{root: "/", began: time.Now(), now: time.Now}
}

// Resources says what the host and the modules use, in the words of the contract.
func (c *Collector) Resources(modules []Module) (wire.SystemResources, error) {
	host, stats := c.collect(modules)
	text, err := json.Marshal(stats)
	host.DockerStats = string(text)
	return host, err
}

// Stats says what the modules use, in Docker's words, by name.
func (c *Collector) Stats(modules []Module) []container.StatsResponse {
	_, stats := c.collect(modules)
	return stats
}

func (c *Collector) collect(modules []Module) (wire.SystemResources, []container.StatsResponse) {
	r, now := c.root, c.now()
	next := sample{at: now, cpu: r.cpu(), modules: make(map[string]container.StatsResponse, len(modules))}
	used, total := r.memory()
	h := host{
		online: uint32(runtime.NumCPU()), // #nosec G115 -- a small number
		system: next.cpu.total * (1e9 / userHZ), memory: total, unified: r.unifiedHost(),
	}
	stats := make([]container.StatsResponse, len(modules))
	var all errgroup.Group
	all.SetLimit(runtime.GOMAXPROCS(0)) // the kernel adds a group's figures up when they are read
	for i, m := range modules {
		all.Go(func() error {
			stats[i] = r.stats(m, now, h)
			return nil
		})
	}
	_ = all.Wait()
	for _, s := range stats {
		next.modules[s.ID] = s
	}
	before := c.turn(next)
	for i := range stats {
		if old, known := before.modules[stats[i].ID]; known {
			stats[i].PreRead, stats[i].PreCPUStats = old.Read, old.CPUStats
		}
	}
	slices.SortFunc(stats, func(a, b container.StatsResponse) int { return strings.Compare(a.Name, b.Name) })
	return wire.SystemResources{
		HostUptime: uint64(r.uptime().Seconds()), ProcessUptime: uint64(now.Sub(c.began).Seconds()),
		UsedCPU: next.cpu.percent(before.cpu), UsedRAM: used, TotalRAM: total, Disks: r.disks(),
	}, stats
}

// turn puts a sample in place and returns the one to compare it with: of the past,
// the youngest that is sampleFor old, or the oldest there is.
func (c *Collector) turn(next sample) sample {
	c.mu.Lock()
	defer c.mu.Unlock()
	if next.at.Sub(c.last.at) >= sampleFor {
		c.before, c.last = c.last, next
		return c.before
	}
	return c.before
}
