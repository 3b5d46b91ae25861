// Package apparmor has the AppArmor profile of modules. Packages install it where the host
// loads it at each boot; edged brings it along for a device on which nobody did.
package apparmor

import _ "embed"

// Name is the profile's.
const Name = "edged-default"

// Profile is the text that apparmor_parser(8) takes.
//
//go:embed edged-default
var Profile []byte
