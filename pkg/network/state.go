package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// state is what there is of a module in the kernel at present. It is a file in the
// run folder, written before anything is made and after everything is gone, so that
// a crash hides nothing.
type state struct {
	Key    string `json:"key"`
	Module string `json:"module"`
	// Digest is of Attached once all of it is made; empty while it is under way.
	Digest   string       `json:"digest,omitempty"`
	Attached []attachment `json:"attached,omitempty"`
	// Up is the container that runs in it; its ports are published.
	Up string `json:"up,omitempty"`
}

// states are the files, one a module, in a folder.
type states struct{ dir string }

func (s states) path(key string) string { return filepath.Join(s.dir, key+".json") }

// save writes a file whole or not at all. It need not outlive a power cut, as what it tells of does not.
func (s states) save(st *state) error {
	text, err := json.Marshal(st)
	if err == nil {
		if err = replace(s.path(st.Key), text); errors.Is(err, os.ErrNotExist) {
			if err = os.MkdirAll(s.dir, 0o700); err == nil {
				err = replace(s.path(st.Key), text)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("cannot write network state: %w", err)
	}
	return nil
}

// replace writes a file whole or not at all, as long as there is power.
func replace(path string, text []byte) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, text, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func (s states) remove(key string) error {
	if err := os.Remove(s.path(key)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot remove network state: %w", err)
	}
	return nil
}

// load reads all files. One that cannot be read is as good as none: its namespace is
// then one that nobody knows.
func (s states) load() (map[string]*state, error) {
	all := map[string]*state{}
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, os.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read network states: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() {
			continue // the guests'
		}
		key, ok := strings.CutSuffix(e.Name(), ".json")
		text, err := os.ReadFile(filepath.Join(s.dir, e.Name()))
		st := new(state)
		if !ok || err != nil || json.Unmarshal(text, st) != nil || st.Key != key {
			_ = os.Remove(filepath.Join(s.dir, e.Name()))
			continue
		}
		all[key] = st
	}
	return all, nil
}
