package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/go-units"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/deployment"
	"github.com/edged/edged/pkg/lazyregexp"
	"github.com/edged/edged/pkg/module"
)

// startup is how long after its start edged may be without an agent: archives are
// imported first.
const startup = time.Minute

func (d *device) agent(ctx context.Context) outcome {
	if d.asked != nil {
		return silent()
	}
	for i := range d.list {
		if m := &d.list[i]; m.Name == module.AgentName {
			return judgeAgent(m)
		}
	}
	if since, ok := d.starting(ctx); ok {
		return warn(again, "there is no module %s yet: edged was started %s ago, and makes it when its images are here", module.AgentName, since)
	}
	return bad("edged's log says why: journalctl -u edged; see [agent] image, and the check preload", "there is no module %s: nothing on this device can be changed", module.AgentName)
}

const again = "wait a moment and look again"

// starting says how long ago edged was started, if that was just now.
func (d *device) starting(ctx context.Context) (since time.Duration, ok bool) {
	used, err := d.Client.Resources(ctx)
	if err != nil {
		return 0, false
	}
	since = time.Duration(used.ProcessUptime) * time.Second //nolint:gosec // seconds of uptime
	return since, since < startup
}

func judgeAgent(m *wire.Module) outcome {
	status := m.Status.RuntimeStatus
	if status.Status != "running" {
		return bad("see what it wrote: edgectl logs --tail 50 edgeAgent; start it: edgectl start edgeAgent; bring the packaged one back: edgectl recover",
			"%s is %s: %s", m.Name, status.Status, status.Description)
	}
	return fine("%s runs %s", m.Name, m.Config.Settings.Image)
}

func (d *device) modules(context.Context) outcome {
	if d.asked != nil {
		return silent()
	}
	var failed []string
	for _, m := range d.list {
		s := m.Status.RuntimeStatus
		sick := s.Status == "running" && strings.Contains(s.Description, "unhealthy")
		broken := s.Status == "failed" && !strings.HasPrefix(s.Description, module.StoppedByRequest) // whatever its code then was
		if m.Name != module.AgentName && (broken || s.Status == "dead" || sick) {
			failed = append(failed, m.Name+" ("+s.Description+")")
		}
	}
	if failed != nil {
		return warn("see what they wrote: edgectl logs --tail 50 NAME", "%s", strings.Join(failed, ", "))
	}
	return fine("%d modules, none has failed", len(d.list))
}

// deployment asks what the agent says, which is a module's word.
func (d *device) deployment(ctx context.Context) outcome {
	if d.asked != nil {
		return silent()
	}
	const rewrite = "see what it writes: edgectl logs --tail 50 edgeAgent; the packaged agent writes its status anew when it starts: edgectl restart edgeAgent"
	have, err := d.Client.Deployment(ctx)
	switch {
	case errdefs.IsPermissionDenied(err):
		return skip("deployments are for root and members of the group edged to see")
	case err != nil:
		return skip("edged cannot tell: %v", err)
	case have.Problem != "":
		return warn(rewrite, "what the agent says cannot be read: %s", strings.ReplaceAll(have.Problem, "\n", "; "))
	case have.Status == nil && have.Revision == "":
		return fine("nothing was deployed yet: edgectl apply -f FILE does it")
	case have.Status == nil, have.Revision != "" && have.Status.Revision != have.Revision:
		return warn("see the check agent, and wait a moment: it is seen within half a minute", "revision %s is to be applied, and the agent has not taken it up", short(have.Revision))
	}
	revision, s := short(have.Status.Revision), have.Status
	switch s.Phase {
	case deployment.Applied:
		return fine("revision %s is applied", revision)
	case deployment.Invalid:
		return bad("correct it and apply it again: edgectl apply -f FILE; the deployment before it goes on", "revision %s is invalid: %s", revision, s.Error)
	case deployment.Failed, deployment.RolledBack:
		return bad("correct what it says and apply again: edgectl apply -f FILE; edgectl deployment history shows earlier ones", "revision %s was not applied: %s", revision, s.Error)
	}
	const cure = "wait, and look again; edgectl logs --tail 50 edgeAgent shows what it waits for"
	if s.Error != "" {
		return warn(cure, "revision %s is %s: %s", revision, s.Phase, s.Error)
	}
	return warn(cure, "revision %s is %s", revision, s.Phase)
}

func short(revision string) string { return revision[:min(len(revision), 12)] }

// archive is what edged takes for an image archive.
var archive = lazyregexp.New(`\.(tar|tar\.gz|tgz|tar\.zst)$`)

// preload compares what edged is to import with what came of it.
func (d *device) preload(ctx context.Context) outcome {
	archives, unreadable := 0, []string{}
	for _, dir := range d.cfg.PreloadFolders() {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrPermission) {
			continue
		}
		for _, e := range entries {
			if !archive().MatchString(e.Name()) {
				continue
			}
			archives++
			if st, err := os.Stat(filepath.Join(dir, e.Name())); err != nil || st.Size() == 0 {
				unreadable = append(unreadable, filepath.Join(dir, e.Name()))
			}
		}
	}
	if len(unreadable) > 0 {
		return bad("install the package that brought them again, or remove them", "these archives are empty or cannot be read: %s", strings.Join(unreadable, ", "))
	}
	if d.asked != nil {
		return silent()
	}
	images, err := d.Client.Images(ctx)
	if err != nil {
		return skip("edged cannot list the images: %v", err)
	}
	want := d.cfg.AgentImage(d.info.Version)
	for _, i := range images {
		if i.Name == want {
			return fine("%d archives; the agent's image %s is here", archives, want)
		}
	}
	if d.cfg.Agent.ImagePullPolicy != "never" {
		return skip("the agent's image %s is not here, and is asked of its registry", want)
	}
	if since, ok := d.starting(ctx); ok {
		return warn(again, "the agent's image %s is not here yet: edged was started %s ago, and imports archives first", want, since)
	}
	return bad("install the package of edged again, which brings it, and restart edged; or name another in [agent] image", "the agent's image %s is not here", want)
}

// What edged keeps of a module's log when its options say nothing.
const defaultLogSize, defaultLogFiles = 10_000_000, 3

// logRotation adds up what logs may grow to. Each module's are bounded; their sum
// may still be more than the disk has.
func (d *device) logRotation(context.Context) outcome {
	if d.asked != nil {
		return silent()
	}
	var total, most uint64
	var largest string
	for _, m := range d.list {
		n := maxLog(m.Config.Settings.CreateOptions)
		if total += n; n > most {
			most, largest = n, m.Name
		}
	}
	var s unix.Statfs_t
	if err := unix.Statfs(d.cfg.Home, &s); err != nil {
		return skip("cannot look at %s: %v", d.cfg.Home, err)
	}
	room := s.Blocks * uint64(s.Bsize) //nolint:gosec,unconvert // positive; 32 bits wide on arm
	text := fmt.Sprintf("logs of %d modules take at most %s of the %s of the disk of %s", len(d.list), units.BytesSize(float64(total)), units.BytesSize(float64(room)), d.cfg.Home)
	if total > room/4 {
		return warn("set smaller max-size and max-file in HostConfig.LogConfig.Config of modules, "+largest+" first", "%s", text)
	}
	return fine("%s", text)
}

func maxLog(createOptions json.RawMessage) uint64 {
	var o struct {
		HostConfig struct {
			LogConfig struct{ Config map[string]string }
		}
	}
	if json.Unmarshal(createOptions, &o) != nil {
		o.HostConfig.LogConfig.Config = nil
	}
	size, files := int64(defaultLogSize), defaultLogFiles
	set := o.HostConfig.LogConfig.Config
	if v, err := units.FromHumanSize(set["max-size"]); err == nil && v > 0 {
		size = v
	}
	if v, err := strconv.Atoi(set["max-file"]); err == nil && v > 0 {
		files = v
	}
	return uint64(size) * uint64(files)
}
