package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// guests are files, one a container that runs in another module's namespace, with its
// plan: its hosts file has to follow the other's neighbours after a restart of edged, too.
type guests struct{ dir string }

func (g guests) path(container string) string { return filepath.Join(g.dir, container+".json") }

func (g guests) save(container string, plan *Plan) error {
	text, err := json.Marshal(plan)
	if err == nil {
		if err = os.MkdirAll(g.dir, 0o700); err == nil {
			err = replace(g.path(container), text)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot note whose network a module uses: %w", err)
	}
	return nil
}

func (g guests) remove(container string) error {
	if err := os.Remove(g.path(container)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot forget whose network a module used: %w", err)
	}
	return nil
}

// load reads all files; one that cannot be read is removed.
func (g guests) load() (map[string]*Plan, error) {
	all := map[string]*Plan{}
	entries, err := os.ReadDir(g.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot read whose network modules use: %w", err)
	}
	for _, e := range entries {
		container, ok := strings.CutSuffix(e.Name(), ".json")
		text, err := os.ReadFile(filepath.Join(g.dir, e.Name()))
		plan := new(Plan)
		if !ok || err != nil || json.Unmarshal(text, plan) != nil || plan.Mode != ModeModule {
			_ = os.Remove(filepath.Join(g.dir, e.Name()))
			continue
		}
		all[container] = plan
	}
	return all, nil
}

// receive notes that a container is about to run in another module's namespace.
func (m *Manager) receive(container string, plan *Plan) error {
	m.mu.Lock()
	m.guests[container] = plan
	m.mu.Unlock()
	return m.guestFiles.save(container, plan)
}

// dismiss notes that a container runs no more, if it was a guest.
func (m *Manager) dismiss(container string) {
	m.mu.Lock()
	_, guest := m.guests[container]
	delete(m.guests, container)
	m.mu.Unlock()
	if guest {
		m.warn(m.guestFiles.remove(container), "a restart of edged will take a module for one that runs")
	}
}
