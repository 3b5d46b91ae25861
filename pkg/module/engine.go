package module

import (
	"context"
	"time"

	"github.com/edged/edged/pkg/peer"
)

// Image is an image that is on the device.
type Image struct {
	Ref    string
	Digest string
}

// Mount is a folder that edged itself puts into a module.
type Mount struct {
	Source, Destination string
	ReadOnly            bool
}

// Container is all that an Engine needs to make one generation's container.
type Container struct {
	ID         string
	Generation int64
	SpecDigest string
	Spec       Spec
	// Defaults is environment that the spec's wins over.
	Defaults []string
	// Identity is the environment that states who the module is; it wins over the spec's.
	Identity []string
	// Sockets is the module's own directory, mounted last at /run/edged.
	Sockets string
	// Mounts and Groups are edged's own additions (the agent's folders).
	Mounts []Mount
	Groups []uint32
}

// Log is where the output of a container goes.
type Log struct {
	Dir      string
	MaxSize  int64
	MaxFiles int
}

// RestartPolicy is Docker's, and on-unhealthy, which acts as always.
type RestartPolicy struct {
	// Name is "no", "always", "unless-stopped", "on-failure" or "on-unhealthy".
	Name string
	// MaxRetries bounds on-failure; 0 is no bound.
	MaxRetries int
}

// Lifecycle is the part of createOptions that the supervisor, not the runtime, acts on.
type Lifecycle struct {
	Restart RestartPolicy
	// StopTimeout is from the stop signal to SIGKILL.
	StopTimeout time.Duration
	// LogMaxSize (bytes) and LogMaxFiles bound the log of one generation.
	LogMaxSize  int64
	LogMaxFiles int
}

// HealthCheck is how to find out whether a module that runs does what it should.
type HealthCheck struct {
	// Args are run inside the module.
	Args []string
	// Interval is between two checks; while the module is starting, and not longer than
	// StartPeriod, it is StartInterval, and failures do not count.
	Interval, StartPeriod, StartInterval time.Duration
	// Timeout is what one check may take.
	Timeout time.Duration
	// Retries is how many failures in a row make it unhealthy.
	Retries int
}

// Probed is how one command inside a container ended.
type Probed struct {
	// Code is the exit code, -1 when it was killed because its time was up.
	Code     int
	TimedOut bool
	// Output is the beginning of what it printed, 4 KiB at most, as it came.
	Output string
}

// Observed is what the engine knows of one container with edged's owner label.
type Observed struct {
	ContainerID string
	Module      string
	// Elsewhere says that it was made for other folders of edged's than those of now.
	Elsewhere bool
}

// Event is something that happened to a container.
type Event struct {
	ContainerID string
	// PID of the first process; it tells two runs of one container apart.
	PID int
	// Exit of the first process; nil for an out-of-memory event.
	Exit *Exit
	OOM  bool
}

// Engine runs containers. All errors carry an errdefs class: NotFound,
// AlreadyExists, InvalidArgument (what the caller can mend), Unavailable (the
// engine cannot be reached: worth repeating later).
type Engine interface {
	// Check tells what the spec alone shows, and reads what concerns the supervisor.
	Check(spec *Spec) (Lifecycle, error)
	// EnsureImage makes the image be there and unpacked, as the policy says.
	EnsureImage(ctx context.Context, ref string, policy PullPolicy, auth *Auth) (Image, error)
	// Create makes the container's record and file system. Making it again over
	// remains of an earlier try is not an error.
	Create(ctx context.Context, c Container) error
	// User is whom a container's first process runs as.
	User(ctx context.Context, id string) (uid, gid uint32, err error)
	// Start makes the task, calls admit with its first process parked before its first
	// instruction and the generation id that the container was made with, and lets it run
	// only if admit returned nil.
	Start(ctx context.Context, id string, log Log, admit func(pid int, generationID string) error) error
	// Signal sends the container's own stop signal, or SIGKILL to all its processes.
	Signal(ctx context.Context, id string, kill bool) error
	// Exited returns how the task ended, nil while it runs; errdefs.NotFound without a
	// task, or with one that was made and never started.
	Exited(ctx context.Context, id string) (*Exit, error)
	// OOMKilled says whether a run that ended lost a process for its memory limit. It looks at the cgroup, which is there until DeleteTask.
	OOMKilled(ctx context.Context, in *peer.Instance, exit *Exit) bool
	// DeleteTask removes the task, killing what is left of it. NotFound is success.
	DeleteTask(ctx context.Context, id string) error
	// Health returns how a container's health is checked, nil when it is not.
	Health(ctx context.Context, id string) (*HealthCheck, error)
	// Probe runs a command inside the container and kills it when its time is up. Errors:
	// NotFound and Unavailable say nothing of the module, others that it cannot be run.
	Probe(ctx context.Context, id string, args []string, timeout time.Duration) (Probed, error)
	// Delete removes task, container and file system. NotFound is success.
	Delete(ctx context.Context, id string) error
	// Observe lists all of edged's containers in one call.
	Observe(ctx context.Context) ([]Observed, error)
	// Events calls subscribed once the stream stands, then on for each event, until the
	// stream ends or ctx does. Nothing is replayed: observe after subscribed.
	Events(ctx context.Context, subscribed func(), on func(Event)) error
	// Forget removes what belongs to the module and not to one of its containers, its
	// network and its anonymous volumes, after the containers are gone. A module that has
	// nothing is success.
	Forget(ctx context.Context, module string) error
	// CleanUp removes what crashed operations left: leases, snapshots, and what belongs
	// to modules other than these. Run it after a reconcile.
	CleanUp(ctx context.Context, modules []string) error
}

// Recorder reads kernel facts of a container's first process; *peer.Kernel in
// the daemon.
type Recorder interface {
	Record(pid int, id string) (peer.Instance, error)
	Alive(in peer.Instance) bool
}

// Sockets owns the directory of a module's own sockets and serves them.
type Sockets interface {
	// Dir is the directory's path on the host, whether it is there or not.
	Dir(module string) string
	// Ensure makes the directory and listens in it.
	Ensure(module string, management bool) error
	Remove(module string) error
}

// Logs is what the supervisor asks of the log store.
type Logs interface {
	GenerationDir(module string, generation int64) string
	// LoggerAlive says whether somebody stores what this generation prints.
	LoggerAlive(module string, generation int64) bool
	Prune(module string, keep ...int64) error
	Remove(module string) error
}
