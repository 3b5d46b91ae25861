package image

import "sync"

// gate keeps operations and removals of one image apart. An operation holds a name
// from before it looks for the image until a record in the database names it; a
// removal marks the name before it looks for records. So one of the two sees the other.
type gate struct {
	mu       sync.Mutex
	held     map[string]int
	removing map[string]chan struct{} // closed when the removal has ended
}

func newGate() *gate {
	return &gate{held: map[string]int{}, removing: map[string]chan struct{}{}}
}

// hold keeps a name from being removed until release. It waits for a removal that
// has begun, which takes a moment.
func (g *gate) hold(name string) (release func()) {
	g.mu.Lock()
	for g.removing[name] != nil {
		ended := g.removing[name]
		g.mu.Unlock()
		<-ended
		g.mu.Lock()
	}
	g.held[name]++
	g.mu.Unlock()
	var once sync.Once
	return func() {
		once.Do(func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.held[name]--; g.held[name] == 0 {
				delete(g.held, name)
			}
		})
	}
}

// isHeld says whether an operation is under way with the name.
func (g *gate) isHeld(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held[name] > 0
}

// begin marks a name for removal; false when an operation or another removal has it.
func (g *gate) begin(name string) (end func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held[name] > 0 || g.removing[name] != nil {
		return nil, false
	}
	ended := make(chan struct{})
	g.removing[name] = ended
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.removing, name)
		close(ended)
	}, true
}
