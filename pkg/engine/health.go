package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"

	"github.com/edged/edged/pkg/module"
)

// annotationHealth holds, in a container's spec, how its health is checked: what
// createOptions and the image came to when it was made.
const annotationHealth = "io.edged.health"

// Docker's defaults, and the least it takes for a duration that is given.
const (
	healthInterval      = 30 * time.Second
	healthTimeout       = 30 * time.Second
	healthStartInterval = 5 * time.Second
	healthRetries       = 3
	healthLeast         = time.Millisecond
	// healthImageLeast is for an image's own intervals: each check starts a process, and the
	// image's author does not pay for it.
	healthImageLeast = time.Second
)

// checkHealth refuses a Healthcheck that Docker would refuse, and one whose Test it
// would ignore.
func checkHealth(o *options) error {
	if o.Healthcheck == nil {
		return nil
	}
	if err := validHealth(o.Healthcheck); err != nil {
		return fmt.Errorf("invalid %w: %w", err, errdefs.ErrInvalidArgument)
	}
	return nil
}

func validHealth(h *container.HealthConfig) error {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"Interval", h.Interval}, {"Timeout", h.Timeout}, {"StartPeriod", h.StartPeriod}, {"StartInterval", h.StartInterval}} {
		if d.value != 0 && d.value < healthLeast {
			return fmt.Errorf("createOptions.Healthcheck.%s %d: it is nanoseconds, 1000000 (1ms) or more, or 0 for the image's", d.name, d.value)
		}
	}
	if h.Retries < 0 {
		return fmt.Errorf("createOptions.Healthcheck.Retries %d: it cannot be negative", h.Retries)
	}
	if len(h.Test) == 0 {
		return nil
	}
	switch form := h.Test[0]; {
	case form == "NONE" && len(h.Test) == 1:
	case (form == "CMD" || form == "CMD-SHELL") && len(h.Test) > 1:
	default:
		return fmt.Errorf(`createOptions.Healthcheck.Test %q: it is ["NONE"], ["CMD", argument...] or ["CMD-SHELL", command]`, h.Test)
	}
	return nil
}

// healthCheck joins what createOptions and the image say, as Docker does: each field
// that is not given is the image's. nil is no check.
func healthCheck(o *options, image *unpacked) *module.HealthCheck {
	var own, declared container.HealthConfig
	if o.Healthcheck != nil {
		own = *o.Healthcheck
	}
	if image.health != nil && validHealth(image.health) == nil {
		declared = *image.health
		for _, interval := range []*time.Duration{&declared.Interval, &declared.StartInterval} {
			if *interval != 0 {
				*interval = max(*interval, healthImageLeast)
			}
		}
	}
	test := own.Test
	if len(test) == 0 {
		test = declared.Test
	}
	if len(test) < 2 {
		return nil // NONE, or nothing
	}
	args := test[1:]
	if test[0] == "CMD-SHELL" {
		shell := []string{"/bin/sh", "-c"}
		if len(image.shell) > 0 {
			shell = image.shell
		}
		if len(o.Shell) > 0 {
			shell = o.Shell
		}
		args = append(append([]string{}, shell...), args...)
	}
	return &module.HealthCheck{
		Args:          args,
		Interval:      firstSet(own.Interval, declared.Interval, healthInterval),
		Timeout:       firstSet(own.Timeout, declared.Timeout, healthTimeout),
		StartPeriod:   firstSet(own.StartPeriod, declared.StartPeriod, 0),
		StartInterval: firstSet(own.StartInterval, declared.StartInterval, healthStartInterval),
		Retries:       firstSet(own.Retries, declared.Retries, healthRetries),
	}
}

func firstSet[T comparable](values ...T) T {
	var none T
	for _, v := range values {
		if v != none {
			return v
		}
	}
	return none
}

// healthAnnotation is what Health reads again; nil without a check.
func healthAnnotation(o *options, image *unpacked) (map[string]string, error) {
	check := healthCheck(o, image)
	if check == nil {
		return nil, nil
	}
	b, err := json.Marshal(check)
	return map[string]string{annotationHealth: string(b)}, err
}

// Health returns how a container's health is checked, nil when it is not. It is known
// without asking from a start on.
func (e *Engine) Health(ctx context.Context, id string) (*module.HealthCheck, error) {
	if check, ok := e.health.Load(id); ok {
		return check.(*module.HealthCheck), nil
	}
	ctx, done := e.call(ctx)
	defer done()
	record, err := e.client.ContainerService().Get(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("cannot read health check of container %s: %w", id, classify(err))
	}
	var spec struct {
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(record.Spec.GetValue(), &spec); err != nil {
		return nil, fmt.Errorf("cannot read spec of container %s: %w", id, err)
	}
	return e.keepHealth(id, spec.Annotations)
}

func (e *Engine) keepHealth(id string, annotations map[string]string) (*module.HealthCheck, error) {
	var check *module.HealthCheck
	if text := annotations[annotationHealth]; text != "" {
		if err := json.Unmarshal([]byte(text), &check); err != nil {
			return nil, fmt.Errorf("cannot read health check of container %s: %w", id, err)
		}
	}
	e.health.Store(id, check)
	return check, nil
}
