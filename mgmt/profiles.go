package mgmt

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/httpapi"
)

// profilesRoot is where Go's tools look for profiles.
const profilesRoot = "/debug/pprof"

// binary is the type of Go's own formats.
const binary = "application/octet-stream"

// snapshots are profiles of a moment. Those of waiting (block, mutex) are not among them: they would have to be on all the time.
var snapshots = []string{"allocs", "goroutine", "heap", "threadcreate"}

// Seconds of profiles of a time, when nothing is said and at most. A trace is large.
const (
	profileSeconds, maxProfileSeconds = 30, 120
	traceSeconds, maxTraceSeconds     = 1, 10
)

// Allocations are sampled from the first question on: half a MiB that no device has to pay
// for what it is never asked.
var samples = []string{"allocs", "heap"}

const sampleEvery = 512 << 10 // bytes, Go's own

var beginSampling = sync.OnceFunc(func() { runtime.MemProfileRate = sampleEvery })

// profiles lists what there is.
func (a *api) profiles(w http.ResponseWriter, _ *httpapi.Request) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "profile?seconds=%d\ntrace?seconds=%d\n", profileSeconds, traceSeconds)
	for _, name := range snapshots {
		fmt.Fprintln(&b, name)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	httpapi.Deadline(w)
	_, err := w.Write(b.Bytes())
	return err
}

// profile answers one of them, in the format of Go's own tools.
func (a *api) profile(w http.ResponseWriter, r *httpapi.Request) error {
	name, err := r.Var("profile")
	if err != nil {
		return err
	}
	switch {
	case name == "profile":
		return a.during(w, r, name, profileSeconds, maxProfileSeconds, pprof.StartCPUProfile, pprof.StopCPUProfile)
	case name == "trace":
		return a.during(w, r, name, traceSeconds, maxTraceSeconds, trace.Start, trace.Stop)
	case slices.Contains(snapshots, name):
		return snapshot(w, r, name)
	}
	return httpapi.NotFound("there is no such profile: it is profile, trace, " + strings.Join(snapshots, ", "))
}

// during records for some seconds, or until the client leaves or edged stops. There is one
// recording of a kind at a time. What is recorded is sent as it comes, and not kept.
func (a *api) during(w http.ResponseWriter, r *httpapi.Request, name string, seconds, most int, start func(io.Writer) error, stop func()) error {
	if s := r.Query.Get("seconds"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > most {
			return httpapi.BadRequest(fmt.Sprintf("invalid parameter: seconds of a %s is a number from 1 to %d", name, most))
		}
		seconds = n
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(seconds)*time.Second)
	defer cancel()
	if a.Stopping != nil {
		defer context.AfterFunc(a.Stopping, cancel)()
	}
	describe(w, name, binary)
	if err := start(&logWriter{w: w, control: http.NewResponseController(w)}); err != nil {
		w.Header().Del("Content-Disposition")
		return fmt.Errorf("a %s is being recorded already: %w", name, errdefs.ErrConflict)
	}
	<-ctx.Done()
	stop()
	return nil
}

func snapshot(w http.ResponseWriter, r *httpapi.Request, name string) error {
	debug, contentType := 0, binary
	if s := r.Query.Get("debug"); s != "" {
		var err error
		if debug, err = strconv.Atoi(s); err != nil || debug < 0 || debug > 2 {
			return httpapi.BadRequest("invalid parameter: debug is 0, 1 or 2")
		}
	}
	if debug > 0 {
		contentType = "text/plain; charset=utf-8"
	}
	if slices.Contains(samples, name) {
		beginSampling()
	}
	var b bytes.Buffer
	if err := pprof.Lookup(name).WriteTo(&b, debug); err != nil {
		return fmt.Errorf("cannot make profile: %w", err)
	}
	describe(w, name, contentType)
	httpapi.Deadline(w)
	_, _ = w.Write(b.Bytes()) // the client may have left
	return nil
}

func describe(w http.ResponseWriter, name, contentType string) {
	w.Header().Set("Content-Type", contentType)
	if contentType == binary {
		w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	}
}
