package main

import (
	"os"
	"path/filepath"

	"github.com/edged/edged/edged/agent/reconcile"
)

// memoryFile is in the folder of status; it is the agent's own.
const memoryFile = "applied.json"

// memory is what the agent knows over its restarts.
type memory struct {
	reconcile.Memory
	// LastGood is the revision to go back to.
	LastGood string `json:"lastGood,omitempty"`
	// Refused is the deployment that failed and is not tried again as it is.
	Refused *refused `json:"refused,omitempty"`
}

// refused is one writing of a manifest: written again, with the same text too, it gets
// another try.
type refused struct {
	Revision string `json:"revision"`
	Stamp    string `json:"stamp"`
	Error    string `json:"error"`
}

func openMemory(folder string, warn func(error, string)) *memory {
	m := &memory{}
	path := filepath.Join(folder, memoryFile)
	if err := readJSON(path, m); err != nil {
		warn(err, "going on without it")
		*m = memory{}
	}
	m.Save = func() {
		if err := writeJSON(path, m, 0o600); err != nil {
			warn(err, "what was done is forgotten when the agent ends")
		}
	}
	return m
}

// sweep removes what writes that a crash cut left behind.
func sweep(folder string) {
	left, err := filepath.Glob(filepath.Join(folder, ".*.json.*"))
	if err != nil {
		return // the pattern is right
	}
	for _, path := range left {
		_ = os.Remove(path)
	}
}
