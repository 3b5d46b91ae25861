package reconcile

import (
	"maps"
	"sync"

	"github.com/edged/edged/pkg/client/wire"
)

// Progress is what a Reconciler does at the moment. It may be read at any time.
type Progress struct {
	mu      sync.Mutex
	have    []wire.Module
	seen    bool
	doing   map[string]string
	trouble map[string]error
}

// Snapshot returns the modules that edged last told of, whether it did so since the last
// Reset, and for each module that is worked on what is done with it or what went wrong.
func (p *Progress) Snapshot() (have []wire.Module, seen bool, doing map[string]string, trouble map[string]error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.have, p.seen, maps.Clone(p.doing), maps.Clone(p.trouble)
}

// Reset forgets all.
func (p *Progress) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.have, p.seen, p.doing, p.trouble = nil, false, map[string]string{}, map[string]error{}
}

func (p *Progress) saw(have []wire.Module) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.have, p.seen = have, true
}

// set says what is done with a module; "" and no error is: nothing any more.
func (p *Progress) set(name, doing string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.doing == nil {
		p.doing, p.trouble = map[string]string{}, map[string]error{}
	}
	delete(p.trouble, name)
	delete(p.doing, name)
	if err != nil {
		p.trouble[name] = err
	} else if doing != "" {
		p.doing[name] = doing
	}
}
