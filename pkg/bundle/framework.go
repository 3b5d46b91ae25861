package bundle

import (
	"context"
	"io"
)

// State is the framework's word for what a bundle does.
type State string

// The states of the OSGi core specification, 4.4.2.
const (
	Uninstalled State = "UNINSTALLED"
	Installed   State = "INSTALLED"
	Resolved    State = "RESOLVED"
	Starting    State = "STARTING"
	Stopping    State = "STOPPING"
	Active      State = "ACTIVE"
)

// runs says that a bundle was started; one that is started lazily is Starting until it is used.
func (s State) runs() bool { return s == Active || s == Starting }

// Actual is a bundle as the framework has it.
type Actual struct {
	ID           int64  `json:"id"`
	Location     string `json:"location"`
	SymbolicName string `json:"symbolicName"`
	Version      string `json:"version"`
	State        State  `json:"state"`
	// Persistent says that the framework starts it whenever it is started itself.
	Persistent bool `json:"persistent"`
	StartLevel int  `json:"startLevel"`
	Fragment   bool `json:"fragment"`
	// Lazy says that it is started, and then waits until it is used.
	Lazy bool `json:"lazy"`
	// Digest is of the bytes it was given last; empty when that is not certain.
	Digest string `json:"digest"`
}

// Picture is all that the framework has at a moment. It does not change.
type Picture struct {
	// All are by their ids, the framework itself first.
	All        []Actual
	ByLocation map[string]Actual
}

// Framework is one that runs: a session with it, which ends with Done. Errors: *Refused when
// the framework says no, Unavailable when the session ended or the deadline did; what was
// asked for may come about then all the same.
type Framework interface {
	// Picture is what the framework has, as its own events left it.
	Picture() *Picture
	// Ping ends without an error when the framework is there: what Picture says next is so.
	Ping(ctx context.Context) error
	// Run names the run of the framework: sessions with one have the same, another has another.
	Run() string
	// JavaLevel is that of the Java it runs on: 17.
	JavaLevel() int
	// Install returns the bundle that is there already, unchanged, when there is one of the
	// location.
	Install(ctx context.Context, location string, r io.Reader, size int64) (Actual, error)
	Update(ctx context.Context, id int64, r io.Reader, size int64) (Actual, error)
	Uninstall(ctx context.Context, id int64) error
	Start(ctx context.Context, id int64) error
	// Stop is for good, or until the framework starts again when it is transient.
	Stop(ctx context.Context, id int64, transient bool) error
	// SetStartLevel says from which level of the framework on a bundle is started.
	SetStartLevel(ctx context.Context, id int64, level int) error
	// SetLevel lets the framework start what has up to that start level; it came up without
	// bundles of edged's. It returns when they are started, or have failed to be.
	SetLevel(ctx context.Context, level int) error
	// Refresh makes bundles anew of what there is; without ids all that were updated or
	// removed, with those that use them.
	Refresh(ctx context.Context, ids ...int64) error
	// Closure is the bundles themselves and those that use them, however far.
	Closure(ctx context.Context, ids ...int64) ([]int64, error)
	// Users are the bundles that use one.
	Users(ctx context.Context, id int64) ([]int64, error)
	Done() <-chan struct{}
}

// Host is where the framework runs.
type Host interface {
	// Installed says whether there is a framework for this device to run. Unavailable when
	// nobody knows.
	Installed(ctx context.Context) (bool, error)
	// Want makes it run from now on. It returns at once.
	Want()
	// Rest makes it run no longer, until the next Want. Nobody changes bundles meanwhile.
	Rest(ctx context.Context) error
	// Restart ends the framework, and makes it run anew.
	Restart(ctx context.Context) error
	// Why says in words of the operator's why there is none that runs.
	Why(ctx context.Context) string
}
