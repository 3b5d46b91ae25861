package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Loop is the same few calls made many times, timed inside the module: what the way
// from a test to the probe costs is then in no figure.
type Loop struct {
	Socket string
	// Calls are one cycle. "@" in Path and Body stands for the cycle's own name.
	Calls []Call
	// Prefix and the cycle's number, from First on, are that name.
	Prefix string
	First  int
	Cycles int
	// Workers go on at once, each on a connection of its own.
	Workers int
	// Fresh makes a new connection for each cycle.
	Fresh bool
	// For, nanoseconds, replaces Cycles: as many as there is time for.
	For int64
}

// LoopResult has the nanoseconds of each call of each cycle, and of all together.
type LoopResult struct {
	Cycles [][]int64
	Took   int64
	Errors []string
}

func (p *probe) loop(w http.ResponseWriter, r *http.Request) {
	var l Loop
	if err := json.NewDecoder(r.Body).Decode(&l); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_ = json.NewEncoder(w).Encode(l.run(r.Context()))
}

func (l *Loop) run(ctx context.Context) LoopResult {
	if l.For > 0 {
		return l.runFor(ctx)
	}
	result := LoopResult{Cycles: make([][]int64, l.Cycles)}
	var mu sync.Mutex
	var wg sync.WaitGroup
	next := make(chan int, l.Cycles)
	for i := range l.Cycles {
		next <- i
	}
	close(next)
	began := time.Now()
	for range max(l.Workers, 1) {
		wg.Go(func() {
			client := l.client()
			defer client.CloseIdleConnections()
			for i := range next {
				took, err := l.cycle(ctx, client, l.Prefix+strconv.Itoa(l.First+i))
				mu.Lock()
				result.Cycles[i] = took
				if err != nil {
					result.Errors = append(result.Errors, err.Error())
				}
				mu.Unlock()
				if l.Fresh {
					client.CloseIdleConnections()
				}
			}
		})
	}
	wg.Wait()
	result.Took = time.Since(began).Nanoseconds()
	return result
}

// runFor makes cycles until the time is up.
func (l *Loop) runFor(ctx context.Context) (result LoopResult) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	began := time.Now()
	for range max(l.Workers, 1) {
		wg.Go(func() {
			client := l.client()
			defer client.CloseIdleConnections()
			var cycles [][]int64
			var failed []string
			for time.Since(began).Nanoseconds() < l.For && len(failed) == 0 {
				took, err := l.cycle(ctx, client, l.Prefix)
				if err != nil {
					failed = append(failed, err.Error())
				}
				cycles = append(cycles, took)
			}
			mu.Lock()
			defer mu.Unlock()
			result.Cycles = append(result.Cycles, cycles...)
			result.Errors = append(result.Errors, failed...)
		})
	}
	wg.Wait()
	result.Took = time.Since(began).Nanoseconds()
	return result
}

func (l *Loop) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		MaxConnsPerHost: 1,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", l.Socket)
		},
	}}
}

// cycle makes the calls of one cycle and stops at the first that is refused.
func (l *Loop) cycle(ctx context.Context, client *http.Client, name string) ([]int64, error) {
	var took []int64
	for _, c := range l.Calls {
		c.Path, c.Body = strings.ReplaceAll(c.Path, "@", name), strings.ReplaceAll(c.Body, "@", name)
		began := time.Now()
		a := request(ctx, client, c)
		took = append(took, time.Since(began).Nanoseconds())
		if a.Error != "" || a.Status >= http.StatusMultipleChoices {
			return took, fmt.Errorf("%s %s: %d %s%s", c.Method, c.Path, a.Status, a.Body, a.Error)
		}
	}
	return took, nil
}

// flood writes ?n= lines of ?size= bytes to standard output in pieces of 32 KiB and
// answers how many nanoseconds that took.
func (p *probe) flood(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	size, _ := strconv.Atoi(r.URL.Query().Get("size"))
	began := time.Now()
	writeLines(n, max(size, 1))
	fmt.Fprint(w, time.Since(began).Nanoseconds())
}
