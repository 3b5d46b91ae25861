// Edged-probe is a module that asks edged over and over, by turns for the list of modules on its management socket and for a signature on its workload
// socket, each time on a new connection, the next as soon as the last has its answer: whenever it runs, a connection is under way. A signature that is
// not what the first one was is a failure. It prints a line a request, `request <number> <duration> <status>` or
// `request <number> <duration> failed: <cause>`, and ends when it is told to. Before that it reads what every program may read of the files that edged
// gives a module, and prints `unreadable: <cause>` where it cannot: it runs as nobody in particular.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
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
	management, workload := client("EDGED_MANAGEMENTURI"), client("EDGED_WORKLOADURI")
	signer := &signer{path: "/modules/" + url.PathEscape(os.Getenv("EDGED_MODULEID")) + "/genid/" + os.Getenv("EDGED_MODULEGENERATIONID") + "/sign"}
	for number := 1; ; number++ {
		begun := time.Now()
		outcome := ""
		if number%2 == 1 {
			outcome, _ = ask(ctx, management, http.MethodGet, "/modules", "")
		} else {
			outcome = signer.ask(ctx, workload)
		}
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

func client(variable string) *http.Client {
	socket := strings.TrimPrefix(os.Getenv(variable), "unix://")
	return &http.Client{
		Timeout: patience,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", socket)
			},
		},
	}
}

// signer asks for one signature again and again.
type signer struct{ path, first string }

func (s *signer) ask(ctx context.Context, client *http.Client) string {
	outcome, answer := ask(ctx, client, http.MethodPost, s.path, `{"data":"dGV4dA=="}`)
	switch {
	case outcome != "200":
		return outcome
	case s.first == "":
		s.first = answer
	case s.first != answer:
		return "failed: another signature"
	}
	return outcome
}

func ask(ctx context.Context, client *http.Client, method, path, text string) (outcome, answer string) {
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path+"?api-version=2018-06-28", strings.NewReader(text))
	if err != nil {
		return "failed: " + err.Error(), ""
	}
	resp, err := client.Do(req)
	if err != nil {
		return "failed: " + err.Error(), ""
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "failed: " + err.Error(), ""
	}
	return fmt.Sprint(resp.StatusCode), string(body)
}
