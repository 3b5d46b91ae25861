package module

import "time"

// Load is what waits for the supervisor, and what it did since edged started.
type Load struct {
	// Waiting is how many operations wait for their module's turn, and Oldest how long the
	// first of them has.
	Waiting int
	Oldest  time.Duration
	// Restarts is how often restart policies started a module again.
	Restarts uint64
}

// Load looks at all queues.
func (s *Supervisor) Load() Load {
	load := Load{Restarts: s.restarts.Load()}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.workers {
		w.mu.Lock()
		if n := len(w.queue); n > 0 {
			load.Waiting += n
			load.Oldest = max(load.Oldest, now.Sub(w.queue[0].came))
		}
		w.mu.Unlock()
	}
	return load
}
