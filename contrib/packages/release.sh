#!/bin/bash
# The first and the last step of a release.
#
#	release.sh check KEY    before anything is built: is this commit a release, and is there a key?
#	release.sh sign KEY     gather what was built in build/release, with checksums, and sign those (minisign)
#
# EDGED_RELEASE_TRIAL=1 lets a commit without a tag through, to try the steps.
set -eu
cd "$(dirname "$0")/../.."
step=$1 key=$2
minisign() { go tool -modfile=tools/go.mod minisign "$@"; }

if [ ! -r "$key" ]; then
	echo "release: name the key to sign with: make release KEY=FILE (made by minisign -G)" >&2
	exit 1
fi
if [[ $VERSION == *-dev.* || $VERSION == *dirty* ]] && [ -z "${EDGED_RELEASE_TRIAL:-}" ]; then
	echo "release: $VERSION is no release: commit everything, and tag it vX.Y.Z" >&2
	exit 1
fi
if ! grep -qF "## [$VERSION]" CHANGELOG.md && [ -z "${EDGED_RELEASE_TRIAL:-}" ]; then
	echo "release: CHANGELOG.md has no section [$VERSION]" >&2
	exit 1
fi
if [ "$step" = check ]; then
	exit 0
fi

rm -rf build/release
mkdir -p build/release
cp build/packages/* build/sbom/*"_$VERSION.cdx.json" build/release/
cd build/release
sha256sum -- * >SHA256SUMS
cd ../..
# It asks for the key's password, if it has one.
minisign -S -s "$key" -t "edged $VERSION" -m build/release/SHA256SUMS
echo "release: build/release has $(wc -l <build/release/SHA256SUMS) files; SHA256SUMS.minisig signs them"
