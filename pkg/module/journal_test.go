package module

import (
	"fmt"
	"slices"
	"sync"
)

// journal is the order in which the supervisor did things to its surroundings.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

func (j *journal) count(line string) int {
	n := 0
	for _, l := range j.all() {
		if l == line {
			n++
		}
	}
	return n
}

// before says that the last a came before the last b, and that both came.
func (j *journal) before(a, b string) bool {
	at := func(s string) int {
		lines := j.all()
		for i := len(lines) - 1; i >= 0; i-- {
			if lines[i] == s {
				return i
			}
		}
		return -1
	}
	return at(a) >= 0 && at(a) < at(b)
}
