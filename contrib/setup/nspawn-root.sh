#!/bin/bash
# Makes the root file system of a small Debian with systemd, containerd and CNI, which the systemd tests boot; does nothing when it is there.
#
#	nspawn-root.sh FOLDER [bookworm|trixie|rpm|vm]
#
# rpm is bookworm with rpm and dnf, for tests of those packages; vm is bookworm with its kernel and what tests need that run inside.
# DEBIAN_MIRROR names another mirror than Debian's own. A proxy set for apt is used.
set -eu
root=$1 kind=${2:-bookworm}

release=$kind
packages=systemd,systemd-sysv,dbus,libpam-systemd,curl,iproute2,iptables,containerd,runc,containernetworking-plugins
files="lib/systemd/systemd usr/bin/busctl usr/bin/curl usr/sbin/ip usr/bin/containerd usr/sbin/runc usr/sbin/iptables usr/lib/cni/bridge"
case $kind in
bookworm)
	packages+=,firewalld
	files+=" usr/sbin/firewalld"
	;;
rpm)
	release=bookworm
	packages+=,rpm,dnf,createrepo-c
	files+=" usr/bin/rpm usr/bin/dnf usr/bin/createrepo_c"
	;;
vm)
	release=bookworm
	packages+=,linux-image-$(dpkg --print-architecture),busybox-static,catatonit,apparmor
	files+=" vmlinuz bin/busybox usr/bin/catatonit usr/sbin/apparmor_parser"
	;;
esac
complete() {
	local file
	for file in $files; do
		[ -e "$1/$file" ] || return 1
	done
}
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
if ! debootstrap --variant=minbase --include="$packages" "$release" "$root.partial" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"}; then
	tail -n 20 "$root.partial/debootstrap/debootstrap.log" >&2 || true
	echo "nspawn-root: cannot make $root: debootstrap failed" >&2
	exit 1
fi
# For the tests that ask for it: debootstrap enables what it installs.
rm -f "$root.partial"/etc/systemd/system/multi-user.target.wants/firewalld.service "$root.partial"/etc/systemd/system/dbus-org.fedoraproject.FirewallD1.service
if [ "$kind" != vm ]; then
	# The kernel is the host's, and containerd's package wants modules of it.
	ln -sf /dev/null "$root.partial/etc/systemd/system/systemd-modules-load.service"
fi
rm -rf "$root.partial"/var/cache/apt/archives/*.deb "$root.partial"/var/lib/apt/lists/*
complete "$root.partial"
mv "$root.partial" "$root"
