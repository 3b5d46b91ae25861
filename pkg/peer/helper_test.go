package peer

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// helper is the main function of the other processes. A client obeys one command a line and answers each with a line, "ok ..." or "error ...".
func helper(role string) {
	switch role {
	case "client":
		client()
	case "server":
		lowLimitServer()
	case "sleep":
		// Until the end of input: the parent that dies takes it along.
		_, _ = os.Stdin.Read(make([]byte, 1))
	default:
		fmt.Println("error no such role")
		os.Exit(2)
	}
}

func client() {
	// The first thread must stay free: "leaderexit" ends it.
	done := make(chan struct{})
	leave := make(chan struct{})
	runtime.LockOSThread()
	go func() {
		defer close(done)
		obey(leave)
	}()
	select {
	case <-done:
	case <-leave:
		_, _, _ = unix.Syscall(unix.SYS_EXIT, 0, 0, 0) // this thread only
	}
}

func obey(leave chan struct{}) {
	fd := -1
	if v := os.Getenv("EDGED_PEER_TEST_FD"); v != "" {
		// A new image, or an heir: what came before cannot answer any more.
		fd, _ = strconv.Atoi(v)
		fmt.Println("ok", os.Getpid())
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		words := strings.Fields(in.Text())
		out, err := "", error(nil)
		switch words[0] {
		case "dial": // path [bind address]
			fd, err = dial(words[1:])
		case "send":
			_, err = unix.Write(fd, []byte(words[1]))
		case "get":
			_, err = unix.Write(fd, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		case "read":
			b := make([]byte, 4096)
			var n int
			n, err = unix.Read(fd, b)
			out = strconv.Quote(string(b[:max(n, 0)]))
		case "exec":
			if _, err = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err == nil {
				err = syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), fmt.Sprintf("EDGED_PEER_TEST_FD=%d", fd)))
			}
		case "setuid":
			var id int
			id, err = strconv.Atoi(words[1])
			if err == nil {
				err = syscall.Setuid(id)
			}
		case "spawn": // a child that keeps the connection
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), helperEnv+"=client", "EDGED_PEER_TEST_FD=3")
			cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
			cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(fd), "conn")}
			if err = cmd.Start(); err == nil {
				os.Exit(0)
			}
		case "leaderexit":
			close(leave)
			for comm, _ := os.ReadFile("/proc/self/stat"); !strings.Contains(string(comm), ") Z "); {
				time.Sleep(time.Millisecond)
				comm, _ = os.ReadFile("/proc/self/stat")
			}
		case "forkas": // pid: a child with that very pid
			var pid int
			if pid, err = strconv.Atoi(words[1]); err == nil {
				switch errno := forkAs(pid); errno {
				case 0:
				case unix.EEXIST:
					out = "taken"
				default:
					err = errno
				}
			}
		case "flood": // path count
			var n int
			if n, err = strconv.Atoi(words[2]); err == nil {
				err = flood(words[1], n)
			}
		case "hammer": // path: one connection after the other, each until it is closed
			fmt.Println("ok")
			for {
				if fd, err = dial(words[1:]); err != nil {
					os.Exit(0)
				}
				_, _ = unix.Read(fd, make([]byte, 1))
				_ = unix.Close(fd)
			}
		case "exit":
			os.Exit(0)
		default:
			err = fmt.Errorf("no such command")
		}
		if err != nil {
			fmt.Println("error", err)
		} else {
			fmt.Println("ok", out)
		}
	}
}

// dial connects by bare system calls: the Go runtime would own the descriptor.
func dial(args []string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if len(args) > 1 {
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: args[1]}); err != nil {
			return -1, err
		}
	}
	return fd, unix.Connect(fd, &unix.SockaddrUnix{Name: args[0]})
}

// lowLimitServer answers every request with who asks, in a process that may have few descriptors. It gets the socket as descriptor 3.
func lowLimitServer() {
	f := os.NewFile(3, "listener")
	l, err := net.FileListener(f)
	if err == nil {
		err = f.Close()
	}
	var p *Peers
	if err == nil {
		p, err = New(Config{Table: NewTable("edged")})
	}
	if err == nil {
		err = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 40, Max: 40})
	}
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("ok")
	server := &http.Server{ConnContext: ConnContext, Handler: whoHandler(), ReadHeaderTimeout: time.Minute}
	fmt.Println("error", server.Serve(p.Listen(l.(*net.UnixListener), Scope{Name: "management"})))
	os.Exit(1)
}

// whoHandler is what every server on top of the package does.
func whoHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := FromContext(r.Context())
		if CloseAfter(r.Context()) {
			w.Header().Set("Connection", "close")
		}
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		case caller.Kind == Unknown:
			http.Error(w, caller.Reason, http.StatusForbidden)
		default:
			fmt.Fprintf(w, "%s %s %s", caller.Kind, caller.Module(), r.RemoteAddr)
		}
	})
}
