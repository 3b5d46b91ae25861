package module

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
)

// PullPolicy says when a module's image is asked for at its registry.
type PullPolicy string

// The two policies of the management API. Callers write them in any case.
const (
	PullOnCreate PullPolicy = "on-create"
	PullNever    PullPolicy = "never"
)

// ParsePullPolicy reads a policy in any case; empty is PullOnCreate. The error
// is errdefs.InvalidArgument.
func ParsePullPolicy(s string) (PullPolicy, error) {
	switch p := PullPolicy(strings.ToLower(s)); p {
	case "":
		return PullOnCreate, nil
	case PullOnCreate, PullNever:
		return p, nil
	}
	return "", fmt.Errorf("invalid imagePullPolicy %q: it is \"on-create\" or \"never\": %w", s, errdefs.ErrInvalidArgument)
}

// EnvVar is one environment variable of a module.
type EnvVar struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Auth is what a registry asks for. It is a secret: it is kept sealed and apart
// from the Spec, and nothing prints it.
type Auth struct {
	Username      string `json:"username,omitempty"`
	Password      string `json:"password,omitempty"`
	Email         string `json:"email,omitempty"`
	ServerAddress string `json:"serveraddress,omitempty"`
}

// String hides the password from every %v.
func (a *Auth) String() string {
	if a == nil {
		return "none"
	}
	return a.Username + ":*****@" + a.ServerAddress
}

// GoString hides the password from %#v.
func (a *Auth) GoString() string { return a.String() }

// Spec is a caller's wish for one module, checked and in canonical form.
type Spec struct {
	// Name is canonical (see CanonicalName).
	Name string `json:"name"`
	// Type is "docker" or "containerd", which mean the same; it is kept for the echo.
	Type string `json:"type"`
	// Image is the reference as the caller gave it.
	Image string `json:"image"`
	// ImageHash is what the caller said of the image; edged only echoes it.
	ImageHash string `json:"imageHash,omitempty"`
	// CreateOptions is Docker's ContainerCreate body, always a JSON object.
	CreateOptions json.RawMessage `json:"createOptions"`
	// Management asks for the management socket inside the module.
	Management bool `json:"management,omitempty"`
	// Secrets are in the order of their names.
	Secrets []Secret `json:"secrets,omitempty"`
	// Env overrides createOptions.Env by key, in the caller's order.
	Env []EnvVar `json:"env,omitempty"`
	// PullPolicy is not part of what runs, so it is not in the digest.
	PullPolicy PullPolicy `json:"imagePullPolicy"`
	// Auth is kept sealed beside the spec, never inside its JSON.
	Auth *Auth `json:"-"`
}

// Validate completes defaults and checks what the spec alone shows. It does not
// look into CreateOptions, which the engine understands. Errors are
// errdefs.InvalidArgument.
func (s *Spec) Validate() error {
	name, err := CanonicalName(s.Name)
	if err != nil {
		return err
	}
	s.Name = name
	if s.Type != "docker" && s.Type != "containerd" {
		return fmt.Errorf("invalid module type %q: it is \"docker\" or \"containerd\": %w", s.Type, errdefs.ErrInvalidArgument)
	}
	if strings.TrimSpace(s.Image) == "" {
		return fmt.Errorf("settings.image is empty: %w", errdefs.ErrInvalidArgument)
	}
	if len(s.CreateOptions) == 0 {
		s.CreateOptions = json.RawMessage("{}")
	}
	seen := make(map[string]bool, len(s.Env))
	for _, e := range s.Env {
		switch {
		case e.Key == "", strings.ContainsAny(e.Key, "=\x00"), strings.Contains(e.Value, "\x00"):
			return fmt.Errorf("invalid env var key %q: %w", e.Key, errdefs.ErrInvalidArgument)
		case seen[e.Key]:
			return fmt.Errorf("duplicate env var key: %s: %w", e.Key, errdefs.ErrInvalidArgument)
		}
		seen[e.Key] = true
	}
	return s.validateSecrets()
}

// Digest identifies the caller's wish and nothing else: an upgrade of edged,
// which changes what edged itself adds, re-creates no module.
func (s *Spec) Digest() string {
	wish := *s
	wish.PullPolicy = ""
	b, err := json.Marshal(wish)
	if err != nil {
		// CreateOptions was parsed before; a Spec that cannot be marshalled is a defect.
		panic(fmt.Sprintf("cannot marshal spec of %s: %v", s.Name, err))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
