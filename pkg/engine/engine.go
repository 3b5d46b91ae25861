package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/defaults"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/mountns"
	"github.com/edged/edged/pkg/network"
	"github.com/edged/edged/pkg/volume"
)

var _ module.Engine = (*Engine)(nil)

// callTimeout bounds one call to containerd. Making a task runs runc, which on a
// slow device under load takes seconds, not minutes; a shim that hangs never answers.
const callTimeout = 2 * time.Minute

// Labels by which edged finds its own; they are an index, not a record.
const (
	labelOwner      = "io.edged.owner"
	labelModule     = "io.edged.module"
	labelGeneration = "io.edged.gen"
	labelSpec       = "io.edged.spec"
	labelHome       = "io.edged.home"
	labelRun        = "io.edged.run"
	labelPackage    = "io.edged.package" // of an image, and of the lease that keeps it
	owner           = "edged"
)

// Config is what an Engine needs to know.
type Config struct {
	// Address of containerd's socket, and the containerd namespace that is edged's own.
	Address, Namespace string
	// Snapshotter; empty is containerd's default.
	Snapshotter string
	// SharedShim puts all modules into one shim process: less memory, one fate.
	SharedShim bool
	// SystemdCgroup makes runc ask systemd for a scope instead of writing cgroupfs.
	SystemdCgroup bool
	// Logger is the absolute path of edged-logger.
	Logger string
	// CertsDir holds registries' hosts.toml and CAs.
	CertsDir string
	// Home and Run are edged's own folders; Protected are further paths that no module
	// may bind. AgentFolders, under Home, may be bound all the same.
	Home, Run    string
	Protected    []string
	AgentFolders []string
	// Volumes are those under Home.
	Volumes *volume.Store
	// Imported is closed when the archives of the start are in: an image that nothing may
	// fetch is waited for until then. nil: none is.
	Imported <-chan struct{}
	// Networks gives modules theirs; New's caller closes it after the engine.
	Networks *network.Manager
	// MountNS is where modules' files and devices are, and what runc is to see is mounted.
	MountNS *mountns.Namespace
	Log     logrus.FieldLogger
}

// Engine drives one containerd.
type Engine struct {
	Config
	client *client.Client
	images imageCache
	machine
	// inits are the programs of HostConfig.Init, the first that is there; cdiDirs are where
	// devices are described, empty for the usual folders.
	inits   []string
	cdiDirs []string
	// held are the capabilities that a module may get at most.
	held   func() ([]string, error)
	health sync.Map // container id -> *module.HealthCheck

	flights   flights
	locks     keyedLocks // of blobs and layers, so that pulls fetch each once
	contents  contentsCache
	preloaded preloadedNames
	pulled    pullCounters
	disk      diskRoot

	mu sync.Mutex
	// Containers whose creation or start is under way: not for CleanUp.
	making, starting map[string]bool
	// pids are the first processes of containers that were started, by id.
	pids map[string]int
}

// New returns at once; containerd is dialled with the first call.
func New(cfg Config) (*Engine, error) {
	// The client logs through a logrus of its own; its warnings repeat errors that it returns.
	if err := log.SetLevel("error"); err != nil {
		return nil, err
	}
	if cfg.Snapshotter == "" {
		cfg.Snapshotter = defaults.DefaultSnapshotter
	}
	device, err := ownMachine()
	if err != nil {
		return nil, err
	}
	// The default back-off grows to two minutes: a restarted containerd would be missed for seconds.
	dial := grpc.WithConnectParams(grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.5, MaxDelay: 500 * time.Millisecond},
		MinConnectTimeout: 2 * time.Second,
	})
	c, err := client.New(cfg.Address, client.WithDefaultNamespace(cfg.Namespace), client.WithExtraDialOpts([]grpc.DialOption{dial}))
	if err != nil {
		return nil, fmt.Errorf("cannot use containerd at %s: %w", cfg.Address, err)
	}
	e := &Engine{
		Config: cfg, client: c, machine: device, inits: initPrograms(), held: func() ([]string, error) { return capsBehind(cfg.Address) },
		making: map[string]bool{}, starting: map[string]bool{}, pids: map[string]int{},
	}
	e.flights.init()
	if err := e.sweepProbes(); err != nil {
		cfg.Log.WithError(err).Warn("a folder stays as it was")
	}
	return e, nil
}

// Close ends pulls under way and then the connection; containers go on.
func (e *Engine) Close() error {
	e.flights.close()
	return e.client.Close()
}

// Version asks containerd for its version.
func (e *Engine) Version(ctx context.Context) (string, error) {
	ctx, done := e.call(ctx)
	defer done()
	v, err := e.client.Version(ctx)
	return v.Version, classify(err)
}

// call gives a context its namespace and the deadline of one operation.
func (e *Engine) call(ctx context.Context) (context.Context, context.CancelFunc) {
	return e.callFor(ctx, callTimeout)
}

func (e *Engine) callFor(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(namespaces.WithNamespace(ctx, e.Namespace), timeout)
}
