package builds

import (
	"math"
	"slices"
	"sync"
)

// Bounds of what is remembered of answers: counts by the filters that they are of, and
// the ids of all rows of a question whose pages far behind are asked for.
const (
	maxCounts = 512
	maxListed = 1 << 20 // ids of all lists together, 4 bytes each
)

// memory holds what was found since the last commit.
type memory struct {
	mu      sync.Mutex
	version int64
	counts  map[string]int
	lists   map[string][]uint32
	listed  int
}

// at forgets what is of an older version. The caller holds the lock.
func (m *memory) at(version int64) {
	if m.version != version || m.counts == nil {
		m.version, m.counts, m.lists, m.listed = version, map[string]int{}, map[string][]uint32{}, 0
	}
}

func (m *memory) count(version int64, key string) (n int, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at(version)
	n, ok = m.counts[key]
	return n, ok
}

func (m *memory) setCount(version int64, key string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at(max(version, m.version)); m.version != version {
		return
	}
	if len(m.counts) >= maxCounts {
		clear(m.counts)
	}
	m.counts[key] = n
}

func (m *memory) list(version int64, key string) ([]uint32, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at(version)
	ids, ok := m.lists[key]
	return ids, ok
}

func (m *memory) setList(version int64, key string, ids []uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at(max(version, m.version)); m.version != version || len(ids) > maxListed {
		return
	}
	if m.listed+len(ids) > maxListed {
		clear(m.lists)
		m.listed = 0
	}
	m.lists[key] = slices.Clip(ids)
	m.listed += len(ids)
}

// short is an id as lists have it; false for one that does not fit.
func short(id int64) (uint32, bool) { return uint32(id), id >= 0 && id <= math.MaxUint32 } //nolint:gosec // it is said whether it fits
