package reconcile

// Memory is what the agent remembers of what it did. Save is called after each
// change, so that an end at any moment forgets one at most. That it cannot be kept,
// on a full disk for one, is no reason to leave a device as it is: a forgotten start
// is repeated, nothing worse.
type Memory struct {
	// Revision is the one that was last applied to its end.
	Revision string `json:"revision"`
	// Begun is the revision whose changes were begun and not ended: the device is between
	// two deployments. Empty: it is not.
	Begun   string          `json:"begun,omitempty"`
	Modules map[string]Done `json:"modules"`

	Save func() `json:"-"`
}

// Done is what was last done to a module.
type Done struct {
	// Wish is the digest of what the manifest asked for, Made of what edged said it
	// made of it. While both hold, the module is as it shall be, even if edged words
	// some of it in another way.
	Wish string `json:"wish"`
	Made string `json:"made"`
	// Run says that the module was told to run, or else to be stopped.
	Run bool `json:"run"`
	// Unproven says that it was changed and not seen healthy since.
	Unproven bool `json:"unproven,omitempty"`
}

func (r *Reconciler) remember(name string, done Done) {
	if had, ok := r.memory.Modules[name]; ok && had == done {
		return
	}
	r.memory.Modules[name] = done
	r.memory.Save()
}

// begin writes down, before the first change, that the device will be between two
// deployments. A device that is only kept as it shall be is not.
func (r *Reconciler) begin(revision string) {
	if r.memory.Revision != revision && r.memory.Begun != revision {
		r.memory.Begun = revision
		r.memory.Save()
	}
}

// finish writes down that the device is as a deployment has it.
func (r *Reconciler) finish(revision string) {
	changed := r.memory.Revision != revision || r.memory.Begun != ""
	for name, done := range r.memory.Modules {
		if done.Unproven {
			done.Unproven, changed = false, true
			r.memory.Modules[name] = done
		}
	}
	r.memory.Revision, r.memory.Begun = revision, ""
	if changed {
		r.memory.Save()
	}
}
