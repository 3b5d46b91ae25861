#!/bin/bash
# Prints the version of this source tree, from git.
#
#	version.sh                   of programs and images:  1.2.3, 1.3.0-rc.1, 1.2.4-dev.7.g0123456
#	version.sh package VERSION   the same for deb and rpm: 1.2.3, 1.3.0~rc.1, 1.2.4~dev.7.g0123456
#
# A commit with a tag vX.Y.Z or vX.Y.Z-rc.N is that version. What comes after a release is a development version of the next patch, after a release
# candidate one of its own; before the first tag it is one of 0.1.0. Each sorts behind what came before and in front of the release it leads to, in the
# order of semantic versions as in that of dpkg and rpm, whose "~" sorts in front of nothing. What is not committed makes it end in "dirty".
# No "+": tags of images have none.
set -eu
cd "$(dirname "$0")/.."

if [ "${1:-}" = package ]; then
	# The first hyphen begins what leads to a release; in the rest it would begin the number of the package.
	case $2 in
	*-*) rest=${2#*-} && echo "${2%%-*}~${rest//-/.}" ;;
	*) echo "$2" ;;
	esac
	exit 0
fi

commit=$(git rev-parse --short=7 HEAD 2>/dev/null) || { echo 0.1.0-dev; exit 0; }
dirty=
git diff --quiet HEAD -- 2>/dev/null || dirty=.dirty
# Numbered versions alone: another tag says nothing about order.
if described=$(git describe --tags --long --abbrev=7 --match 'v[0-9]*.[0-9]*.[0-9]*' 2>/dev/null); then
	tag=${described%-*-g*}
	base=${tag#v}
	after=${described#"$tag"-}
	after=${after%%-*}
else
	base=
	after=$(git rev-list --count HEAD)
fi
case $base in
"") echo "0.1.0-dev.$after.g$commit$dirty" ;;
*-*)
	if [ "$after$dirty" = 0 ]; then echo "$base"; else echo "$base.dev.$after.g$commit$dirty"; fi
	;;
*)
	if [ "$after$dirty" = 0 ]; then echo "$base"; else echo "${base%.*}.$((${base##*.} + 1))-dev.$after.g$commit$dirty"; fi
	;;
esac
