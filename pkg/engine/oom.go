package engine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/peer"
)

const (
	// unitOutOfMemory is how systemd's journal catalog calls the death of a process of a unit for want of memory.
	unitOutOfMemory = "fe6faa94e7774663a0da52717891d8ef"
	// journalTimeout bounds one question to the journal.
	journalTimeout = 5 * time.Second
	// journalMargin is how long before the first process's end the kernel may have killed.
	journalMargin = 10 * time.Second
)

// OOMKilled reads the kernel's own count of a container's cgroup; the event says
// the same, but is lost while edged is away. So is the count where systemd makes the
// cgroups, because it removes a scope with its last process; but it writes down what it
// saw before.
func (e *Engine) OOMKilled(ctx context.Context, in *peer.Instance, exit *module.Exit) bool {
	counted := false
	for _, p := range in.Paths {
		for _, file := range []string{
			filepath.Join("/sys/fs/cgroup/memory", p, "memory.oom_control"), // v1
			filepath.Join("/sys/fs/cgroup", p, "memory.events"),             // v2
		} {
			b, err := os.ReadFile(file) // #nosec G304 -- a path that the kernel gave
			if err != nil {
				continue
			}
			counted = true
			for line := range bytes.Lines(b) {
				if n, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("oom_kill ")); ok && string(n) != "0" {
					return true
				}
			}
		}
	}
	if counted || exit.Code != 128+9 || exit.Time.IsZero() {
		return false
	}
	for _, p := range in.Paths {
		if scope := filepath.Base(p); strings.HasSuffix(scope, ".scope") {
			return e.outOfMemoryInJournal(ctx, scope, exit.Time)
		}
	}
	return false
}

// outOfMemoryInJournal asks whether systemd saw a process of a unit die for want of memory at a time. Who cannot be asked has not seen it.
func (e *Engine) outOfMemoryInJournal(ctx context.Context, unit string, at time.Time) bool {
	ctx, cancel := context.WithTimeout(ctx, journalTimeout)
	defer cancel()
	// Only the service manager's own word counts: any process may write to the journal.
	cmd := exec.CommandContext(ctx, "journalctl", "--quiet", "--no-pager", "--boot", "--output=cat", "--lines=1", // #nosec G204 -- the name of a cgroup that the kernel gave
		fmt.Sprintf("--since=@%d", at.Add(-journalMargin).Unix()), fmt.Sprintf("--until=@%d", at.Add(journalMargin).Unix()),
		"_PID=1", "MESSAGE_ID="+unitOutOfMemory, "UNIT="+unit)
	cmd.WaitDelay = time.Second
	said, err := cmd.Output()
	if err != nil {
		e.Log.WithError(err).WithField("unit", unit).Debug("the journal does not say why a module was killed")
	}
	return err == nil && len(bytes.TrimSpace(said)) > 0
}
