//go:build !weakened

package peer

// weakened is empty in every build that is shipped: the decisions below are constants, and there is no field to change them. With the build tag "weakened"
// the attack tests can take one defence away at a time and see that the attack then succeeds.
type weakened struct{}

func (weakened) noLiveness() bool       { return false }
func (weakened) noListenerFactor() bool { return false }
func (weakened) noNetNS() bool          { return false }
func (weakened) pidOnly() bool          { return false }

func (weakened) lookUp(s *snapshot, cgroup []byte) (*Instance, error) { return s.match(cgroup) }
