#!/bin/sh
# Writes the profile of modules where the host loads it at each boot, and loads it now if AppArmor is on.
#
#	load.sh PROFILE
#
# With DPKG_ROOT it is written below that, and not loaded.
set -e
folder=${DPKG_ROOT:-}/etc/apparmor.d
mkdir -p "$folder"
# Where there are abis and none of that name, which is before AppArmor 3.0, the parser would take nothing of it.
if [ -d "$folder/abi" ] && [ ! -e "$folder/abi/3.0" ]; then
	sed '/^abi <abi\/3\.0>,$/d' "$1" >"$folder/edged-default.new"
else
	cat "$1" >"$folder/edged-default.new"
fi
chmod 644 "$folder/edged-default.new"
sync "$folder/edged-default.new" # half a file after a power cut would keep modules from starting
mv "$folder/edged-default.new" "$folder/edged-default"
if [ -z "${DPKG_ROOT:-}" ] && command -v aa-enabled >/dev/null && aa-enabled --quiet; then
	apparmor_parser --replace --write-cache --skip-read-cache "$folder/edged-default"
fi
