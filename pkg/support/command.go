package support

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"time"
)

// maxOutput bounds what a command may write.
const maxOutput = 64 << 20

// Command is one of the host's own programs, for what only it knows.
type Command struct {
	// File is the archive's file for the output.
	File string
	Args []string
	// Times appends --since and --until in journalctl's form.
	Times bool
}

// Journal shows what units wrote.
func Journal(file string, units ...string) Command {
	var matches []string
	for _, unit := range units {
		matches = append(matches, "--unit="+unit)
	}
	return journal(file, matches...)
}

// Kernel shows what the kernel wrote since it was started, as the journal has it: its own
// buffer is not for a confined process to read.
func Kernel(file string) Command { return journal(file, "--dmesg") }

// journal says "-- No entries --" where there are none, so that nobody has to guess.
func journal(file string, matches ...string) Command {
	args := append([]string{"journalctl", "--no-pager", "--output=short-iso-precise"}, matches...)
	return Command{File: file, Args: args, Times: true}
}

func (c Command) run(ctx context.Context, w io.Writer, opt Options) error {
	args := c.Args[1:]
	if c.Times {
		for name, at := range map[string]time.Time{"--since": opt.Since, "--until": opt.Until} {
			if !at.IsZero() {
				args = append(args[:len(args):len(args)], name+"=@"+strconv.FormatInt(at.Unix(), 10))
			}
		}
	}
	cmd := exec.CommandContext(ctx, c.Args[0], args...) // #nosec G204 -- edged's own list of commands
	out := &bounded{w: w, left: maxOutput}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil && !errors.Is(err, errFull) {
		return fmt.Errorf("cannot run %s: %w", c.Args[0], err)
	}
	return nil
}

var errFull = errors.New("the output is longer than what is kept of it")

// bounded takes so many bytes and no more.
type bounded struct {
	w    io.Writer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(p) > b.left {
		n, err := b.w.Write(p[:b.left])
		b.left = 0
		return n, errors.Join(err, errFull)
	}
	b.left -= len(p)
	return b.w.Write(p)
}
