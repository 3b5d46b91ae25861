// Command probe is what the system tests run as a module: it does, from inside its
// container, what a test asks of it over a socket in a shared folder.
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
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// dir is the folder that host and module share.
const dir = "/probe"

func main() {
	if len(os.Args) > 1 {
		if run := commands[os.Args[1]]; run != nil {
			run(os.Args[2:])
			return
		}
		fmt.Fprintln(os.Stderr, "probe: unknown command", os.Args[1])
		os.Exit(2)
	}
	serve()
}

// serve answers the test until it is told to stop.
func serve() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	path := filepath.Join(dir, "control.sock")
	_ = os.Remove(path)
	l, err := net.Listen("unix", path)
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
	p := &probe{conns: map[string]*http.Client{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /call", p.call)
	mux.HandleFunc("POST /print", p.print)
	mux.HandleFunc("POST /exit", p.exit)
	mux.HandleFunc("POST /exec", p.exec)
	mux.HandleFunc("POST /spawn", p.spawn)
	mux.HandleFunc("POST /allocate", p.allocate)
	mux.HandleFunc("POST /loop", p.loop)
	mux.HandleFunc("POST /flood", p.flood)
	mux.HandleFunc("POST /raw", p.raw)
	mux.HandleFunc("POST /serve", p.serve)
	mux.HandleFunc("GET /environ", p.environ)
	mux.HandleFunc("GET /file", p.file)
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(l) }()
	fmt.Println("probe is up")
	<-stop
	fmt.Println("probe was asked to stop")
	// An answer that is being relayed still goes out: the call may be what stops this module.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = server.Shutdown(ctx)
}

type probe struct {
	mu    sync.Mutex
	conns map[string]*http.Client
}

// Call is one request that the module makes to a socket of edged.
type Call struct {
	Socket, Method, Path, Body string
	Header                     map[string]string
	// Conn names a connection that is kept and used again; empty is a fresh one.
	Conn string
}

// Answer is what came of it.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	Error  string
}

func (p *probe) call(w http.ResponseWriter, r *http.Request) {
	var c Call
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_ = json.NewEncoder(w).Encode(p.do(r.Context(), c))
}

func (p *probe) do(ctx context.Context, c Call) Answer {
	client := p.client(c)
	if c.Conn == "" {
		defer client.CloseIdleConnections()
	}
	return request(ctx, client, c)
}

func request(ctx context.Context, client *http.Client, c Call) Answer {
	req, err := http.NewRequestWithContext(ctx, c.Method, "http://localhost"+c.Path, strings.NewReader(c.Body))
	if err != nil {
		return Answer{Error: err.Error()}
	}
	for k, v := range c.Header {
		req.Header.Set(k, v)
	}
	if c.Body != "" && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := client.Do(req)
	if err != nil {
		return Answer{Error: err.Error()}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	a := Answer{Status: res.StatusCode, Header: res.Header, Body: string(body)}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

func (p *probe) client(c Call) *http.Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	if client := p.conns[c.Conn]; client != nil && c.Conn != "" {
		return client
	}
	client := &http.Client{Transport: &http.Transport{
		MaxConnsPerHost: 1,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", c.Socket)
		},
	}}
	if c.Conn != "" {
		p.conns[c.Conn] = client
	}
	return client
}

// print writes ?n= numbered lines to ?to=stdout|stderr, ?pause= apart.
func (p *probe) print(_ http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	n, _ := strconv.Atoi(q.Get("n"))
	from, _ := strconv.Atoi(q.Get("from"))
	pause, _ := time.ParseDuration(q.Get("pause"))
	out := os.Stdout
	if q.Get("to") == "stderr" {
		out = os.Stderr
	}
	write := func() {
		for i := from; i < from+n; i++ {
			fmt.Fprintf(out, "line %d %s\n", i, q.Get("text"))
			time.Sleep(pause)
		}
	}
	if q.Get("background") != "" {
		go write()
		return
	}
	write()
}

func (p *probe) exit(_ http.ResponseWriter, r *http.Request) {
	code, _ := strconv.Atoi(r.URL.Query().Get("code"))
	os.Exit(code)
}

// exec runs the probe again, as a child, with other arguments, and answers what it printed.
func (p *probe) exec(w http.ResponseWriter, r *http.Request) {
	var args []string
	if err := json.NewDecoder(r.Body).Decode(&args); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	out, err := runSelf(r.Context(), args)
	_ = json.NewEncoder(w).Encode(struct{ Output, Error string }{string(out), fmt.Sprint(err)})
}

// allocate takes memory, ?mib=, and touches it.
func (p *probe) allocate(_ http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("mib"))
	for range n {
		hoard = append(hoard, bytes.Repeat([]byte{1}, 1<<20))
	}
}

var hoard [][]byte

func (p *probe) environ(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(os.Environ())
}

func (p *probe) file(w http.ResponseWriter, r *http.Request) {
	b, err := os.ReadFile(r.URL.Query().Get("path"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	_, _ = w.Write(b)
}
