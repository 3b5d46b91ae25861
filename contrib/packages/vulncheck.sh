#!/bin/bash
# Looks for known vulnerabilities in the functions that edged calls, in Go's database or in a copy of it: the URL of one, or a folder with its OSV files
# (data/osv of a clone of golang/vulndb).
#
#	vulncheck.sh [DATABASE]
set -u
cd "$(dirname "$0")/../.."
database=${1:-}
case $database in
"") from="Go's database" ;;
*://*) from=$database ;;
*) from=$(cd "$database" && pwd) && database=file://$from || exit 1 ;;
esac

out=$(go tool -modfile=tools/go.mod govulncheck ${database:+-db "$database"} ./... 2>&1)
case $? in
0) echo "$out"; echo "vulncheck: nothing known to $from is called" ;;
3) echo "$out"; echo "vulncheck: edged calls what is known to be vulnerable" >&2; exit 3 ;;
*)
	echo "$out" >&2
	echo "vulncheck: nothing was checked: $from cannot be used. Where it cannot be reached, name a copy: make vulncheck VULNDB=FOLDER" >&2
	exit 1
	;;
esac
