package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/edged/edged/pkg/deployment"
	"github.com/edged/edged/pkg/file"
	"github.com/edged/edged/pkg/lazyregexp"
)

// history is the deployments that were tried, and their texts. The text of the last
// good one is what a rollback is made from.
type history struct {
	folder string
	list   deployment.History
}

// revisionName is the form of a revision, which is the name of a file.
var revisionName = lazyregexp.New(`^[0-9a-f]{64}$`)

func openHistory(folder string) (*history, error) {
	h := &history{folder: folder}
	return h, readJSON(filepath.Join(folder, deployment.HistoryFile), &h.list)
}

func (h *history) path(revision string) string {
	return filepath.Join(h.folder, deployment.ManifestsFolder, revision)
}

// keep stores a text before anything is done about it.
func (h *history) keep(revision string, text []byte) error {
	if err := os.Mkdir(filepath.Join(h.folder, deployment.ManifestsFolder), 0o770); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot keep manifest: %w", err)
	}
	if had, err := h.text(revision); err == nil && string(had) == string(text) {
		return nil
	}
	return file.Write(h.path(revision), text, 0o640, -1)
}

// text returns a text that was kept. One that is no longer what its name says is none.
func (h *history) text(revision string) ([]byte, error) {
	if !revisionName().MatchString(revision) {
		return nil, fmt.Errorf("cannot read manifest of revision %q: %w", revision, fs.ErrNotExist)
	}
	text, err := readFile(h.path(revision))
	if err == nil && deployment.Revision(text) != revision {
		err = fmt.Errorf("cannot use manifest of revision %s: its text was changed", short(revision))
	}
	return text, err
}

// note writes how a deployment is; the latest is first. good is never forgotten.
func (h *history) note(e deployment.Entry, good string) error {
	for i, had := range h.list.Deployments {
		if had.Revision != e.Revision {
			continue
		}
		e.Time = had.Time
		if i == 0 && had == e {
			return nil
		}
		h.list.Deployments = slices.Delete(h.list.Deployments, i, i+1)
		break
	}
	e.Time = now()
	list := slices.Insert(h.list.Deployments, 0, e)
	for i := len(list) - 1; i >= 0 && len(list) > deployment.MaxHistory; i-- {
		if list[i].Revision != good {
			list = slices.Delete(list, i, i+1)
		}
	}
	h.list.Deployments = list
	if err := writeJSON(filepath.Join(h.folder, deployment.HistoryFile), h.list, 0o640); err != nil {
		return err
	}
	return h.prune(good)
}

// prune removes the texts that no entry is about.
func (h *history) prune(good string) error {
	entries, err := os.ReadDir(filepath.Join(h.folder, deployment.ManifestsFolder))
	if err != nil {
		return fmt.Errorf("cannot remove old manifests: %w", err)
	}
	for _, e := range entries {
		known := slices.ContainsFunc(h.list.Deployments, func(d deployment.Entry) bool { return d.Revision == e.Name() })
		if !known && e.Name() != good {
			err = errors.Join(err, os.Remove(h.path(e.Name())))
		}
	}
	return err
}
