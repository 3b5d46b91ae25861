#!/bin/bash
# Lets lintian and rpmlint look at all packages in FOLDER. Any error or warning is a fault.
#
#	lint.sh FOLDER
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$1"
lintian --allow-root --fail-on error,warning ./*.deb

# The names in these rpms begin with a slash. rpm does not mind; the cpio with which rpmlint unpacks them would write over this machine's own files.
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
printf '#!/bin/sh\nexec %s --no-absolute-filenames "$@"\n' "$(command -v cpio)" >"$tools/cpio"
chmod +x "$tools/cpio"
if ! out=$(PATH="$tools:$PATH" rpmlint -c "$here/rpmlint.toml" ./*.rpm 2>&1) || ! grep -q '; 0 errors, 0 warnings' <<<"$out"; then
	echo "$out" >&2
	exit 1
fi
echo "lint: $(find . -name '*.deb' -o -name '*.rpm' | wc -l) packages without a finding"
