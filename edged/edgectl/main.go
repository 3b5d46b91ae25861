// Command edgectl is the operator's view of edged: what runs, what it wrote, start
// and stop. What a device shall run is decided by its module edgeAgent alone, so
// edgectl neither makes modules nor removes them.
package main

import (
	"bufio"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// version is set by the build.
var version = "0.0.0-dev"

func main() {
	a := &app{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, now: time.Now,
		inTerminal: isTerminal(os.Stdin), terminal: isTerminal(os.Stdout), errTerminal: isTerminal(os.Stderr),
	}
	os.Exit(a.run(os.Args[1:]))
}

// app is one run of edgectl.
type app struct {
	// in is for what a command is given, and for answers where it is a terminal.
	in         io.Reader
	inTerminal bool
	lines      *bufio.Reader // of in, once something was asked
	// out is for data and err for everything said about it.
	out, err io.Writer
	// terminal says that out is one: text that others made is then made harmless.
	terminal bool
	// errTerminal says that err is one: progress is then one line, written again and again.
	errTerminal bool
	now         func() time.Time
	// host is what --host says.
	host string
}

// run executes a command line and returns its exit code.
func (a *app) run(args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetOut(a.out)
	root.SetErr(a.err)
	cmd, err := root.ExecuteC()
	if err == nil {
		return exitOK
	}
	return a.fail(cmd.CommandPath(), err)
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
