package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// notifyTimeout bounds one message: a service manager that does not read its
// socket must not stop edged.
const notifyTimeout = 5 * time.Second

// notifyEnv are the variables of sd_notify(3) and sd_watchdog_enabled(3). A
// child that inherited them would speak in edged's name.
var notifyEnv = [...]string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}

// Notifier tells the service manager how edged fares, sd_notify(3). Without a
// service manager it does nothing. It is safe for concurrent use.
type Notifier struct {
	socket   string        // empty: nobody listens
	watchdog time.Duration // 0: nobody watches
}

// NewNotifier reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and, whatever
// it returns, clears them. Without NOTIFY_SOCKET every method does nothing.
func NewNotifier() (*Notifier, error) {
	value := make(map[string]string, len(notifyEnv))
	for _, key := range notifyEnv {
		value[key] = os.Getenv(key)
		if err := os.Unsetenv(key); err != nil {
			return nil, fmt.Errorf("cannot clear %s: %w", key, err)
		}
	}
	socket := value["NOTIFY_SOCKET"]
	if socket == "" {
		return &Notifier{}, nil
	}
	// "@" is an abstract socket, for SockaddrUnix as in sd_notify(3).
	if len(socket) < 2 || len(socket) > maxSunPath || socket[0] != '/' && socket[0] != '@' {
		return nil, invalid("cannot use NOTIFY_SOCKET %q: want an absolute path or @name of at most %d bytes", socket, maxSunPath)
	}
	n := &Notifier{socket: socket}
	if value["WATCHDOG_USEC"] == "" {
		return n, nil
	}
	usec, err := strconv.ParseInt(value["WATCHDOG_USEC"], 10, 64)
	if err != nil || usec <= 0 || usec > int64(1<<63-1)/int64(time.Microsecond) {
		return nil, invalid("cannot use WATCHDOG_USEC %q: want microseconds", value["WATCHDOG_USEC"])
	}
	if pid := value["WATCHDOG_PID"]; pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return n, nil // another process of the service is watched
	}
	n.watchdog = time.Duration(usec) * time.Microsecond
	return n, nil
}

// Enabled tells whether there is a service manager to speak to.
func (n *Notifier) Enabled() bool { return n.socket != "" }

// Ready says that edged answers, at the end of its start or of a reload.
func (n *Notifier) Ready() error { return n.send("READY=1", nil) }

// Stopping says that edged has begun to stop.
func (n *Notifier) Stopping() error { return n.send("STOPPING=1", nil) }

// Status says in a few words, for a person, what edged does.
func (n *Notifier) Status(text string) error {
	return n.send("STATUS="+strings.Map(printable, text), nil)
}

// printable keeps a text on one line: a newline would begin another assignment.
func printable(r rune) rune {
	if r < ' ' {
		return ' '
	}
	return r
}

// Reloading says that edged reads its configuration again; Ready ends it. The
// time on it, CLOCK_MONOTONIC in microseconds, is what Type=notify-reload
// matches with its own request.
func (n *Notifier) Reloading() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("cannot read the monotonic clock: %w", err)
	}
	return n.send(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/int64(time.Microsecond)), nil)
}

// Store gives the service manager a copy of l to keep over restarts of edged,
// under a name that several may share (FDName). The unit needs
// FileDescriptorStoreMax=. systemd knows a socket it stores already and keeps
// one copy. FDPOLL=0 lets it keep the socket whatever state it is in.
func (n *Notifier) Store(name string, l *net.UnixListener) error {
	if err := checkFDName(name); err != nil {
		return fmt.Errorf("cannot store listener: %w", err)
	}
	if n.socket == "" {
		return nil
	}
	state := "FDSTORE=1\nFDNAME=" + name + "\nFDPOLL=0"
	if err := withFD(l, func(fd int) error { return n.send(state, unix.UnixRights(fd)) }); err != nil {
		return fmt.Errorf("cannot store listener %s: %w", name, err)
	}
	return nil
}

// Forget has the service manager close everything it stores under name.
func (n *Notifier) Forget(name string) error {
	if err := checkFDName(name); err != nil {
		return fmt.Errorf("cannot forget listener: %w", err)
	}
	return n.send("FDSTOREREMOVE=1\nFDNAME="+name, nil)
}

// send sends one message, with rights as its ancillary data. It has a socket of
// its own, so that what one message waits for never delays another.
func (n *Notifier) send(state string, rights []byte) error {
	if n.socket == "" {
		return nil
	}
	if err := sendTo(n.socket, []byte(state), rights); err != nil {
		first, _, _ := strings.Cut(state, "\n")
		return fmt.Errorf("cannot notify the service manager of %s: %w", first, err)
	}
	return nil
}

func sendTo(socket string, message, rights []byte) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	timeout := unix.NsecToTimeval(notifyTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout); err != nil {
		return err
	}
	// A SockaddrUnix is written to when it is used: one a message.
	address := &unix.SockaddrUnix{Name: socket}
	for {
		err = unix.Sendmsg(fd, message, rights, address, unix.MSG_NOSIGNAL)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
