#!/bin/bash
# Makes the root file system of a small Debian with Cockpit, in which the tests of the Cockpit page run its web server and sign in; does nothing
# when it is there. Two users are in it, and one who may become root.
#
#	cockpit-root.sh SUITE FOLDER
#
# DEBIAN_MIRROR names another mirror than Debian's own. A proxy set for apt is used.
set -eu
suite=$1 root=$2

complete() { [ -x "$1/usr/lib/cockpit/cockpit-ws" ] && [ -x "$1/usr/bin/cockpit-bridge" ] && [ -d "$1/usr/share/cockpit/shell" ] && [ -x "$1/usr/bin/sudo" ]; }
# Two tests that start at once make it once.
mkdir -p "$(dirname "$root")"
exec 9>"$root.lock"
flock 9
if complete "$root"; then
	exit 0
fi

eval "$(apt-config shell proxy Acquire::http::Proxy)"
if [ -n "${proxy:-}" ]; then
	export http_proxy=$proxy
fi
# Under another name until it is whole: an interrupted run leaves nothing that looks ready.
rm -rf "$root" "$root.partial"
if ! debootstrap --variant=minbase "$suite" "$root.partial" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"}; then
	tail -n 20 "$root.partial/debootstrap/debootstrap.log" >&2 || true
	echo "cockpit-root: cannot make $root: debootstrap failed" >&2
	exit 1
fi
# By apt: debootstrap does not choose among the packages of which one is needed. Nothing is to be started meanwhile.
printf '#!/bin/sh\nexit 101\n' >"$root.partial/usr/sbin/policy-rc.d"
chmod 755 "$root.partial/usr/sbin/policy-rc.d"
cp -L /etc/resolv.conf "$root.partial/etc/resolv.conf"
chroot "$root.partial" /usr/bin/env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
	apt-get install -y --no-install-recommends cockpit-ws cockpit-bridge cockpit-system sudo
rm -rf "$root.partial"/var/cache/apt/archives/*.deb "$root.partial"/var/lib/apt/lists/*
complete "$root.partial"
mv "$root.partial" "$root"
