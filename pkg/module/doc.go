// Package module is the domain of modules: what a caller wishes (Spec), what is
// so (State), and the Supervisor that brings the second to the first through an
// Engine it knows only as an interface.
//
// The Supervisor owns the truth of what should run and keeps it in a Store; the
// engine owns the truth of what runs. Each module has one worker with a queue,
// so whatever one module waits for never delays another, and no lock is held
// over a call to the engine.
//
// Every error that leaves this package carries a containerd/errdefs class; the
// packages above map classes to statuses and never look at texts.
package module
