package engine

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/go-units"
	"github.com/moby/sys/signal"

	"github.com/edged/edged/pkg/module"
)

// Docker's defaults for what the supervisor acts on; log sizes are edged's, since
// an unbounded log fills a device.
const (
	defaultStopTimeout = 10 * time.Second
	defaultLogMaxSize  = 10_000_000
	defaultLogMaxFiles = 3
)

// Check refuses what the spec alone shows to be impossible and reads the part of
// createOptions that the supervisor acts on. Errors are errdefs.InvalidArgument.
func (e *Engine) Check(spec *module.Spec) (module.Lifecycle, error) {
	life := module.Lifecycle{StopTimeout: defaultStopTimeout, LogMaxSize: defaultLogMaxSize, LogMaxFiles: defaultLogMaxFiles}
	if _, err := parseReference(spec.Image); err != nil {
		return life, err
	}
	o, unknown, err := parseOptions(spec.CreateOptions)
	if err != nil {
		return life, err
	}
	if len(unknown) > 0 {
		const most = 20 // of what may be a megabyte of them
		text := strings.Join(unknown[:min(len(unknown), most)], ", ")
		if more := len(unknown) - most; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		e.Log.WithField("module", spec.Name).Warnf("createOptions that Docker does not know are ignored: %s", text)
	}
	// First what the options alone say: a mount source that is away while edged starts
	// must not take a module's restart policy with it.
	if err := readLifecycle(o, &life); err != nil {
		return life, err
	}
	for _, check := range e.checks(spec) {
		if err := check(o); err != nil {
			return life, err
		}
	}
	if _, err := e.networkPlan(spec, o, nil); err != nil {
		return life, err
	}
	_, err = e.mounts(spec, o, "", nil)
	return life, err
}

// checks are those of one part of the options each.
func (e *Engine) checks(spec *module.Spec) []func(*options) error {
	return []func(*options) error{
		checkNames, checkSignal, checkTerminal, checkGroups, checkUmask, checkCaps, checkAnnotations, checkRuntime, checkShm,
		e.checkResources, e.checkSecurity, e.checkInit, e.checkDevices, e.checkDeviceRequests, e.checkCgroupParent,
		checkVolumes, checkHealth,
		func(o *options) error { return checkNamespaces(spec, o) },
	}
}

func readLifecycle(o *options, life *module.Lifecycle) (err error) {
	if o.StopTimeout != nil {
		// Docker: a negative value waits for ever, which no operation here does.
		life.StopTimeout = maxStopTimeout
		if seconds := *o.StopTimeout; seconds >= 0 && seconds < int(maxStopTimeout/time.Second) {
			life.StopTimeout = time.Duration(seconds) * time.Second
		}
	}
	if life.Restart, err = restartPolicy(o); err != nil {
		return err
	}
	life.LogMaxSize, life.LogMaxFiles, err = logSizes(o)
	return err
}

// checkCgroupParent keeps modules out of each other's control groups and out of
// edged's own: a group below a module's would be taken for that module.
func (e *Engine) checkCgroupParent(o *options) error {
	parent := o.HostConfig.CgroupParent
	if parent == "" {
		return nil
	}
	clean := path.Clean("/" + parent)
	bad := strings.ContainsAny(parent, ":\x00\n") || clean == "/" || within(clean, "/"+e.Namespace)
	for part := range strings.SplitSeq(clean, "/") {
		bad = bad || strings.HasPrefix(part, "edged-") || part == "edged.service" || module.IsContainerID(part)
	}
	if bad {
		return fmt.Errorf("createOptions.HostConfig.CgroupParent %q is in or under a module's control group or edged's own, or is no path: %w", parent, errdefs.ErrInvalidArgument)
	}
	// runc would say so too, but only when the module starts.
	if e.SystemdCgroup && (strings.Contains(parent, "/") || !strings.HasSuffix(parent, ".slice")) {
		return fmt.Errorf("createOptions.HostConfig.CgroupParent %q is not the name of a slice, such as \"modules.slice\": systemd makes the control groups of this device: %w", parent, errdefs.ErrInvalidArgument)
	}
	return nil
}

// maxStopTimeout keeps a stop within the supervisor's deadline of one operation.
const maxStopTimeout = 4 * time.Minute

func restartPolicy(o *options) (module.RestartPolicy, error) {
	p := o.HostConfig.RestartPolicy
	name := string(p.Name)
	switch name {
	case "", "no":
		name = "no"
	case "always", "unless-stopped", "on-unhealthy", "on-failure":
	default:
		return module.RestartPolicy{}, fmt.Errorf("invalid createOptions.HostConfig.RestartPolicy.Name %q: %w", name, errdefs.ErrInvalidArgument)
	}
	if p.MaximumRetryCount < 0 || p.MaximumRetryCount > 0 && name != "on-failure" {
		return module.RestartPolicy{}, fmt.Errorf("invalid createOptions.HostConfig.RestartPolicy.MaximumRetryCount %d: it goes with on-failure: %w", p.MaximumRetryCount, errdefs.ErrInvalidArgument)
	}
	return module.RestartPolicy{Name: name, MaxRetries: p.MaximumRetryCount}, nil
}

// logSizes reads max-size and max-file of Docker's json-file driver; the other
// drivers send logs elsewhere, which edged does not.
func logSizes(o *options) (int64, int, error) {
	size, files := int64(defaultLogMaxSize), defaultLogMaxFiles
	switch t := o.HostConfig.LogConfig.Type; t {
	case "", "json-file", "local":
	default:
		return 0, 0, fmt.Errorf("createOptions.HostConfig.LogConfig.Type %q is not supported: edged keeps logs itself, use \"json-file\" or leave it out: %w", t, errdefs.ErrInvalidArgument)
	}
	for key, value := range o.HostConfig.LogConfig.Config {
		var err error
		switch key {
		case "max-size":
			size, err = units.FromHumanSize(value)
			if err == nil && size < 1 {
				err = fmt.Errorf("it must be positive")
			}
		case "max-file":
			files, err = strconv.Atoi(value)
			if err == nil && (files < 1 || files > 1000) {
				err = fmt.Errorf("it must be 1 to 1000")
			}
		case "compress", "mode", "max-buffer-size", "labels", "labels-regex", "env", "env-regex", "tag":
			// They change how a Docker log looks on its own disk, not what is in it.
		default:
			err = fmt.Errorf("unknown option")
		}
		if err != nil {
			return 0, 0, fmt.Errorf("invalid createOptions.HostConfig.LogConfig.Config[%q] %q: %w: %w", key, value, err, errdefs.ErrInvalidArgument)
		}
	}
	return size, files, nil
}

func checkSignal(o *options) error {
	if o.StopSignal == "" {
		return nil
	}
	if _, err := signal.ParseSignal(o.StopSignal); err != nil {
		return fmt.Errorf("invalid createOptions.StopSignal %q: %w", o.StopSignal, errdefs.ErrInvalidArgument)
	}
	return nil
}

// checkTerminal refuses an input that would end at once where the module waits for one.
func checkTerminal(o *options) error {
	if o.OpenStdin && !o.Tty {
		return invalid("OpenStdin", "without Tty a module's input is empty, since nobody attaches to it; set Tty for one that stays open")
	}
	const most = 65535 // struct winsize, ioctl_tty(2)
	if size := o.HostConfig.ConsoleSize; size[0] > most || size[1] > most {
		return invalid("HostConfig.ConsoleSize", "%v: a terminal has %d lines and columns at most", size, most)
	}
	return nil
}

// checkAnnotations keeps callers from those that steer containerd's shim and edged itself.
func checkAnnotations(o *options) error {
	for key := range o.HostConfig.Annotations {
		if key == "" {
			return invalid("HostConfig.Annotations", "a key is empty")
		}
		for _, prefix := range []string{"io.containerd.", "io.edged."} {
			if strings.HasPrefix(key, prefix) {
				return invalid("HostConfig.Annotations", "%q: keys that begin with %s are not for modules", key, prefix)
			}
		}
	}
	return nil
}

func checkRuntime(o *options) error {
	switch o.HostConfig.Runtime {
	case "", "runc", runtimeName:
	default:
		return invalid("HostConfig.Runtime", "%q is not supported: edged runs every module with runc", o.HostConfig.Runtime)
	}
	switch strings.ToLower(string(o.HostConfig.Isolation)) {
	case "", "default":
		return nil
	}
	return invalid("HostConfig.Isolation", "%q is for Windows", o.HostConfig.Isolation)
}
