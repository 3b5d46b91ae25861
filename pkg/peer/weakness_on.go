//go:build weakened

package peer

import "strings"

// Weakness is a set of defences to leave out. It exists only with the build tag "weakened", for attack tests that must show what each defence is worth.
type Weakness uint8

// The defences that can be left out.
const (
	SuffixMatch      Weakness = 1 << iota // match a recorded path anywhere in a cgroup path, the deepest first, and the first line that matches at all
	NoLiveness                            // do not ask whether the process still lives, nor whether its instance is current
	NoListenerFactor                      // do not ask whether the listener belongs to the module
	NoNetNS                               // do not compare network namespaces
	PIDOnly                               // believe the number from SO_PEERCRED, with none of the checks that ProofPID adds
)

type weakened struct {
	// Weakness exists only with the build tag "weakened".
	Weakness Weakness
}

func (w weakened) noLiveness() bool       { return w.Weakness&NoLiveness != 0 }
func (w weakened) noListenerFactor() bool { return w.Weakness&NoListenerFactor != 0 }
func (w weakened) noNetNS() bool          { return w.Weakness&NoNetNS != 0 }
func (w weakened) pidOnly() bool          { return w.Weakness&PIDOnly != 0 }

// lookUp matches as extractors do that look for a container's id from the leaf on.
func (w weakened) lookUp(s *snapshot, cgroup []byte) (*Instance, error) {
	if w.Weakness&SuffixMatch == 0 {
		return s.match(cgroup)
	}
	var found *Instance
	deepest := -1
	lines := cgroupLines{rest: cgroup}
	for {
		line, ok := lines.next()
		if !ok {
			break
		}
		for path, in := range s.byPath {
			if at := strings.LastIndex(string(line.path), path); at > deepest {
				found, deepest = in, at
			}
		}
	}
	if found == nil {
		return nil, ErrNoInstance
	}
	return found, nil
}
