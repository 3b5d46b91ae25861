package mgmt

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
)

// joinOptions puts together createOptions that deployment manifests cut into
// createOptions, createOptions01, createOptions02 and so on, because the twin that
// carries them bounds the length of one string. parts are the further pieces by
// number, as text. Errors are errdefs.InvalidArgument.
func joinOptions(first json.RawMessage, parts map[int]json.RawMessage) (json.RawMessage, error) {
	if len(parts) == 0 {
		return first, nil
	}
	var whole strings.Builder
	for n := range len(parts) + 1 {
		name, piece := fmt.Sprintf("createOptions%02d", n), parts[n]
		if n == 0 {
			name, piece = "createOptions", first
		}
		if piece == nil {
			return nil, fmt.Errorf("settings.%s is missing, and settings.createOptions%02d continues it: %w", name, slices.Max(slices.Collect(maps.Keys(parts))), errdefs.ErrInvalidArgument)
		}
		var text string
		if err := json.Unmarshal(piece, &text); err != nil || piece[0] != '"' {
			return nil, fmt.Errorf("settings.%s is a piece of createOptions, so it is a string: %w", name, errdefs.ErrInvalidArgument)
		}
		whole.WriteString(text)
	}
	return json.Marshal(whole.String())
}
