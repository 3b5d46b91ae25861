#!/bin/bash
# Makes a copy of the source tree whose failpoints (comments `// gofail: var name type`) are code. The tool rewrites files in place, which
# is why it works on a copy; the copy has a go.mod of its own, so ./... does not reach it.
#
#	failpoints.sh FOLDER
set -eu
folder=$1
cd "$(dirname "$0")/.."

rm -rf "$folder"
mkdir -p "$folder"
# What is not committed yet has to be there too, what was deleted but not committed has not.
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
	[ -e "$file" ] && printf '%s\0' "$file"
done | tar --null --files-from=- -c | tar -x -C "$folder"

version=$(go list -modfile=tools/go.mod -m -f '{{.Version}}' go.etcd.io/gofail)
gofail=$PWD/build/gofail
go build -modfile=tools/go.mod -buildvcs=false -o "$gofail" go.etcd.io/gofail
cd "$folder"
mapfile -t packages < <(grep -rlE --include='*.go' --exclude='*_test.go' '^[[:space:]]*// gofail:' . | xargs -r dirname | sort -u)
if [ ${#packages[@]} = 0 ]; then
	echo "failpoints: no package has any" >&2
	exit 0
fi
"$gofail" enable "${packages[@]}"
go get "go.etcd.io/gofail@$version"
echo "failpoints: ${packages[*]}"
