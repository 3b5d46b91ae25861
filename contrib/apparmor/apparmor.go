// Package apparmor has the AppArmor profile of modules. Packages install it where the host
// loads it at each boot; edged brings it along for a device on which nobody did.
package apparmor

import (
	"bytes"
	_ "embed"
	"os"
	"path/filepath"
)

// Name is the profile's.
const Name = "edged-default"

//go:embed edged-default
var profile []byte

// Profile is the text for an apparmor_parser(8) that has its files in a folder. Where there
// are abis and none of that name, which is before AppArmor 3.0, it would take nothing of it.
// load.sh does the same.
func Profile(folder string) []byte {
	_, err := os.Stat(filepath.Join(folder, "abi"))
	_, of3 := os.Stat(filepath.Join(folder, "abi/3.0"))
	if err != nil || of3 == nil {
		return profile
	}
	return bytes.Replace(profile, []byte("abi <abi/3.0>,\n"), nil, 1)
}
