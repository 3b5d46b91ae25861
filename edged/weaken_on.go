//go:build weakened

package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/edged/edged/pkg/peer"
)

// weaken leaves out the defences that EDGED_WEAKNESS names, with commas between them. It exists only with the build tag "weakened", for tests that show of an
// attack that it succeeds without the defence. ForcePIDProof is no weakness but the documented fallback. A name that is not known panics: a test with a typing
// error would otherwise attack a whole daemon and see nothing.
func weaken(cfg *peer.Config) {
	known := map[string]peer.Weakness{
		"SuffixMatch": peer.SuffixMatch, "NoLiveness": peer.NoLiveness, "NoListenerFactor": peer.NoListenerFactor, "NoNetNS": peer.NoNetNS, "PIDOnly": peer.PIDOnly,
	}
	for name := range strings.SplitSeq(os.Getenv("EDGED_WEAKNESS"), ",") {
		weakness, ok := known[name]
		switch {
		case ok:
			cfg.Weakness |= weakness
		case name == "ForcePIDProof":
			cfg.ForcePIDProof = true
		case name != "":
			panic(fmt.Sprintf("EDGED_WEAKNESS names %q, which is no weakness", name))
		}
	}
}
