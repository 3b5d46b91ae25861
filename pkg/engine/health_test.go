package engine

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/module"
)

func TestHealthChecksAreJoinedAsDockerDoes(t *testing.T) {
	image := &unpacked{health: &container.HealthConfig{Test: []string{"CMD-SHELL", "curl -f http://localhost"}, Interval: 5 * time.Second, Retries: 7, StartPeriod: time.Minute}}
	plain := &module.HealthCheck{Interval: 30 * time.Second, Timeout: 30 * time.Second, StartInterval: 5 * time.Second, Retries: 3}
	with := func(base *module.HealthCheck, edit func(*module.HealthCheck)) *module.HealthCheck {
		c := *base
		edit(&c)
		return &c
	}
	declared := with(plain, func(c *module.HealthCheck) {
		c.Args, c.Interval, c.Retries, c.StartPeriod = []string{"/bin/sh", "-c", "curl -f http://localhost"}, 5*time.Second, 7, time.Minute
	})
	for name, tc := range map[string]struct {
		options string
		image   *unpacked
		want    *module.HealthCheck
	}{
		"nothing":           {`{}`, &unpacked{}, nil},
		"only times":        {`{"Healthcheck":{"Interval":1000000}}`, &unpacked{}, nil},
		"none":              {`{"Healthcheck":{"Test":["NONE"]}}`, image, nil},
		"the image's":       {`{}`, image, declared},
		"empty":             {`{"Healthcheck":{}}`, image, declared},
		"null":              {`{"Healthcheck":null}`, image, declared},
		"CMD":               {`{"Healthcheck":{"Test":["CMD","/bin/x","a b"]}}`, &unpacked{}, with(plain, func(c *module.HealthCheck) { c.Args = []string{"/bin/x", "a b"} })},
		"CMD-SHELL":         {`{"Healthcheck":{"Test":["CMD-SHELL","a || b"]}}`, &unpacked{}, with(plain, func(c *module.HealthCheck) { c.Args = []string{"/bin/sh", "-c", "a || b"} })},
		"the image's shell": {`{"Healthcheck":{"Test":["CMD-SHELL","a"]}}`, &unpacked{shell: []string{"/bin/ash", "-ec"}}, with(plain, func(c *module.HealthCheck) { c.Args = []string{"/bin/ash", "-ec", "a"} })},
		"one's own shell":   {`{"Shell":["/x"],"Healthcheck":{"Test":["CMD-SHELL","a"]}}`, &unpacked{shell: []string{"/bin/ash"}}, with(plain, func(c *module.HealthCheck) { c.Args = []string{"/x", "a"} })},
		"one's own times": {`{"Healthcheck":{"Timeout":2000000000,"StartInterval":1000000,"Retries":1}}`, image, with(declared, func(c *module.HealthCheck) {
			c.Timeout, c.StartInterval, c.Retries = 2*time.Second, time.Millisecond, 1
		})},
		"what the image has and nobody knows": {`{}`, &unpacked{health: &container.HealthConfig{Test: []string{"EXEC", "x"}}}, nil},
	} {
		o, _, err := parseOptions(json.RawMessage(tc.options))
		require.NoError(t, err, name)
		require.NoError(t, checkHealth(o), name)
		require.Equal(t, tc.want, healthCheck(o, tc.image), name)
		annotation, err := healthAnnotation(o, tc.image)
		require.NoError(t, err)
		e := &Engine{}
		got, err := e.keepHealth("id", annotation)
		require.NoError(t, err, name)
		require.Equal(t, tc.want, got, "%s: it is read as it was written", name)
	}
}

func TestHealthChecksThatCannotBeAreRefusedByName(t *testing.T) {
	for field, want := range map[string]string{
		`"Test":["CMD"]`:       "createOptions.Healthcheck.Test",
		`"Test":["CMD-SHELL"]`: "createOptions.Healthcheck.Test",
		`"Test":["curl"]`:      "createOptions.Healthcheck.Test",
		`"Test":["NONE","x"]`:  "createOptions.Healthcheck.Test",
		`"Test":["cmd","x"]`:   "createOptions.Healthcheck.Test",
		`"Interval":999999`:    "createOptions.Healthcheck.Interval 999999",
		`"Interval":-1`:        "createOptions.Healthcheck.Interval",
		`"Timeout":1`:          "createOptions.Healthcheck.Timeout",
		`"StartPeriod":1`:      "createOptions.Healthcheck.StartPeriod",
		`"StartInterval":1`:    "createOptions.Healthcheck.StartInterval",
		`"Retries":-1`:         "createOptions.Healthcheck.Retries -1",
		`"Test":"curl"`:        "createOptions",
		`"Interval":"30s"`:     "createOptions",
	} {
		_, err := checkOptions(t, `{"Healthcheck":{`+field+`}}`)
		require.True(t, errdefs.IsInvalidArgument(err), "%s: %v", field, err)
		require.ErrorContains(t, err, want, field)
	}
}
