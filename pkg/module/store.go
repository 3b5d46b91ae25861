package module

import (
	"context"
	"time"

	"github.com/edged/edged/pkg/peer"
)

// Phase is where a module's record stands between two whole states. A crash
// leaves it as it was, and the next start knows what was under way.
type Phase string

// The phases of a record.
const (
	// PhaseCreating: the container may or may not exist; nobody was answered.
	PhaseCreating Phase = "creating"
	// PhaseReady is the only phase in which nothing is under way.
	PhaseReady Phase = "ready"
	// PhaseUpdating: Next may or may not exist, and either may run.
	PhaseUpdating Phase = "updating"
	// PhaseDeleting: the caller may have been answered; what is left must go.
	PhaseDeleting Phase = "deleting"
)

// Generation is one made or wanted container of a module.
type Generation struct {
	Number      int64
	Spec        Spec
	ImageDigest string
	Created     time.Time
}

// Record is what the database knows of one module.
type Record struct {
	Name    string
	Phase   Phase
	Wanted  bool
	Current Generation
	// Next is the generation an update is making; nil outside PhaseUpdating.
	Next *Generation
	// Start and Exit are of the last run; Restarts counts the policy's starts.
	Start    time.Time
	Exit     *Exit
	Restarts int
}

// Store keeps records over power cuts: when a call has returned, what it wrote
// is on the disk.
type Store interface {
	Modules(ctx context.Context) ([]Record, error)
	Instances(ctx context.Context) ([]peer.Instance, error)
	// SaveModule writes the record whole, with its generations.
	SaveModule(ctx context.Context, r *Record) error
	// SaveStart writes, in one step, that the instance is about to run its first
	// instruction and that the module is wanted.
	SaveStart(ctx context.Context, r *Record, in *peer.Instance) error
	// SaveExit writes, in one step, the end of a run: its instance is gone.
	SaveExit(ctx context.Context, r *Record, containerID string) error
	// DeleteModule removes the record and all that hangs on it; its identity stays.
	DeleteModule(ctx context.Context, name string) error
	// TouchImage notes that an image is in use now.
	TouchImage(ctx context.Context, ref, digest string) error
}
