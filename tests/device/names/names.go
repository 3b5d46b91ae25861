// Package names is a name server for tests.
package names

import (
	"net"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// Serve answers questions that come to conn, each with the code for its name; without ok it
// hears and says nothing. An answer to another question comes before each, as late ones
// do. stop closes conn and waits for the end.
func Serve(conn net.PacketConn, answer func(name string) (code dnsmessage.RCode, ok bool)) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(b[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			code, ok := answer(strings.TrimSuffix(m.Questions[0].Name.String(), "."))
			if !ok {
				continue
			}
			m.Response, m.RCode = true, code
			late := m
			late.ID++
			for _, one := range []dnsmessage.Message{late, m} {
				if b, err := one.Pack(); err == nil {
					_, _ = conn.WriteTo(b, from)
				}
			}
		}
	}()
	return func() {
		_ = conn.Close()
		<-done
	}
}
