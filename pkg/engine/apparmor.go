package engine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/pkg/cap"
	"github.com/containerd/errdefs"

	"github.com/edged/edged/contrib/apparmor"
)

// appArmorOn says whether modules are to be confined by AppArmor. It is asked for each
// container, because a package can bring the parser while edged runs.
func appArmorOn() bool {
	for _, needed := range []string{"/sys/kernel/security/apparmor", "/sbin/apparmor_parser"} {
		if _, err := os.Stat(needed); err != nil {
			return false
		}
	}
	b, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	return err == nil && bytes.HasPrefix(b, []byte("Y")) && os.Getenv("container") == ""
}

// parserTimeout bounds the compilation of the profile, which takes seconds on a slow device.
const parserTimeout = 30 * time.Second

// loadProfile makes sure that the kernel has the profile of modules. A package has brought
// it to where the host loads it; else edged loads it, if it has the capability that this
// takes (MAC_ADMIN), which the unit does not give it. Errors: Unavailable.
func loadProfile(ctx context.Context) error {
	if profileLoaded(apparmor.Name) {
		return nil
	}
	if held, err := cap.Current(); err != nil || !slices.Contains(held, "CAP_MAC_ADMIN") {
		return fmt.Errorf("AppArmor has no profile %[1]s (apparmor_parser -r /etc/apparmor.d/%[1]s): %[2]w", apparmor.Name, errdefs.ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, parserTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "apparmor_parser", "--replace", "--skip-cache")
	cmd.Stdin = bytes.NewReader(apparmor.Profile("/etc/apparmor.d"))
	cmd.WaitDelay = time.Second
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("AppArmor has no profile %[1]s, and none could be loaded (apparmor_parser -r /etc/apparmor.d/%[1]s): %[2]w: %[3]w: %.500[4]s",
			apparmor.Name, errdefs.ErrUnavailable, err, bytes.TrimSpace(said))
	}
	return nil
}

// profileLoaded says whether the kernel has a profile. If that is not for edged to see, runc will say.
func profileLoaded(name string) bool {
	b, err := os.ReadFile("/sys/kernel/security/apparmor/profiles")
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(b)) {
		if i := strings.LastIndex(line, " ("); i > 0 && line[:i] == name {
			return true
		}
	}
	return false
}
