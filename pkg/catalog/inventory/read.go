package inventory

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/catalog"
)

// nobody is the user of the process, by number: no device gives it anything.
const nobody = 65534

const (
	readTimeout = 2 * time.Minute
	// maxPackages of one image, and maxPart characters of each part of one: as the catalog has it.
	maxPackages = 20_000
	maxPart     = 200
	maxOutput   = 16 << 10 // of a line
)

// Read lists the packages that are installed in a root file system, which is mounted
// where nobody changes it; none when there is no database that it knows. What cannot be
// meant is left out. Errors: errdefs.InvalidArgument for databases that are not what they
// should be, or too large; others are the device's own.
func Read(ctx context.Context, root string) ([]catalog.RPM, error) {
	databases, err := open(root)
	if err != nil || len(databases) == 0 {
		return nil, err
	}
	defer closeAll(databases)
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	kinds := make([]kind, len(databases))
	files := make([]*os.File, len(databases))
	for i, d := range databases {
		kinds[i], files[i] = d.kind, d.file
	}
	in, err := json.Marshal(kinds)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", Argument)
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.Stdin, cmd.ExtraFiles = bytes.NewReader(in), files
	var said bytes.Buffer
	cmd.Stderr = &limited{w: &said, left: 4 << 10}
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: nobody, Gid: nobody, Groups: []uint32{}},
		Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL, Setsid: true,
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot read the image's packages: %w", err)
	}
	// The death of its parent, which ends the process, is that of the thread that started it:
	// this one is not for others, who may have it end.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the reader of packages: %w", err)
	}
	packages, readErr := collect(out)
	if readErr != nil {
		cancel() // it may still be printing
	}
	waitErr := cmd.Wait()
	switch {
	case readErr != nil:
		return nil, readErr
	case context.Cause(ctx) != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, context.Cause(ctx)
	case waitErr != nil:
		return nil, fmt.Errorf("the reader of the image's packages ended early, %w: %s: %w", waitErr, firstLine(said.String()), errdefs.ErrInvalidArgument)
	}
	return packages, nil
}

// collect reads what the process prints, which is what a stranger made it print.
func collect(r io.Reader) ([]catalog.RPM, error) {
	var all []catalog.RPM
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, maxOutput)
	for scanner.Scan() {
		var e entry
		if err := json.Unmarshal(scanner.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("the reader of the image's packages said what it should not: %w", errdefs.ErrInvalidArgument)
		}
		if e.Error != "" {
			return nil, fmt.Errorf("%s: %w", printable(e.Error), errdefs.ErrInvalidArgument)
		}
		if !meant(&e.RPM) {
			continue
		}
		if len(all) == maxPackages {
			return nil, fmt.Errorf("the image has more than %d packages: %w", maxPackages, errdefs.ErrInvalidArgument)
		}
		e.Filename = e.DefaultFilename()
		all = append(all, e.RPM)
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("cannot read the image's packages: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	slices.SortFunc(all, func(a, b catalog.RPM) int { return a.Compare(b.NEVRA) })
	return slices.CompactFunc(all, func(a, b catalog.RPM) bool { return a.NEVRA == b.NEVRA }), nil
}

// meant says whether a package can be one: its parts are words, and none is missing.
func meant(p *catalog.RPM) bool {
	for _, part := range []string{p.Name, p.Version, p.Release, p.Arch, p.SRPMName, p.SRPMNEVRA} {
		if part == "" || !word(part) {
			return false
		}
	}
	if !word(p.CommitHash) {
		p.CommitHash = ""
	}
	p.CommitBranch = ""
	return p.Epoch >= 0 && p.Epoch <= 1<<31-1 && p.Arch != "src"
}

func word(s string) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxPart && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '/' })
}

func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return s[:min(len(s), 256)]
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return printable(line)
}

// limited keeps the beginning of what is written to it.
type limited struct {
	w    *bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	some := p[:min(len(p), l.left)]
	l.left -= len(some)
	l.w.Write(some)
	return len(p), nil
}
