package module

// Images keeps images from being removed while an operation needs them.
type Images interface {
	// Hold keeps an image until release, which is called when a record in the store names
	// it or the operation has failed. It waits for a removal under way.
	Hold(ref string) (release func())
}

// hold keeps the image of a spec for the operation that is about to look for it.
func (s *Supervisor) hold(spec *Spec) (release func()) {
	if s.Images == nil {
		return func() {}
	}
	return s.Images.Hold(spec.Image)
}
