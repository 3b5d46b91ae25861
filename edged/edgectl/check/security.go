package check

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/keystore/uri"
)

func (d *device) keystore(context.Context) outcome {
	if d.cfgErr != nil {
		return skip("the configuration, which says where keys are, cannot be read")
	}
	place := &uri.URI{Kind: uri.File, Path: filepath.Join(d.cfg.Home, "keys")}
	if d.cfg.Keystore.URI != "" {
		u, err := uri.Parse(d.cfg.Keystore.URI)
		if err != nil {
			return bad("correct [keystore] uri", "%v", err)
		}
		place = u
	}
	switch place.Kind {
	case uri.TPM:
		return thing(place.Path, "the TPM", "see that the TPM is enabled in the firmware and the kernel has its driver; [keystore] uri names its device")
	case uri.Token:
		return thing(place.Path, "the token's library", "install the library that [keystore] uri names as module-path")
	}
	return d.keyFiles(place.Path)
}

func thing(path, what, cure string) outcome {
	if _, err := os.Stat(path); err != nil {
		return bad(cure, "%s cannot be used: %v", what, err)
	}
	return fine("keys are in %s", path)
}

// keyFiles looks at modes: whoever reads the root key has every key of the device.
func (d *device) keyFiles(dir string) outcome {
	if d.UID != 0 {
		return skip("keys are root's alone to look at: run the check as root")
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if d.asked == nil {
			return bad("stop edged, and bring the folder back from a backup (edgectl restore)", "%s is gone: after its next start edged cannot read what it sealed", dir)
		}
		return skip("%s is not there yet: edged makes its keys at its first start", dir)
	}
	if err != nil {
		return skip("%v", err)
	}
	all := []outcome{private(dir, 0o700)}
	for _, e := range entries {
		all = append(all, private(filepath.Join(dir, e.Name()), 0o600))
	}
	if o := worst(all...); o.status != OK {
		return o
	}
	return fine("keys are in %s, root's alone", dir)
}

func private(path string, mode fs.FileMode) outcome {
	st, err := os.Lstat(path)
	if err != nil {
		return fine("") // removed meanwhile: edged writes through files of a moment
	}
	if uid, _ := owner(st); uid != 0 {
		return bad("chown root: "+path, "%s belongs to user %d", path, uid)
	}
	if st.IsDir() {
		mode = 0o700
	}
	if st.Mode().Perm()&^mode != 0 {
		return bad("chmod 0"+modeText(mode)+" "+path+"; if somebody may have read it, make new keys: edged --new-keys", "%s has mode %04o: others than root can read keys", path, st.Mode().Perm())
	}
	return fine("")
}

func modeText(mode fs.FileMode) string {
	if mode == 0o700 {
		return "700"
	}
	return "600"
}

// soon is how long before its end an operator's CA is spoken of.
const soon = 30 * 24 * time.Hour

func (d *device) ca(ctx context.Context) outcome {
	if d.asked != nil {
		return d.silentCA()
	}
	ca, err := d.Client.CA(ctx)
	if err != nil {
		return bad("edged's log says why: journalctl -u edged", "edged has no CA for modules: %v", err)
	}
	return judgeCA(ca, d.Now)
}

// silentCA looks for what keeps an edged that does not answer from starting.
func (d *device) silentCA() outcome {
	if d.cfgErr == nil {
		for _, path := range []string{d.cfg.Device.CACert, d.cfg.Device.CAKey} {
			if !filepath.IsAbs(path) {
				continue // there is none, or it is in a TPM or a token
			}
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
				return bad("put it there, or take ca_cert and ca_key out of [device]: edged makes a CA of its own then", "%s, which [device] names, is not there: edged does not start", path)
			}
		}
	}
	return silent()
}

func judgeCA(ca *wire.DeviceCA, now time.Time) outcome {
	operator := ca.Source == wire.SourceOperator
	cure := "edgectl ca renew; edged's log says why it did not do so by itself"
	if operator {
		cure = "put a new certificate where [device] ca_cert says, then edgectl ca renew"
	}
	times := make([]time.Time, 3)
	for i, text := range []string{ca.NotBefore, ca.NotAfter, ca.RenewAt} {
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return skip("edged gave a time that cannot be read: %q", text)
		}
		times[i] = t
	}
	notBefore, notAfter, renewAt := times[0], times[1], times[2]
	switch {
	case now.Before(notBefore):
		return bad("see the check clock; if the clock is right, edgectl ca renew", "%s is valid only from %s on", ca.Subject, ca.NotBefore)
	case !now.Before(notAfter):
		return bad(cure, "%s expired at %s: modules get no certificates", ca.Subject, ca.NotAfter)
	case now.After(renewAt.Add(24 * time.Hour)), operator && now.After(notAfter.Add(-soon)):
		return warn(cure, "%s is valid until %s and should have been renewed", ca.Subject, ca.NotAfter)
	}
	return fine("%s is valid until %s", ca.Subject, ca.NotAfter)
}
