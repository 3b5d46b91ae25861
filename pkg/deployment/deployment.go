// Package deployment is the files by which an operator and the agent speak to each
// other: what each is called, the shape of those that the agent writes, and, for edged,
// which stands between the two, how they are read and written. What a manifest means
// is the agent's: package edged/agent/manifest.
package deployment

// Files of the folder of what is desired, which the operator writes and the agent reads.
const (
	// ManifestFile is the manifest. Its text may be JSON or YAML.
	ManifestFile = "deployment.json"
	// ManifestFileYAML is looked for when there is no ManifestFile, for people who write it by hand.
	ManifestFileYAML = "deployment.yaml"
	// SecretsFile is an object of strings: what ${NAME} in the manifest stands for.
	SecretsFile = "secrets.json"
)

// Files of the folder of status, which the agent writes. None of them holds a secret,
// and none is larger than MaxFile.
const (
	// StatusFile is a Status.
	StatusFile = "status.json"
	// HistoryFile is a History.
	HistoryFile = "history.json"
	// ManifestsFolder has the text of each manifest of the history, as it was written, in a
	// file named after its revision.
	ManifestsFolder = "manifests"
)

// Bounds of the files.
const (
	// MaxFile is the most bytes of any of them, the manifest among them.
	MaxFile = 1 << 20
	// MaxHistory is how many deployments a History has.
	MaxHistory = 10
)

// Phase is where a deployment is.
type Phase string

// Phases. Applied, Failed, Invalid and RolledBack are ends: what is left is done
// without haste.
const (
	// Applying: images are fetched or changes are made; with an Error it waits to try again.
	Applying Phase = "applying"
	// Applied: every module is as the manifest has it, and those that it changed are healthy.
	Applied Phase = "applied"
	// Failed: some are not, and either nothing was changed or there is nothing to go back
	// to; it is tried again.
	Failed Phase = "failed"
	// Invalid: the manifest is wrong, and nothing was changed.
	Invalid Phase = "invalid"
	// RollingBack: it failed, and the last good deployment is being put back.
	RollingBack Phase = "rolling-back"
	// RolledBack: it failed, and the device has the last good deployment. It is tried again
	// when the manifest or the secrets are written again.
	RolledBack Phase = "rolled-back"
)

// Done says whether Phase is an end, so that who waits for it can stop waiting.
func (p Phase) Done() bool { return p == Applied || p == Failed || p == Invalid || p == RolledBack }

// Status is what StatusFile holds.
type Status struct {
	// Revision is the SHA-256 of the manifest's text that Phase is about, in hex.
	Revision string `json:"revision"`
	Phase    Phase  `json:"phase"`
	// Error is why Phase is no better. Of an invalid manifest it names each place.
	Error string `json:"error,omitempty"`
	// LastGood is the last revision that was applied, empty before the first. In every
	// phase but Applying and RollingBack the device has it, if there is one.
	LastGood string `json:"lastGood,omitempty"`
	// Notices say what in the manifest has no effect.
	Notices []string `json:"notices,omitempty"`
	// Modules are those that there are and those that there shall be, by name.
	Modules map[string]Module `json:"modules"`
	// Time is when any of this changed, RFC 3339 in UTC.
	Time string `json:"time"`
}

// Module is one module in a Status.
type Module struct {
	// State is edged's word: running, stopped, failed, dead, unknown; or absent.
	State string `json:"state"`
	// Health is starting, healthy or unhealthy for modules with a health check that run.
	Health string `json:"health,omitempty"`
	// Progress is what the agent does with it at the moment, empty when nothing is left to
	// do: preparing, prepared, removing, creating, updating, starting, stopping, or waiting
	// (until it is healthy).
	Progress string `json:"progress,omitempty"`
	// Error is why it is not as the manifest has it.
	Error string `json:"error,omitempty"`
}

// History is what HistoryFile holds: the latest deployments that were tried, newest
// first, each revision once.
type History struct {
	Deployments []Entry `json:"deployments"`
}

// Entry is one deployment in a History.
type Entry struct {
	Revision string `json:"revision"`
	// Phase is how it ended: Applied, Failed or RolledBack; Applying while it goes on.
	Phase Phase  `json:"phase"`
	Error string `json:"error,omitempty"`
	// Modules is how many modules it asks for.
	Modules int `json:"modules"`
	// Time is when it came to be so, RFC 3339 in UTC.
	Time string `json:"time"`
}
