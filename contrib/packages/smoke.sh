#!/bin/bash
# Runs the programs of built debs that are for other machines, under qemu's user emulation: what was linked for them starts, reads its configuration and
# prints. FOLDER has the packages of each ARCH (dpkg's names).
#
#	smoke.sh FOLDER ARCH...
set -eu
folder=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# says PATTERN PROGRAM...: the program succeeds and its output has the pattern.
says() {
	local pattern=$1 out
	shift
	if ! out=$("$@" 2>&1) || ! grep -qE -- "$pattern" <<<"$out"; then
		echo "smoke: ${*/#$work\//}: expected $pattern, got: $(head -n 3 <<<"$out")" >&2
		exit 1
	fi
}

for arch; do
	case $arch in
	amd64) emulator=x86_64 machine="x86-64" ;;
	arm64) emulator=aarch64 machine="ARM aarch64" ;;
	armhf) emulator=arm machine="ARM, EABI5" ;;
	esac
	deb=$(echo "$folder"/edged_*_"$arch".deb)
	version=$(dpkg-deb -f "$deb" Version)
	version=${version%-1}
	root=$work/$arch
	dpkg-deb -x "$deb" "$root"
	run() { says "$1" "qemu-$emulator-static" "$root/$2" "${@:3}"; }
	for program in usr/bin/edged usr/bin/edgectl usr/libexec/edged/edged-logger; do
		says "$machine" file -b "$root/$program"
	done
	run "^edged ${version/\~/-}\$" usr/bin/edged --version
	run '^configuration is fine$' usr/bin/edged --config "$root/etc/edged/config.toml" --check-config
	run '^[0-9]+$' usr/bin/edged --schema
	run '^  version +Show' usr/bin/edgectl --help
	run ' complete .* edgectl$' usr/bin/edgectl completion bash
	# Without a daemon it fails, and says its own version all the same.
	says "${version/\~/-}" bash -c "qemu-$emulator-static $root/usr/bin/edgectl --host /nonexistent version || [ \$? = 5 ]"
	image=$work/agent-$arch
	mkdir "$image"
	tar -xf "$root/usr/share/edged/images/edged-agent.tar" -C "$image"
	for layer in $(jq -r '.[0].Layers[]' "$image/manifest.json"); do
		tar -xf "$image/$layer" -C "$image"
	done
	says "$machine" file -b "$image/edged-agent"
	echo "smoke: the programs of $arch run (${version/\~/-})"
done
