#!/bin/bash
# Unpacks Debian packages into a folder and leaves this machine's own as they are. A second run costs nothing and asks for no network.
#
#	packages.sh FOLDER ARCH PACKAGE...
#
# FOLDER.list says of each: name, version, source package, version of that. ARCH is in Debian's words. The lists of another architecture than this machine's are fetched into FOLDER.lists.
set -eu

folder=$1 arch=$2
shift 2
stamp="$arch $*"
if [ "$(cat "$folder.stamp" 2>/dev/null)" = "$stamp" ] && [ -e "$folder.list" ]; then exit 0; fi

mkdir -p "$(dirname "$folder")"
folder=$(cd "$(dirname "$folder")" && pwd)/$(basename "$folder")
rm -rf "$folder" "$folder.stamp" "$folder.debs"
mkdir -p "$folder" "$folder.debs"
options=()
update() { apt-get update -qq -o DPkg::Lock::Timeout=300 "${options[@]}"; }
if [ "$arch" != "$(dpkg --print-architecture)" ]; then
	mkdir -p "$folder.lists/lists/partial" "$folder.lists/cache/archives/partial"
	: >"$folder.lists/status"
	options=(-o "APT::Architecture=$arch" -o "APT::Architectures::=$arch" -o "Dir::State=$folder.lists" -o "Dir::State::status=$folder.lists/status"
		-o "Dir::Cache=$folder.lists/cache")
	update
fi
cd "$folder.debs"
# As root apt would fetch as another user, who cannot write here.
download() { apt-get download -qq -o APT::Sandbox::User=root "${options[@]}" "$@"; }
# What the lists of the last update name may be gone from the mirrors by now: a failure is worth one update.
download "$@" 2>/dev/null || { update && download "$@"; }
for package in *.deb; do
	dpkg-deb -x "$package" "$folder"
	dpkg-deb --showformat '${Package} ${Version} ${source:Package} ${source:Version}\n' --show "$package"
done | sort >"$folder.list"
rm -rf "$folder.debs" "$folder.lists"
echo "$stamp" >"$folder.stamp"
