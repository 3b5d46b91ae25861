package upload

import (
	"slices"
	"strings"

	"github.com/containerd/platforms"

	"github.com/edged/edged/pkg/lazyregexp"
	"github.com/edged/edged/pkg/pack"
)

// Device is what packages are held against.
type Device struct {
	// RedisVersion and RedisPackVersion are what this device claims; empty: not compared.
	RedisVersion, RedisPackVersion string
	// Capabilities that every Redis module has to have.
	Capabilities []string
	// Systems are the names by which packages may call this device's operating system, and
	// SystemVersion is its version: "debian" and "12".
	Systems       []string
	SystemVersion string
	// Platform chooses images; Architecture is the device's, in the word of GOARCH.
	Platform     platforms.MatchComparer
	Architecture string
}

// System takes a name such as "debian12" or "ubuntu18.04" apart.
func System(text string) (name, version string, ok bool) {
	m := systemForm().FindStringSubmatch(text)
	if m == nil {
		return "", "", false
	}
	return strings.ToLower(m[1]), m[2], true
}

var systemForm = lazyregexp.New(`^([A-Za-z_-]+) ?([0-9]+(?:\.[0-9]+){0,2})$`)

// fits says whether a Redis module can run here.
func (d *Device) fits(p *pack.RAMP) error {
	if !strings.EqualFold(p.OS, "linux") && p.OS != "" {
		return refuse(OSNotSupported, "the module is for %s, and this is Linux", p.OS)
	}
	if p.LibraryArch != d.Architecture {
		return refuse(OSNotSupported, "the module is built for %s, and this device is %s", p.LibraryArch, d.Architecture)
	}
	if err := d.fitsSystem(p.OSList); err != nil {
		return err
	}
	for _, v := range []struct{ wants, has, what string }{
		{p.MinRedisPackVersion, d.RedisPackVersion, "min_redis_pack_version"},
		{p.MinRedisVersion, d.RedisVersion, "min_redis_version"},
	} {
		if order, ok := pack.CompareVersions(v.wants, v.has); ok && order > 0 {
			return refuse(MinRedisPackVersion, "the module has the %s %s, and this device has %s", v.what, v.wants, v.has)
		}
	}
	var missing []string
	for _, c := range d.Capabilities {
		if !slices.Contains(p.Capabilities, c) {
			missing = append(missing, c)
		}
	}
	if len(missing) > 0 {
		return refuse(UnsupportedCapabilities, "the module has not the capabilities that this device requires: %s", strings.Join(missing, ", "))
	}
	return nil
}

// fitsSystem wants the device's system to be on a list of them. An entry's version may be
// shorter than the system's: "ubuntu22" is "ubuntu22.04".
func (d *Device) fitsSystem(list []string) error {
	if len(list) == 0 {
		return nil
	}
	for _, entry := range list {
		name, version, ok := System(entry)
		if !ok {
			return refuse(InvalidModule, "the module names an operating system that is none: %q", entry)
		}
		if slices.Contains(d.Systems, name) && (version == d.SystemVersion || strings.HasPrefix(d.SystemVersion, version+".")) {
			return nil
		}
	}
	mine := "of an unknown system"
	if len(d.Systems) > 0 {
		mine = d.Systems[0] + d.SystemVersion
	}
	return refuse(OSNotSupported, "the module is for %s, and this device is %s", strings.Join(list, ", "), mine)
}

// OSRelease reads the names and version of a system from the text of os-release(5). A
// relative of Red Hat's goes by that name as well, as packers have it.
func OSRelease(text string) (names []string, version string) {
	var like []string
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		switch key {
		case "ID":
			names = append([]string{value}, names...)
		case "ID_LIKE":
			like = strings.Fields(value)
		case "VERSION_ID":
			version = value
		}
	}
	if slices.Contains(like, "rhel") && !slices.Contains(names, "rhel") {
		names = append(names, "rhel")
	}
	return names, version
}
