package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// options is createOptions, decoded: Docker's ContainerCreate body.
type options struct {
	container.Config
	HostConfig       container.HostConfig
	NetworkingConfig network.NetworkingConfig
}

// parseOptions decodes createOptions and refuses what it cannot honour. unknown
// are the paths of fields that Docker's API does not have: they are kept for the
// echo and ignored. Errors are errdefs.InvalidArgument.
func parseOptions(raw json.RawMessage) (o *options, unknown []string, err error) {
	o = new(options)
	if len(bytes.TrimSpace(raw)) == 0 {
		return o, nil, nil
	}
	raw, err = stringsToLists(raw)
	var all any
	if err == nil {
		err = json.Unmarshal(raw, &all)
	}
	if err != nil {
		return nil, nil, decodeError(err)
	}
	// First the names, so that a field that is not supported is said to be that, whatever is in it.
	if err := knownFields().walk("", all, &unknown); err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(raw, o); err != nil {
		return nil, nil, decodeError(err)
	}
	return o, unknown, nil
}

// decodeError names the option whose value has another type than Docker's.
func decodeError(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		path := strings.Split(wrong.Field, ".")
		path = slices.DeleteFunc(path, func(p string) bool { return p == "Config" || p == "Resources" }) // Go's, not Docker's
		return fmt.Errorf("invalid createOptions.%s: a JSON %s is not what it takes: %w", strings.Join(path, "."), wrong.Value, errdefs.ErrInvalidArgument)
	}
	return fmt.Errorf("invalid createOptions: %w: %w", err, errdefs.ErrInvalidArgument)
}

// stringsToLists turns a Cmd or Entrypoint given as a string into a list of one,
// as Docker documents for both.
func stringsToLists(raw json.RawMessage) (json.RawMessage, error) {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(raw, &top); err != nil {
		return nil, err
	}
	changed := false
	for key, value := range top {
		if !strings.EqualFold(key, "Cmd") && !strings.EqualFold(key, "Entrypoint") {
			continue
		}
		if v := bytes.TrimSpace(value); len(v) > 0 && v[0] == '"' {
			top[key] = slices.Concat([]byte("["), v, []byte("]"))
			changed = true
		}
	}
	if !changed {
		return raw, nil
	}
	return json.Marshal(top)
}

// invalid is the error of an option that cannot be what it says.
func invalid(name, format string, args ...any) error {
	return fmt.Errorf("invalid createOptions.%s: %w: %w", name, fmt.Errorf(format, args...), errdefs.ErrInvalidArgument)
}
