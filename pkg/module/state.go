package module

import "time"

// Runtime is the word the management API uses for what a module does.
type Runtime string

// The five words of the contract. A module that ended with another code than 0
// has failed, also when it was asked to stop; Description tells the two apart.
const (
	Unknown Runtime = "unknown"
	Running Runtime = "running"
	Stopped Runtime = "stopped"
	Failed  Runtime = "failed"
	Dead    Runtime = "dead"
)

// Exit is how a module's last run ended.
type Exit struct {
	// Time is when, zero when nobody saw it.
	Time time.Time `json:"time"`
	// Code is the exit code, 128+n for a death by signal n.
	Code int `json:"code"`
	// Lost says that the code could not be had (containerd restarted meanwhile, or power went).
	Lost bool `json:"lost,omitempty"`
	// Resume says that the module did not end by itself (the power went, or an update
	// was replacing it) and is to run again, whatever its restart policy.
	Resume bool `json:"resume,omitempty"`
	// OOM says that the kernel killed a process of the module for its memory limit.
	OOM bool `json:"oom,omitempty"`
}

// Status is what is so of a module.
type Status struct {
	Runtime     Runtime
	Description string
	// StartTime is when the current or last run began; zero: never started.
	StartTime time.Time
	// Exit stays from the previous run while the module runs again; nil: never ended.
	Exit *Exit
	// Health is that of the current run, nil when it is not checked.
	Health *Health
	// Restarts counts the starts the restart policy made since the last wish.
	Restarts int
}

// State is an immutable picture of one module. A change makes a new State, so a
// pointer that is equal means that nothing changed.
type State struct {
	Spec        Spec
	Generation  int64
	ContainerID string
	ImageDigest string
	Created     time.Time
	// Wanted says that the API, or the agent, started the module and did not stop it.
	Wanted bool
	Status Status
	// Run is closed when the run that this State shows has ended and no restart is due:
	// the end of a followed log.
	Run <-chan struct{}
}
