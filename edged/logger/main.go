// Edged-logger stores what a module writes. The module's shim starts one for every run of a module, by the URI
//
//	binary:///path/edged-logger?--dir=<absolute folder>&--max-size=<bytes>&--max-file=<number>
//
// with stdout of the module on descriptor 3, stderr on 4, and 5 to say that it is ready. It lives beside edged and
// containerd, not below them, so that neither's restart loses a line.
//
// Nobody starts it again when it ends, and a module whose logger is gone is killed by SIGPIPE. So nothing ends it but the
// end of both streams: no setting can be wrong enough, no disk full enough.
package main

import (
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/edged/edged/pkg/modulelog/segment"
)

// The descriptors that the shim passes (containerd, NewBinaryIO).
const (
	stdoutFD = 3
	stderrFD = 4
	readyFD  = 5
)

func main() {
	// There is one of these for every module, and it has one thing to do at a time.
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(20)
	// The shim sends SIGTERM as soon as it has closed its ends of the pipes; what is in them then is still to be stored.
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)

	cfg, streams := parse(os.Args[1:])
	cfg.Now = func() int64 { return time.Now().UnixNano() }
	in, out := newBuffer(readSize), newBuffer(segment.BatchSize)
	cfg.Batch = out
	w := segment.New(cfg)
	w.Start()
	sayReady()
	drain(w, in, out, streams)
	w.Close()
}

// parse reads the arguments. The shim makes them from the URI's query: each key and each value is an argument of its
// own, and the pairs come in random order. What it does not understand it leaves out: the defaults are good enough.
func parse(args []string) (cfg segment.Config, streams int) {
	streams = 2
	for i := 0; i+1 < len(args); i += 2 {
		switch value := args[i+1]; args[i] {
		case "--dir":
			cfg.Dir = value
		case "--max-size":
			cfg.MaxSize, _ = segment.ParseNumber(value)
		case "--max-file":
			n, _ := segment.ParseNumber(value)
			cfg.MaxFile = int(min(n, 1<<16))
		case "--streams":
			// A terminal has one; of the other's pipe the shim keeps an end open.
			if value == "1" {
				streams = 1
			}
		}
	}
	return cfg, streams
}

// sayReady lets the shim go on. One byte and the end of the file: versions differ in which of them they wait for.
func sayReady() {
	_, _ = syscall.Write(readyFD, []byte{1})
	_ = syscall.Close(readyFD)
}
