#!/bin/bash
# Installs what edged needs to build, run and be tested on Debian or Ubuntu: only what is missing, so that a second run costs nothing and asks
# for no network.
#
#	deps.sh         to build and run
#	deps.sh test    and to run every test
#	deps.sh clients and to run other people's clients
#	deps.sh osgi    to build the image of the OSGi host
#	deps.sh vm      and to run tests in a virtual machine (amd64)
#	deps.sh packages and to look at packages, and to run those for other machines
#	deps.sh cockpit to test the page for Cockpit in a browser
set -eu

missing=()
# need PACKAGE[|PACKAGE...] CONDITION: of several packages the first one that this release has is taken.
need() {
	local packages=$1
	shift
	"$@" >/dev/null 2>&1 || missing+=("$packages")
}
command_exists() { command -v "$1"; }
file_exists() { for file; do [ -e "$file" ] && return; done; return 1; }
any_command() { for name; do command -v "$name" && return; done; return 1; }
# Test images hold busybox alone, so one that needs the machine's libraries is of no use.
static_busybox() { [ -x /bin/busybox ] && ! ldd /bin/busybox; }
race_detector() { command -v gcc && echo 'int main(void){return 0;}' | gcc -x c -pthread -o /dev/null -; }

# Debian's of this architecture, whose runtime goes into the image; another JDK beside it is no matter.
jdk_with_jmods() { file_exists "/usr/lib/jvm/java-17-openjdk-$(dpkg --print-architecture)/jmods/java.base.jmod"; }

need make command_exists make
need git command_exists git
need ca-certificates file_exists /etc/ssl/certs/ca-certificates.crt
need "containerd|containerd.io" command_exists containerd
need runc command_exists runc
need containernetworking-plugins file_exists /usr/lib/cni/bridge /opt/cni/bin/bridge
need iptables any_command iptables /usr/sbin/iptables
need systemd command_exists systemd-socket-activate
need busybox-static static_busybox
need "catatonit|tini" any_command catatonit tini-static
need curl command_exists curl
need jq command_exists jq
need iproute2 command_exists ip
need gcc command_exists gcc
need libc6-dev race_detector
need strace command_exists strace
if [ "${1:-}" = test ]; then
	need systemd-container command_exists systemd-nspawn
	need debootstrap command_exists debootstrap
	need debian-archive-keyring file_exists /usr/share/keyrings/debian-archive-keyring.gpg
	need docker-registry command_exists docker-registry
	need swtpm command_exists swtpm
	need softhsm2 command_exists softhsm2-util
	# Debian's redis-server is a link to this; the package of that name would start one here.
	need redis-tools command_exists redis-check-rdb
	need minisign command_exists minisign
	need e2fsprogs any_command mkfs.ext4 /usr/sbin/mkfs.ext4
fi
if [ "${1:-}" = test ] || [ "${1:-}" = osgi ]; then
	need openjdk-17-jdk-headless jdk_with_jmods
	need binutils command_exists readelf
	need unzip command_exists unzip
fi
if [ "${1:-}" = test ] || [ "${1:-}" = clients ]; then
	need python3-requests-unixsocket /usr/bin/python3 -c 'import requests_unixsocket'
fi
if [ "${1:-}" = packages ]; then
	need lintian command_exists lintian
	need rpmlint command_exists rpmlint
	need qemu-user-static command_exists qemu-arm-static
	# Without them the JVM of another machine's image keeps its symbols.
	need binutils-x86-64-linux-gnu command_exists x86_64-linux-gnu-strip
	need binutils-aarch64-linux-gnu command_exists aarch64-linux-gnu-strip
	need binutils-arm-linux-gnueabihf command_exists arm-linux-gnueabihf-strip
	need file command_exists file
	need systemd-container command_exists systemd-nspawn
	need debootstrap command_exists debootstrap
	need debian-archive-keyring file_exists /usr/share/keyrings/debian-archive-keyring.gpg
fi
if [ "${1:-}" = cockpit ]; then
	need debootstrap command_exists debootstrap
	need debian-archive-keyring file_exists /usr/share/keyrings/debian-archive-keyring.gpg
	need chromium file_exists /usr/bin/chromium
fi
if [ "${1:-}" = vm ]; then
	need qemu-system-x86 command_exists qemu-system-x86_64
	need cpio command_exists cpio
	need debootstrap command_exists debootstrap
	need debian-archive-keyring file_exists /usr/share/keyrings/debian-archive-keyring.gpg
fi
if [ "${1:-}" = clients ]; then
	need nodejs command_exists node
	need npm command_exists npm
fi

# What the package makes: who is in it may use the management socket, and the agent is a member.
if { [ "${1:-}" = test ] || [ "${1:-}" = cockpit ]; } && [ "$(id -u)" = 0 ] && ! getent group edged >/dev/null; then
	groupadd --system edged
fi

update() { apt-get update -o DPkg::Lock::Timeout=300; }
# one_file PACKAGE PATH takes one file of a package into build/debian, where its others would be started or fill the disk: a real Redis module, whose package
# depends on a server, and promtool, whose package is one.
one_file() {
	local name folder file
	name=$(basename "$2")
	folder=$(cd "$(dirname "$0")/../.." && pwd)/build/debian
	[ -e "$folder/$name" ] && return
	mkdir -p "$folder"
	file=$(mktemp -d)
	chmod 755 "$file"
	(cd "$file" && { apt-get download "$1" || { update && apt-get download "$1"; }; }) || return
	dpkg-deb --fsys-tarfile "$file/$1"_*.deb | tar -xO ".$2" >"$folder/$name.part"
	chmod 755 "$folder/$name.part"
	mv "$folder/$name.part" "$folder/$name"
	rm -rf "$file"
}
# Real bundles, unpacked into build/debian and not installed.
bundles() {
	local top
	top=$(cd "$(dirname "$0")/../.." && pwd)
	"$top/contrib/osgi-host/packages.sh" "$top/build/debian/bundles" "$(dpkg --print-architecture)" \
		libslf4j-java libcommons-lang3-java libcommons-io-java libgoogle-gson-java libfelix-scr-java libosgi-core-java libosgi-annotation-java libosgi-compendium-java
}
finish() {
	if [ "${1:-}" = test ]; then
		one_file redis-redisearch /usr/lib/redis/modules/redisearch.so
		one_file prometheus /usr/bin/promtool
		bundles
	fi
	exit 0
}

if [ ${#missing[@]} = 0 ]; then
	finish "$@"
fi
if ! command -v apt-get >/dev/null; then
	echo "deps: missing: ${missing[*]}" >&2
	echo "deps: only Debian and Ubuntu are known here; install these, or what your system calls them, by its own means" >&2
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "deps: missing: ${missing[*]}" >&2
	echo "deps: run this as root, it calls apt-get" >&2
	exit 1
fi

export DEBIAN_FRONTEND=noninteractive
has() { apt-cache policy "$1" | grep -q 'Candidate: [^(]'; }
# choose prints the packages to install, or fails when the lists know none of the alternatives.
choose() {
	local alternatives name found
	for alternatives in "${missing[@]}"; do
		found=
		for name in ${alternatives//|/ }; do
			if has "$name"; then
				found=$name
				break
			fi
		done
		if [ -z "$found" ]; then
			echo "deps: no package is called ${alternatives//|/ or }" >&2
			return 1
		fi
		echo "$found"
	done
}
install() { apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"; }

# What the lists of the last update name may be gone from the mirrors by now: a failure is worth one update.
echo "deps: installing: ${missing[*]}"
if packages=$(choose 2>/dev/null) && install $packages; then
	finish "$@"
fi
update
if ! packages=$(choose); then
	echo "deps: apt knows no such package; on Ubuntu the component universe has to be on" >&2
	exit 1
fi
install $packages
finish "$@"
