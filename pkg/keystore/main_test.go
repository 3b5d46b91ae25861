package keystore

import (
	"context"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// notes is a database of notes.
type notes struct {
	mu   sync.Mutex
	all  map[string]string
	fail error
}

func newNotes() *notes { return &notes{all: map[string]string{}} }

func (n *notes) Note(_ context.Context, key string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.all[key], nil
}

func (n *notes) SetNote(_ context.Context, key, value string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail != nil {
		return n.fail
	}
	n.all[key] = value
	return nil
}
