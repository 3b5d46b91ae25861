package network

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// reservation is a set of sockets that keep host ports from other programs: the
// packet filter takes what is sent there before any program's socket would, so a
// program that got the port would wait in vain.
type reservation []int

func (r reservation) close() {
	for _, fd := range r {
		_ = unix.Close(fd)
	}
}

// reserve takes a port on an address; port 0 is any, and the one taken is returned.
// The socket does not listen. The error is a syscall's: EADDRINUSE, EADDRNOTAVAIL.
func reserve(proto string, addr netip.Addr, port uint16) (fd int, taken uint16, err error) {
	kind, number := unix.SOCK_STREAM, unix.IPPROTO_TCP
	switch proto {
	case "udp":
		kind, number = unix.SOCK_DGRAM, unix.IPPROTO_UDP
	case "sctp":
		number = unix.IPPROTO_SCTP
	}
	family := unix.AF_INET
	var sa unix.Sockaddr
	if addr.Is6() {
		family = unix.AF_INET6
		sa = &unix.SockaddrInet6{Port: int(port), Addr: addr.As16()}
	} else {
		four := &unix.SockaddrInet4{Port: int(port)}
		if addr.IsValid() {
			four.Addr = addr.As4()
		}
		sa = four
	}
	if fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC, number); err != nil {
		return -1, 0, err
	}
	if err = bindAlone(fd, family, proto, sa); err == nil {
		var at unix.Sockaddr
		if at, err = unix.Getsockname(fd); err == nil {
			return fd, portOf(at), nil
		}
	}
	_ = unix.Close(fd)
	return -1, 0, err
}

// bindAlone binds so that connections of an earlier owner, which only wait for their
// time to pass, do not count, and gives that permission up afterwards: with it another
// program could listen on the port beside this socket (socket(7), SO_REUSEADDR).
func bindAlone(fd, family int, proto string, sa unix.Sockaddr) error {
	if family == unix.AF_INET6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return err
		}
	}
	if proto != "tcp" {
		return unix.Bind(fd, sa)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := unix.Bind(fd, sa); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 0)
}

func portOf(sa unix.Sockaddr) uint16 {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return uint16(a.Port)
	case *unix.SockaddrInet6:
		return uint16(a.Port)
	}
	return 0
}

// reservePort takes a wish's port in each family that it is published in.
func reservePort(p Port, port uint16, v6 bool) (reservation, uint16, error) {
	addrs := []netip.Addr{p.HostIP}
	if !p.HostIP.IsValid() && v6 {
		addrs = []netip.Addr{{}, netip.IPv6Unspecified()}
	}
	var r reservation
	for _, a := range addrs {
		fd, taken, err := reserve(p.Proto, a, port)
		if p.Proto == "sctp" && errors.Is(err, unix.EPROTONOSUPPORT) {
			continue // a kernel without it: nobody else can take the port either
		}
		if err != nil {
			r.close()
			return nil, 0, err
		}
		r, port = append(r, fd), taken
	}
	if port == 0 {
		r.close()
		return nil, 0, fmt.Errorf("the kernel has no %s to choose a port with: %w", p.Proto, unix.EPROTONOSUPPORT)
	}
	return r, port, nil
}
