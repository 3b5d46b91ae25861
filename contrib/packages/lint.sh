#!/bin/bash
# Lets lintian and rpmlint look at all packages in FOLDER. Any finding but lintian's hints is a fault.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$1"
lintian --allow-root --fail-on error,warning --suppress-tags bad-distribution-in-changes-file ./*.deb
if ! out=$(rpmlint -c "$here/rpmlint.toml" ./*.rpm 2>&1) || ! grep -q '; 0 errors, 0 warnings' <<<"$out"; then
	echo "$out" >&2
	exit 1
fi
echo "lint: $(ls ./*.deb ./*.rpm | wc -l) packages without a finding"
