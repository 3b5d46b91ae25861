package network

import "time"

// Times of the filter: how long rules of a module that stopped may stay, so that one
// that is restarted costs nothing, and how often it is looked whether they are all there.
const (
	filterRest  = time.Second
	filterCheck = time.Minute
)

// refilter has the packet filter brought to what it should be, soon.
func (m *Manager) refilter() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// keepFilter takes rules away that are not needed any more and puts those back that
// somebody else removed.
func (m *Manager) keepFilter() {
	tick := time.NewTicker(filterCheck)
	defer tick.Stop()
	rest := time.NewTimer(filterRest)
	defer rest.Stop()
	rest.Stop()
	pause := filterRest
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-m.wake:
			pause = filterRest
			rest.Reset(pause)
		case <-rest.C:
			if !m.filtered() && !m.firewall.used() {
				continue
			}
			if err := m.applyFilter(m.ctx); err != nil {
				m.warn(err, "cannot bring the packet filter to what it should be; it is tried again")
				pause = min(2*pause, filterCheck)
				rest.Reset(pause)
			}
		case <-tick.C:
			if !m.filtered() {
				continue
			}
			mended, err := m.firewall.check(m.ctx, m.published)
			m.warn(err, "cannot look at the packet filter")
			if mended {
				m.Log.Warn("somebody changed edged's rules in the packet filter: they were put back")
			}
		}
	}
}

// filtered says whether anything is on the default network.
func (m *Manager) filtered() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, st := range m.present {
		for _, a := range st.Attached {
			if a.Builtin {
				return true
			}
		}
	}
	return false
}
