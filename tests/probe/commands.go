package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// commands are what the probe can be started as instead of as a server.
var commands = map[string]func(args []string){
	"call":   callOnce,
	"puppet": runPuppet,
	"dial":   dialOnce,
	"serve":  serveForever,
	// sleep waits for SIGTERM and exits 0: the plainest module.
	"sleep": func([]string) { sleep() },
	// stubborn ignores SIGTERM.
	"stubborn": func([]string) {
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		for {
			time.Sleep(time.Hour)
		}
	},
	"exit": func(args []string) {
		code, _ := strconv.Atoi(args[0])
		os.Exit(code)
	},
	// lines prints n lines of a size, in one write of up to 32 KiB after the other, then waits.
	"lines": func(args []string) {
		n, _ := strconv.Atoi(args[0])
		size, _ := strconv.Atoi(args[1])
		writeLines(n, size)
		sleep()
	},
	// ticker prints a numbered line every args[0].
	"ticker": func(args []string) {
		pause, _ := time.ParseDuration(args[0])
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		for i := 0; ; i++ {
			fmt.Printf("tick %d %d\n", i, time.Now().UnixNano())
			select {
			case <-stop:
				return
			case <-time.After(pause):
			}
		}
	},
}

// writeLines writes n lines of a size to standard output, in pieces of up to 32 KiB.
func writeLines(n, size int) {
	line := append(bytes.Repeat([]byte("x"), size-1), '\n')
	block := bytes.Repeat(line, max(1, (32<<10)/size))
	for n > 0 {
		k := min(n, len(block)/size)
		_, _ = os.Stdout.Write(block[:k*size])
		n -= k
	}
}

func sleep() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
}

// callOnce makes the call that its argument describes and prints the answer.
func callOnce(args []string) {
	var c Call
	if err := json.Unmarshal([]byte(args[0]), &c); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(2)
	}
	p := &probe{}
	_ = json.NewEncoder(os.Stdout).Encode(p.do(context.Background(), c))
}

func runSelf(ctx context.Context, args []string) ([]byte, error) {
	return exec.CommandContext(ctx, "/proc/self/exe", args...).CombinedOutput()
}
