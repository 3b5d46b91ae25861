// Asker tries, from inside a module that is not edgeAgent, what only edgeAgent may: it asks edged to make a module, and prints what edged
// answers. It succeeds when it is refused.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/edged/edged/pkg/client/wire"
)

func main() {
	uri := os.Getenv("EDGED_MANAGEMENTURI")
	fmt.Printf("asker: as module %q, asking %s to create the module \"intruder\"\n", os.Getenv("EDGED_MODULEID"), uri)
	status, answer, err := ask(strings.TrimPrefix(uri, "unix://"))
	if err != nil {
		fmt.Println("asker:", err)
		os.Exit(1)
	}
	fmt.Printf("asker: edged answered %s %s\n", status, answer)
	if !strings.HasPrefix(status, "403 ") {
		os.Exit(1)
	}
}

// ask sends the request by hand rather than with the client, to show the bytes of the answer as they are.
func ask(socket string) (status, answer string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	body, err := json.Marshal(wire.ModuleSpec{Name: "intruder", Type: "docker", Config: wire.Config{Settings: wire.Settings{Image: "edged.local/demo:1"}, Env: []wire.EnvVar{}}})
	if err != nil {
		return "", "", fmt.Errorf("cannot encode request: %w", err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://edged/modules?api-version=2022-08-03", bytes.NewReader(body))
	if err != nil {
		return "", "", fmt.Errorf("cannot make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return "", "", fmt.Errorf("cannot ask edged: %w", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return "", "", fmt.Errorf("cannot read answer: %w", err)
	}
	return resp.Status, string(b), nil
}
