package bundle

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"
)

// Kind is the contract's word for what a bundle is.
type Kind string

// The kinds.
const (
	Module   Kind = "MODULE" // it says so in its manifest
	Plain    Kind = "BUNDLE"
	Fragment Kind = "FRAGMENT"
)

// Record is what the database knows of one bundle.
type Record struct {
	Key
	Kind Kind `json:"kind"`
	// Started says that the bundle is to be started whenever the framework is.
	Started bool `json:"started"`
	// FragmentHost is the bundle that it belongs to; empty for what is no fragment. A module can
	// be one, too.
	FragmentHost string `json:"fragmentHost,omitempty"`
	// Digest and Size are of the bytes that the framework is given.
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
	// Uploaded is the digest of what was uploaded, of which those bytes were made.
	Uploaded digest.Digest `json:"uploaded"`
	// Sequence orders bundles as they came.
	Sequence int64 `json:"sequence"`
	// Installed is when the bundle came first, Updated when its bytes did.
	Installed time.Time `json:"installed"`
	Updated   time.Time `json:"updated"`
	// ImplementationVersion is as its manifest has it; empty when it has none.
	ImplementationVersion string `json:"implementationVersion,omitempty"`
	// RequiredVersion is that of the server that the bundle is made for; empty for none.
	RequiredVersion string `json:"requiredVersion,omitempty"`
	// Title and Vendor are for a person.
	Title  string `json:"title,omitempty"`
	Vendor string `json:"vendor,omitempty"`
}

// fragment says that a bundle cannot be started: it belongs to another.
func (r *Record) fragment() bool { return r.FragmentHost != "" }

// Store remembers bundles over restarts: when a call has returned, what it wrote is on the
// disk. Errors: Unavailable (the disk is full), else the disk's.
type Store interface {
	// Bundles reads every row.
	Bundles(ctx context.Context) ([]Record, error)
	// SaveBundles writes and removes rows in one step.
	SaveBundles(ctx context.Context, put []Record, remove []Key) error
	// Note and SetNote keep small texts.
	Note(ctx context.Context, key string) (string, error)
	SetNote(ctx context.Context, key, value string) error
}
