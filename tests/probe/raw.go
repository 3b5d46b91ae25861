package main

import (
	"io"
	"net"
	"net/http"
	"time"
)

// raw sends the body, byte for byte, to the socket ?socket= and answers all that
// comes back until the other end closes: a client that knows nothing of HTTP's
// lengths and chunks.
func (p *probe) raw(w http.ResponseWriter, r *http.Request) {
	conn, err := net.Dial("unix", r.URL.Query().Get("socket"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.Copy(conn, r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	_, _ = w.Write(answer)
}
