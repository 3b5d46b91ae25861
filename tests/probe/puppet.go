package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Command is one thing that a test makes a puppet do. Descriptors have names, so that one puppet can have several.
type Command struct {
	Op string
	// Conn names the descriptor that the command makes or uses.
	Conn string
	// Path is a file, a socket or a folder; Dir, when set, names a descriptor that Path begins at.
	Path, Dir string
	// Text is what to send, or the name to bind to before a connection is made.
	Text string
	N    int
}

// Result is what came of it.
type Result struct {
	Error  string
	Status int
	Text   string
	// Closed says that the other end closed the connection after the answer.
	Closed bool
}

// puppet is a process of its own in the module, which a test pulls by strings: it connects to the test's socket, whose other end so learns its process id,
// and obeys. It makes system calls itself instead of letting the runtime do it, so that what it does is what the test asked for.
type puppet struct {
	fds   map[string]int
	child int
}

// runPuppet obeys until the test hangs up. The thread is locked because a network namespace is a thread's.
func runPuppet(args []string) {
	runtime.LockOSThread()
	puller, err := net.Dial("unix", args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, "puppet:", err)
		os.Exit(1)
	}
	p := &puppet{fds: map[string]int{}}
	in, out := json.NewDecoder(puller), json.NewEncoder(puller)
	for {
		var c Command
		if in.Decode(&c) != nil {
			return
		}
		var r Result
		if err := p.obey(c, &r); err != nil {
			r.Error = err.Error()
		}
		if out.Encode(r) != nil {
			return
		}
	}
}

// spawn starts a puppet on ?path= and sees to its end.
func (p *probe) spawn(w http.ResponseWriter, r *http.Request) {
	cmd := exec.Command("/proc/self/exe", "puppet", r.URL.Query().Get("path"))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	go func() { _ = cmd.Wait() }()
}

func (p *puppet) obey(c Command, r *Result) (err error) {
	switch c.Op {
	case "dial":
		return p.keep(c.Conn)(dial(p.path(c), c.Text))
	case "dialfirst":
		return p.keep(c.Conn)(dialFirst(p.path(c)))
	case "send":
		_, err = unix.Write(p.fds[c.Conn], []byte(c.Text))
		return err
	case "answer":
		return answer(p.fds[c.Conn], r)
	case "open":
		return p.keep(c.Conn)(unix.Open(c.Path, unix.O_CLOEXEC|c.N, 0))
	case "listen":
		return p.keep(c.Conn)(listen(c.Path))
	case "pass":
		return pass(c.Path, p.fds[c.Conn])
	case "receive":
		return p.keep(c.Text)(receive(p.fds[c.Conn]))
	case "setuid":
		return syscall.Setuid(c.N)
	case "unshare":
		return unix.Unshare(c.N)
	case "setns":
		return unix.Setns(p.fds[c.Conn], c.N)
	case "enter":
		r.Text, err = enterCgroups(c.Path)
		return err
	case "fork":
		return p.fork()
	case "flood":
		return flood(c.Path, c.N)
	case "exit":
		os.Exit(0)
	}
	return fmt.Errorf("no command %q", c.Op)
}

func (p *puppet) path(c Command) string {
	if c.Dir == "" {
		return c.Path
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", p.fds[c.Dir], c.Path)
}

// keep gives a descriptor its name, in place of the one that had it.
func (p *puppet) keep(name string) func(fd int, err error) error {
	return func(fd int, err error) error {
		if err != nil {
			return err
		}
		if old, ok := p.fds[name]; ok {
			_ = unix.Close(old)
		}
		p.fds[name] = fd
		return nil
	}
}

// fork makes a child that does nothing, in place of the one before.
func (p *puppet) fork() (err error) {
	if p.child > 0 {
		if err := unix.Kill(p.child, unix.SIGKILL); err != nil {
			return err
		}
		if _, err := unix.Wait4(p.child, nil, 0, nil); err != nil {
			return err
		}
	}
	p.child, err = forkIdle()
	return err
}
