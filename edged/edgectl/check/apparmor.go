package check

import (
	"context"
	"strings"

	"github.com/edged/edged/contrib/apparmor"
)

// appArmor looks whether modules can start confined: without their profile runc starts none.
func (d *device) appArmor(context.Context) outcome {
	// In a container the parameter is the host's, and profiles are nobody's to see.
	if !strings.HasPrefix(d.read("/sys/module/apparmor/parameters/enabled"), "Y") || !d.exists("/sys/kernel/security/apparmor") {
		return fine("this host has no AppArmor")
	}
	if !d.exists("/sbin/apparmor_parser") {
		return warn("install apparmor, and make the modules anew", "the kernel has AppArmor and modules run without: there is no /sbin/apparmor_parser")
	}
	profiles := d.read("/sys/kernel/security/apparmor/profiles")
	switch {
	case profiles == "" && d.UID != 0:
		return skip("profiles are root's alone to look at: run the check as root")
	case strings.Contains("\n"+profiles, "\n"+apparmor.Name+" (enforce)"):
		return fine("the profile %s is loaded", apparmor.Name)
	case strings.Contains("\n"+profiles, "\n"+apparmor.Name+" ("):
		return warn("aa-enforce "+apparmor.Name, "the profile %s is loaded and not enforced", apparmor.Name)
	}
	return bad("apparmor_parser -r /etc/apparmor.d/"+apparmor.Name, "the profile %s is not loaded: no module starts without", apparmor.Name)
}
