package httpapi

import (
	"bytes"
	"net"

	"golang.org/x/net/http/httpguts"
)

// RepairHosts wraps a listener so that requests with a Host header that net/http
// refuses still reach a handler. Clients in the field send the socket's path, the
// path with ":0", or "unix:///..."; over a Unix socket the header says nothing.
//
// Only the first request of a connection is looked at. If its header needs repair,
// the connection is closed after the answer ("Connection: close" is added), so
// nothing here ever has to find where a body ends; the client connects again.
func RepairHosts(l net.Listener) net.Listener { return hostListener{l} }

type hostListener struct{ net.Listener }

func (l hostListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &hostConn{Conn: c}, nil
}

// maxHead is where looking for the end of a head is given up; the server then
// answers that it is too large.
const maxHead = 80 << 10

// hostConn holds the first head back until it is whole.
type hostConn struct {
	net.Conn
	passed bool   // the first head is dealt with
	ready  []byte // read from the client, to be read by the server
}

// NetConn is the wrapped connection, in the manner of crypto/tls.
func (c *hostConn) NetConn() net.Conn { return c.Conn }

func (c *hostConn) Read(p []byte) (int, error) {
	if len(c.ready) > 0 {
		n := copy(p, c.ready)
		c.ready = c.ready[n:]
		return n, nil
	}
	if c.passed {
		return c.Conn.Read(p)
	}
	n, err := c.Conn.Read(p)
	if err != nil || n == 0 {
		c.passed = err != nil
		return n, err
	}
	head := p[:n]
	if end := headEnd(head); end >= 0 && hostIsFine(head[:end]) {
		c.passed = true // the usual case: nothing is copied
		return n, nil
	}
	c.ready = append(c.ready, head...)
	for headEnd(c.ready) < 0 && len(c.ready) < maxHead {
		n, err := c.Conn.Read(p)
		c.ready = append(c.ready, p[:n]...)
		if err != nil {
			break // what there is goes to the server, which meets the same error
		}
	}
	c.passed = true
	if end := headEnd(c.ready); end >= 0 && !hostIsFine(c.ready[:end]) {
		c.ready = append(repairHead(c.ready[:end]), c.ready[end:]...)
	}
	return c.Read(p)
}

// headEnd is the index behind the first empty line, -1 without one. net/http takes
// lines that end in a newline alone, so this must, too: a head that ends later here
// than there would have its body repaired.
func headEnd(b []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return -1
		}
		at += i + 1
		if rest := bytes.TrimPrefix(b[at:], []byte("\r")); len(rest) > 0 && rest[0] == '\n' {
			return len(b) - len(rest) + 1
		}
	}
}

// hostIsFine says whether net/http takes the head's Host as it is.
func hostIsFine(head []byte) bool {
	hosts := 0
	fine := true
	for line := range bytes.Lines(head) {
		if v, ok := hostValue(line); ok {
			hosts++
			fine = fine && httpguts.ValidHostHeader(string(v))
		}
	}
	return hosts == 1 && fine
}

func hostValue(line []byte) ([]byte, bool) {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || !bytes.EqualFold(name, []byte("Host")) {
		return nil, false
	}
	return bytes.TrimSpace(value), true
}

// repairHead gives a head one Host that is fine and asks for the connection to be closed.
func repairHead(head []byte) []byte {
	out := make([]byte, 0, len(head)+64)
	first := true
	for line := range bytes.Lines(head) {
		if _, isHost := hostValue(line); isHost && !first {
			continue
		}
		out = append(out, line...)
		if first {
			// Host last: a folded line behind it then spoils the host, not the close.
			out = append(out, "Connection: close\r\nHost: localhost\r\n"...)
			first = false
		}
	}
	return out
}
