// Package check looks for what keeps edged or its modules from working, and says
// how to mend it. It changes nothing on the device. A check is a method of device
// and a line of the table; its id is a promise, since scripts and the documentation
// name it.
package check

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/config"
)

// Status is what a check came to.
type Status string

// The words of Status. What is skipped cannot be judged, because of another fault
// that is reported or because the caller may not look.
const (
	OK      Status = "ok"
	Warning Status = "warning"
	Error   Status = "error"
	Skipped Status = "skipped"
)

// Result is the outcome of one check.
type Result struct {
	// ID is stable over versions.
	ID string `json:"id"`
	// About says what is looked at.
	About  string `json:"about"`
	Status Status `json:"status,omitempty"`
	// Found says what is so. It may hold text that a module or a registry wrote.
	Found string `json:"found,omitempty"`
	// Cure says what to do; only warnings and errors have one.
	Cure string `json:"cure,omitempty"`
}

// Config is what the checks are made with. All fields are required.
type Config struct {
	// Client of the management socket.
	Client *client.Client
	// File is edged's configuration file.
	File string
	// Root is where /proc, /sys, /etc, /boot, /lib, /usr and /var/log are: "/".
	Root string
	// Version of edgectl.
	Version string
	// Now is the time, and Built when edgectl was made; zero when that is not known.
	Now, Built time.Time
	// UID is the caller's: much is for root alone to see.
	UID int
	// Synchronised says whether a time service keeps the kernel's clock right.
	Synchronised func() bool
}

// timeout bounds one check, so that a program that hangs keeps no other from being made.
const timeout = 15 * time.Second

type check struct {
	id, about string
	run       func(*device, context.Context) outcome
}

// table is all checks, in the order in which a person would look.
func table() []check {
	return []check{
		{"config", "the configuration is valid", (*device).configuration},
		{"config-mode", "nobody but root can change the configuration", (*device).configMode},
		{"group", "the group edged exists", (*device).group},
		{"home", "the home folder is root's alone", (*device).home},
		{"units", "systemd starts edged with the device", (*device).units},
		{"socket-management", "the management socket is there for root and the group edged", (*device).managementSocket},
		{"socket-workload", "the workload socket is there for all", (*device).workloadSocket},
		{"edged", "edged answers", (*device).answers},
		{"version", "edged and edgectl are of one version", (*device).version},
		{"peer-proof", "the kernel proves who calls", (*device).peerProof},
		{"containerd", "containerd answers", (*device).containerd},
		{"runc", "runc is installed and works", (*device).runc},
		{"shim", "containerd's shim is installed", (*device).shim},
		{"kernel", "the kernel has what containers need", (*device).kernel},
		{"apparmor", "modules can be confined", (*device).appArmor},
		{"cgroups", "resources of modules can be limited", (*device).cgroups},
		{"cni-plugins", "the plugins of networks are installed", (*device).cniPlugins},
		{"iptables", "the packet filter can be set", (*device).iptables},
		{"ip-forward", "packets of modules are forwarded", (*device).ipForward},
		{"dns", "modules can ask for names", (*device).dns},
		{"clock", "the clock is right", (*device).clock},
		{"disk-home", "edged's disk has space", (*device).diskHome},
		{"disk-containerd", "containerd's disk has space", (*device).diskContainerd},
		{"journal", "the journal keeps edged's log and is bounded", (*device).journal},
		{"log-rotation", "logs of modules fit on the disk", (*device).logRotation},
		{"keystore", "keys are there and nobody else's", (*device).keystore},
		{"ca", "the device CA is valid", (*device).ca},
		{"preload", "the images that came with the packages are there", (*device).preload},
		{"agent", "the module edgeAgent runs", (*device).agent},
		{"deployment", "the last deployment is applied", (*device).deployment},
		{"modules", "no module has failed", (*device).modules},
		{"catalog", "the catalog answers", (*device).catalog},
	}
}

// All lists the checks in their order, with ID and About alone.
func All() []Result {
	var all []Result
	for _, c := range table() {
		all = append(all, Result{ID: c.id, About: c.about})
	}
	return all
}

// IDs are those of all checks, in their order.
func IDs() []string {
	var ids []string
	for _, c := range table() {
		ids = append(ids, c.id)
	}
	return ids
}

// Run makes the checks with these ids, or all without any, in the table's order.
// The error, errdefs.InvalidArgument, names an id that there is not.
func Run(ctx context.Context, cfg Config, ids ...string) ([]Result, error) {
	known := IDs()
	for _, id := range ids {
		if !slices.Contains(known, id) {
			return nil, fmt.Errorf("no check is called %q; there are %s: %w", id, strings.Join(known, ", "), errdefs.ErrInvalidArgument)
		}
	}
	d := newDevice(ctx, cfg)
	results := make([]Result, 0, len(known))
	for _, c := range table() {
		if len(ids) > 0 && !slices.Contains(ids, c.id) {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, timeout)
		o := c.run(d, limited)
		cancel()
		results = append(results, Result{ID: c.id, About: c.about, Status: o.status, Found: o.found, Cure: o.cure})
	}
	return results, nil
}

// outcome is a Result without its name.
type outcome struct {
	status      Status
	found, cure string
}

func fine(format string, args ...any) outcome {
	return outcome{OK, fmt.Sprintf(format, args...), ""}
}

func skip(format string, args ...any) outcome {
	return outcome{Skipped, fmt.Sprintf(format, args...), ""}
}

func warn(cure, format string, args ...any) outcome {
	return outcome{Warning, fmt.Sprintf(format, args...), cure}
}

func bad(cure, format string, args ...any) outcome {
	return outcome{Error, fmt.Sprintf(format, args...), cure}
}

// worst returns the first of the gravest outcomes, with the findings of all that are
// as grave: a person mends them in one go.
func worst(all ...outcome) outcome {
	order := []Status{Error, Warning, Skipped, OK}
	for _, status := range order {
		var found, cures []string
		for _, o := range all {
			if o.status != status {
				continue
			}
			found = append(found, o.found)
			if o.cure != "" && !slices.Contains(cures, o.cure) {
				cures = append(cures, o.cure)
			}
		}
		if found != nil {
			return outcome{status, strings.Join(found, "; "), strings.Join(cures, "; ")}
		}
	}
	return outcome{status: OK}
}

// device is what several checks look at, gathered once.
type device struct {
	Config
	cfg    *config.Config // the defaults where configErr is set
	cfgErr error

	info    *wire.SystemInfo
	list    []wire.Module
	asked   error // why edged gave neither
	askTime time.Duration
}

func newDevice(ctx context.Context, cfg Config) *device {
	d := &device{Config: cfg}
	if d.cfg, d.cfgErr = config.Load(cfg.File); d.cfgErr != nil {
		d.cfg = config.Default()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	begun := time.Now()
	if d.info, d.asked = cfg.Client.SystemInfo(ctx); d.asked == nil {
		d.askTime = time.Since(begun)
		d.list, d.asked = cfg.Client.List(ctx)
	}
	return d
}

// silent is the outcome of what only edged can tell while it does not answer, or not
// to this caller.
func silent() outcome { return skip("edged alone can tell: see the check edged") }
