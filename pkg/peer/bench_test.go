package peer

import (
	"context"
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// crowd fills a table with n instances, and starts a process that is in the first of them, or in none.
func crowd(b *testing.B, n int, inside bool) (*Table, *child) {
	b.Helper()
	table := NewTable(testNamespace())
	var c *child
	if inside {
		// A network namespace of its own, for what it costs to compare it.
		c, _ = startModule(b, table, "module0", &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET})
	} else {
		c = startChild(b, nil)
	}
	for i := table.Len(); i < n; i++ {
		id := fmt.Sprintf("module%d-1", i)
		require.NoError(b, table.Add(&Instance{Module: id, Generation: 1, ContainerID: id, Paths: []string{"/" + testNamespace() + "/" + id}}))
	}
	return table, c
}

// cpu reports the processor time of this process for an operation.
func cpu(b *testing.B, f func()) {
	var before, after unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &before)
	f()
	_ = unix.Getrusage(unix.RUSAGE_SELF, &after)
	used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(used)/float64(b.N)/1000, "cpu-us/op")
}

// BenchmarkConnection is a new connection from another process: accept, identity, close. "bare" is without this package: the difference is what identity
// costs.
func BenchmarkConnection(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		l, path := socket(b)
		startChild(b, nil).do("hammer", path)
		cpu(b, func() {
			for b.Loop() {
				server, err := l.Accept()
				if err != nil {
					b.Fatal(err)
				}
				_ = server.Close()
			}
		})
		_ = l.Close()
	})
	each(b, func(b *testing.B, table *Table, c *child, want Kind) {
		l, path := listen(b, newPeers(b, Config{Table: table}), Scope{Name: "workload"})
		c.do("hammer", path)
		cpu(b, func() {
			for b.Loop() {
				server, err := l.Accept()
				if err != nil {
					b.Fatal(err)
				}
				caller, err := server.(*Conn).Caller(context.Background())
				if err != nil || caller.Kind != want {
					b.Fatal(caller, err)
				}
				_ = server.Close()
			}
		})
		_ = l.Close()
	})
}

// BenchmarkRequest is a request on a connection that is kept.
func BenchmarkRequest(b *testing.B) {
	each(b, func(b *testing.B, table *Table, c *child, want Kind) {
		l, path := listen(b, newPeers(b, Config{Table: table}), Scope{Name: "workload"})
		c.do("dial", path)
		ctx := ConnContext(context.Background(), accept(b, l))
		b.ReportAllocs()
		cpu(b, func() {
			for b.Loop() {
				caller, err := FromContext(ctx)
				if err != nil || caller.Kind != want {
					b.Fatal(caller, err)
				}
			}
		})
	})
}

// each runs a benchmark for host users and modules, with 1 and 200 instances.
func each(b *testing.B, f func(b *testing.B, table *Table, c *child, want Kind)) {
	b.Helper()
	for _, want := range []Kind{Host, Module} {
		for _, n := range []int{1, 200} {
			b.Run(fmt.Sprintf("%s/%d", want, n), func(b *testing.B) {
				table, c := crowd(b, n, want == Module)
				f(b, table, c, want)
			})
		}
	}
}
