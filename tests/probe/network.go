package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// serve answers on ?network=tcp|udp at ?port= with ?text= and the address of who asks.
func (p *probe) serve(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if err := answerOn(q.Get("network"), ":"+q.Get("port"), q.Get("text")); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}

func answerOn(network, address, text string) error {
	if network == "udp" {
		c, err := net.ListenPacket("udp", address)
		if err != nil {
			return err
		}
		go func() {
			b := make([]byte, 64)
			for {
				_, from, err := c.ReadFrom(b)
				if err != nil {
					return
				}
				_, _ = c.WriteTo([]byte(text+" "+from.String()), from)
			}
		}()
		return nil
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, text+" "+c.RemoteAddr().String())
			_ = c.Close()
		}
	}()
	return nil
}

// serveForever is serve as a command: port and text.
func serveForever(args []string) {
	if err := answerOn("tcp", ":"+args[0], args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
	sleep()
}

// dialOnce connects and prints what it is told: network and address. It is a process
// of its own, so that hosts and resolv.conf are read anew.
func dialOnce(args []string) {
	c, err := net.DialTimeout(args[0], args[1], 2*time.Second)
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	if args[0] == "udp" {
		_, _ = c.Write([]byte("?"))
		b := make([]byte, 256)
		n, err := c.Read(b)
		if err != nil {
			fmt.Println("error:", err)
			return
		}
		fmt.Print(string(b[:n]))
		return
	}
	b, err := io.ReadAll(c)
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	fmt.Print(string(b))
}
