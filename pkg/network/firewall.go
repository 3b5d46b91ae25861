package network

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/sirupsen/logrus"

	"github.com/edged/edged/pkg/mountns"
)

// filterTimeout bounds one call of iptables, which waits for its lock at most half of it.
const filterTimeout = 10 * time.Second

// firewall keeps the packet filter of the default network as it should be.
type firewall struct {
	mu       sync.Mutex
	families []*family
	// inherited says that an earlier edged wrote rules, of which this one knows nothing yet.
	inherited bool
	// firewallCmd is firewalld's program; mute says that it was said that it fails.
	firewallCmd string
	mute        bool
	log         logrus.FieldLogger
}

type family struct {
	rules
	mounts  *mountns.Namespace
	program string // iptables or ip6tables
	applied string // the text that was last written, without hooks; empty: nobody knows
	found   []string
}

func newFirewall(mounts *mountns.Namespace, bridge string, subnet, subnet6 netip.Prefix, log logrus.FieldLogger) *firewall {
	f := &firewall{firewallCmd: "firewall-cmd", log: log, families: []*family{{rules: rules{bridge: bridge, subnet: subnet}, mounts: mounts, program: "iptables"}}}
	if subnet6.IsValid() {
		f.families = append(f.families, &family{rules: rules{bridge: bridge, subnet: subnet6}, mounts: mounts, program: "ip6tables"})
	}
	return f
}

// apply makes the published ports those wanted. Nothing is run when they are already.
// Errors: errdefs.Unavailable.
func (f *firewall) apply(ctx context.Context, wanted func() []published) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.take(wanted())
	if f.unsure() {
		if _, err := f.trust(ctx); err != nil {
			return err
		}
	}
	for _, fam := range f.families {
		if err := fam.write(ctx, false); err != nil {
			return err
		}
	}
	f.inherited = false
	return nil
}

// take deals the ports out to the families.
func (f *firewall) take(ports []published) {
	for _, fam := range f.families {
		fam.ports = nil
		for _, p := range ports {
			if p.to.Addr().Is6() == fam.v6() {
				fam.ports = append(fam.ports, p)
			}
		}
	}
}

// unsure says that nobody knows whether all is written.
func (f *firewall) unsure() bool {
	return slices.ContainsFunc(f.families, func(fam *family) bool { return fam.applied == "" })
}

// used says that rules were written, and not all of them removed.
func (f *firewall) used() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inherited || slices.ContainsFunc(f.families, func(fam *family) bool { return fam.applied != "" })
}

// check writes the filter again where somebody else has changed it: firewalld and
// others empty the tables when they reload. What could not be written before, which is
// no change of somebody else's, is written too.
func (f *firewall) check(ctx context.Context, wanted func() []published) (mended bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if mended, err = f.trust(ctx); err != nil {
		return false, err
	}
	for _, fam := range f.families {
		if fam.applied == "" {
			f.take(wanted())
			if err := fam.write(ctx, true); err != nil {
				return mended, err
			}
			continue
		}
		now, err := fam.save(ctx)
		if err != nil {
			return mended, err
		}
		whole := fam.missing(now).none()
		if whole && fam.found == nil {
			fam.found = now.lines // how this iptables shows what was written
			continue
		}
		if whole && slices.Equal(now.lines, fam.found) {
			continue
		}
		if err := fam.write(ctx, true); err != nil {
			return mended, err
		}
		mended = true
	}
	return mended, nil
}

// clear removes all of it.
func (f *firewall) clear(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fam := range f.families {
		now, err := fam.save(ctx)
		if err != nil {
			return err
		}
		fam.applied = "" // also when somebody else removed it: the next module needs it whole
		if !now.any {
			continue
		}
		if err := fam.restore(ctx, fam.remove(now)); err != nil {
			return err
		}
	}
	return nil
}

func (fam *family) write(ctx context.Context, always bool) error {
	text := fam.render(lacks{})
	if text == fam.applied && !always {
		return nil
	}
	if fam.applied != "" && !always {
		if fam.restore(ctx, text) == nil {
			fam.applied, fam.found = text, nil
			return nil
		}
		fam.applied = "" // somebody removed what it stands on: look what is there
	}
	now, err := fam.save(ctx)
	if err != nil {
		return err
	}
	fam.applied = ""
	if err := fam.restore(ctx, fam.render(fam.missing(now))); err != nil {
		return err
	}
	fam.applied, fam.found = text, nil
	return nil
}

func (fam *family) save(ctx context.Context) (seen, error) {
	out, err := fam.run(ctx, "-save", nil)
	return fam.read(string(out)), err
}

func (fam *family) restore(ctx context.Context, text string) error {
	_, err := fam.run(ctx, "-restore", []byte(text), "--noflush", "--wait", "5")
	return err
}

func (fam *family) run(ctx context.Context, what string, stdin []byte, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, filterTimeout)
	defer cancel()
	path, err := findProgram(fam.program + what)
	if err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	out, err := run(ctx, fam.mounts, path, args, os.Environ(), stdin, &stderr)
	if err != nil {
		return nil, fmt.Errorf("cannot use the packet filter: %s: %w: %s: %w", filepath.Base(path), err, strings.TrimSpace(stderr.String()), errdefs.ErrUnavailable)
	}
	return out, nil
}

// findProgram looks in PATH and where administration's programs are, which is not in
// everybody's PATH.
func findProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("cannot find %s, which networks of modules need: install iptables: %w", name, errdefs.ErrUnavailable)
}
