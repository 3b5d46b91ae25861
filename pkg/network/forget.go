package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Forget gives back what belongs to a module and not to one of its containers. It
// returns at once; interfaces and namespace go beside the caller's further work, and
// a crash leaves them to CleanUp.
func (m *Manager) Forget(module, key string) {
	m.mu.Lock()
	_, known := m.records[module]
	known = known || m.present[key] != nil
	delete(m.records, module)
	delete(m.failed, key)
	m.mu.Unlock()
	if !known {
		return
	}
	m.unpublish(key)
	m.refilter()
	m.goes(func() {
		m.warn(m.removeOrphan(m.ctx, key), "cannot remove the network of a deleted module; the next start will")
		m.rewriteHosts()
	})
}

// removeOrphan tears down what is present of a module that is gone, unless one of
// the same name has come meanwhile and uses it.
func (m *Manager) removeOrphan(ctx context.Context, key string) error {
	unlock, err := m.lock(ctx, key)
	if err != nil {
		return err
	}
	defer unlock()
	m.mu.Lock()
	st := m.present[key]
	if st != nil {
		if rec := m.records[st.Module]; rec != nil && rec.Key == key {
			st = nil
		}
	}
	m.mu.Unlock()
	if st == nil {
		return nil
	}
	return m.tearDown(ctx, st)
}

// detach undoes a module's interfaces; its namespace stays.
func (m *Manager) detach(ctx context.Context, st *state) error {
	half := *st
	half.Digest = ""
	if err := m.note(&half); err != nil {
		return err
	}
	for i := len(st.Attached) - 1; i >= 0; i-- {
		a := &st.Attached[i]
		if err := m.plugins.delOne(ctx, st.Key, m.NetNS(st.Key), a); err != nil {
			if !a.Builtin {
				return err
			}
			// It keeps nothing but the interface, which goes with its namespace.
			m.warn(err, "a plugin failed to detach; its interface goes with the namespace")
			return removeNS(m.MountNS, m.NetNS(st.Key))
		}
	}
	half.Attached = nil
	return m.note(&half)
}

// tearDown undoes all of a module. The key's lock is held.
func (m *Manager) tearDown(ctx context.Context, st *state) error {
	err := m.detach(ctx, st)
	// gofail: var networkAfterDetach struct{}
	if err := removeNS(m.MountNS, m.NetNS(st.Key)); err != nil {
		return err
	}
	if err != nil {
		return err // the state stays, for the next try
	}
	m.mu.Lock()
	delete(m.present, st.Key)
	m.mu.Unlock()
	return m.states.remove(st.Key)
}

// CleanUp removes what modules that are gone left: interfaces, namespaces, what CNI
// keeps, and with the last of them bridge and packet filter. Run it after all modules
// were compared with the engine.
func (m *Manager) CleanUp(ctx context.Context) error {
	var errs []error
	for _, key := range m.orphans() {
		errs = append(errs, m.removeOrphan(ctx, key))
	}
	errs = append(errs, m.removeStrangers(ctx), m.removeCaches(), m.removeBridge(ctx))
	return errors.Join(errs...)
}

func (m *Manager) orphans() (keys []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, st := range m.present {
		if rec := m.records[st.Module]; rec == nil || rec.Key != key {
			keys = append(keys, key)
		}
	}
	return keys
}

// removeStrangers removes namespaces of which there is no state.
func (m *Manager) removeStrangers(ctx context.Context) error {
	entries, err := os.ReadDir(filepath.Join(m.Run, "netns"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot read network namespaces: %w", err)
	}
	var errs []error
	for _, e := range entries {
		unlock, err := m.lock(ctx, e.Name())
		if err != nil {
			return err
		}
		if !m.isPresent(e.Name()) {
			errs = append(errs, removeNS(m.MountNS, m.NetNS(e.Name())))
		}
		unlock()
	}
	return errors.Join(errs...)
}

func (m *Manager) isPresent(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.present[key] != nil
}

// removeCaches removes CNI's notes of containers that are not there: results, and the
// leases of host-local, a file an address with the container's id in its first line.
func (m *Manager) removeCaches() error {
	var errs []error
	results, _ := filepath.Glob(filepath.Join(m.Run, "cni", "results", "*"))
	for _, file := range results {
		if !m.anyPresent(func(st *state) bool { return strings.Contains(filepath.Base(file), "-"+st.Key+"-") }) {
			errs = append(errs, os.Remove(file))
		}
	}
	leases, _ := filepath.Glob(filepath.Join(m.Run, "cni", "networks", "*", "*"))
	for _, file := range leases {
		if base := filepath.Base(file); base == "lock" || strings.HasPrefix(base, "last_reserved_ip") {
			continue
		}
		text, err := os.ReadFile(file)
		id, _, _ := strings.Cut(string(text), "\n")
		if id = strings.TrimSpace(id); err == nil && !m.isPresent(id) {
			errs = append(errs, os.Remove(file))
		}
	}
	return errors.Join(errs...)
}

func (m *Manager) anyPresent(fit func(*state) bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, st := range m.present {
		if fit(st) {
			return true
		}
	}
	return false
}

// removeBridge removes the default network itself when nobody is on it.
func (m *Manager) removeBridge(ctx context.Context) error {
	m.bridge.Lock()
	defer m.bridge.Unlock()
	if m.filtered() {
		return nil
	}
	ports, there, err := bridgePorts(m.Bridge)
	if err != nil || !there || ports > 0 {
		return err // somebody else is on it, or there is none
	}
	if err := removeBridge(m.Bridge); err != nil {
		return err
	}
	return m.firewall.clear(ctx)
}
