#!/bin/bash
# Lets every fuzz target of the tree run for a time. A failing input is left in the package's testdata, where `make test` finds it from then on.
#
#	soak.sh TIME    per target, as go test -fuzztime takes it
set -eu
time=$1
cd "$(dirname "$0")/.."

# Inputs that are new are made smaller, for a minute each unless it is said: of an archive nothing else would be done in its time.
count=0
while IFS=: read -r file target; do
	echo "soak: $target in $(dirname "$file")"
	go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1s "./$(dirname "$file")"
	count=$((count + 1))
done < <(git ls-files --cached --others --exclude-standard '*_test.go' | xargs -r grep -HoE '^func Fuzz[A-Za-z0-9_]+' | sed 's/:func /:/')
if [ $count = 0 ]; then
	echo "soak: no fuzz target found" >&2
	exit 1
fi
echo "soak: $count targets passed"
