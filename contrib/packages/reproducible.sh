#!/bin/bash
# Builds the packages of one machine again, from a copy of the source in another folder, and compares them with those in FOLDER byte by byte. Not edged-osgi:
# which classes its archive for fast starts has depends on which thread came first while it was made.
#
#	reproducible.sh FOLDER ARCH
set -eu
cd "$(dirname "$0")/../.."
folder=$1 arch=$2
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents --no-dereference -t "$copy"
make --no-print-directory -C "$copy" docs package ARCH="$arch" VERSION="$VERSION" PACKAGES=build/packages >"$copy/log" 2>&1 || {
	tail -n 20 "$copy/log" >&2
	exit 1
}
count=0
for file in "$copy"/build/packages/*; do
	if ! cmp "$folder/${file##*/}" "$file"; then
		echo "reproducible: ${file##*/} is not what it was" >&2
		exit 1
	fi
	count=$((count + 1))
done
[ $count != 0 ]
echo "reproducible: $count packages of $arch are the same to the last byte"
