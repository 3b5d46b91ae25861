package network

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// hostsRetry is how long a hosts file that could not be written is left alone. A lease
// on it (fcntl(2), F_SETLEASE) is broken /proc/sys/fs/lease-break-time after the first
// try, 45 seconds where nobody has changed that.
const hostsRetry = 15 * time.Second

// hostsWriter says what the hosts files were last made of. A module can write its own
// and so hold up whoever opens it; nothing here is done under Manager.mu.
type hostsWriter struct {
	// mu is held while texts are made and written, so that a later text is written later.
	mu     sync.Mutex
	sum    string
	behind map[string]bool // containers whose file could not be written
	late   chan struct{}   // has the files in behind tried again
	retry  time.Duration
}

func newHostsWriter() *hostsWriter {
	return &hostsWriter{behind: map[string]bool{}, late: make(chan struct{}, 1), retry: hostsRetry}
}

// hostsText is a hosts file of a container that runs.
type hostsText struct {
	container string
	text      []byte
}

// rewriteHosts brings the hosts files of running modules up to date. One that cannot be
// written now is tried again later and holds up no other.
func (m *Manager) rewriteHosts() {
	w := m.hostsFiles
	w.mu.Lock()
	defer w.mu.Unlock()
	texts, sum := m.hostsTexts()
	behind := map[string]bool{}
	for _, t := range texts {
		if sum == w.sum && !w.behind[t.container] {
			continue
		}
		err := rewrite(m.HostsFile(t.container), t.text)
		if err == nil {
			continue
		}
		behind[t.container] = true
		if w.behind[t.container] {
			continue // it was said
		}
		log := m.Log.WithError(err).WithField("container", t.container)
		if errors.Is(err, unix.EAGAIN) {
			log.Warn("a module keeps its own hosts file to itself by a lease: it is told the names of its neighbours when that is over")
		} else {
			log.Warn("cannot tell a module the names of its neighbours; it is tried again")
		}
	}
	w.sum, w.behind = sum, behind
	if len(behind) > 0 {
		select {
		case w.late <- struct{}{}:
		default:
		}
	}
}

// keepHosts brings the hosts files up to date that an edged of before wrote, with other
// settings perhaps, and tries again what could not be written.
func (m *Manager) keepHosts() {
	m.rewriteHosts()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-m.hostsFiles.late:
		}
		select {
		case <-m.ctx.Done():
			return
		case <-time.After(m.hostsFiles.retry):
			m.rewriteHosts()
		}
	}
}

// hostsTexts makes the hosts files of all that run, and a text by which it is seen
// whether any name or address has changed.
func (m *Manager) hostsTexts() (all []hostsText, sum string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sum = m.namesSum()
	for _, st := range m.present {
		if rec := m.records[st.Module]; st.Up != "" && rec != nil && rec.Plan.Mode == ModeNetworks {
			all = append(all, hostsText{st.Up, m.hosts(st.Module, &rec.Plan)})
		}
	}
	for container, plan := range m.guests {
		all = append(all, hostsText{container, m.hosts(plan.Module, plan)})
	}
	return all, sum
}
