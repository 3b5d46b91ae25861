package bundle

// Stats is what there is, for who counts.
type Stats struct {
	// Running says that the framework is connected.
	Running bool
	// States is how many bundles are in each, as far as it is known: what the framework said
	// last, and Installed while there is none.
	States map[State]int
}

// Stats asks nobody: the framework's own events keep what it says.
func (b *Bundles) Stats() Stats {
	b.mu.Lock()
	rows, s := b.rows, b.session
	b.mu.Unlock()
	stats := Stats{Running: s != nil && !s.ended(), States: map[State]int{}}
	for _, r := range rows.all {
		state := Installed
		if stats.Running {
			state = Uninstalled // the framework does not have it
			if a, ok := s.Picture().ByLocation[r.Location()]; ok {
				state = a.State
			}
		}
		stats.States[state]++
	}
	return stats
}
