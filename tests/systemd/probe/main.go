// Edged-probe is a module that asks edged for the list of modules over and over, each time on a new connection to its own socket, the next as soon as
// the last has its answer: whenever it runs, a connection is under way. It prints a line a request, `request <number> <duration> <status>` or
// `request <number> <duration> failed: <cause>`, and ends when it is told to. Before that it reads what every program may read of the files that edged
// gives a module, and prints `unreadable: <cause>` where it cannot: it runs as nobody in particular.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// pause keeps the output readable. It is far shorter than any restart.
const pause = 5 * time.Millisecond

// patience is longer than the longest restart that may go unnoticed.
const patience = 30 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	for _, name := range []string{"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"} {
		if _, err := os.ReadFile(name); err != nil {
			fmt.Println("unreadable:", err)
		}
	}
	socket := strings.TrimPrefix(os.Getenv("EDGED_MANAGEMENTURI"), "unix://")
	client := &http.Client{
		Timeout: patience,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", socket)
			},
		},
	}
	for number := 1; ; number++ {
		begun := time.Now()
		outcome := ask(ctx, client)
		took := time.Since(begun).Round(time.Microsecond)
		if ctx.Err() != nil {
			return
		}
		fmt.Println("request", number, took, outcome)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func ask(ctx context.Context, client *http.Client) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/modules?api-version=2018-06-28", nil)
	if err != nil {
		return "failed: " + err.Error()
	}
	resp, err := client.Do(req)
	if err != nil {
		return "failed: " + err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return "failed: " + err.Error()
	}
	return fmt.Sprint(resp.StatusCode)
}
