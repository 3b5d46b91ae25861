#!/bin/bash
# Writes what is linked into each of PROGRAMS, read from the programs themselves, and of what the image of the OSGi host is made, as CycloneDX into
# FOLDER. The same programs give the same bytes.
#
#	sbom.sh PROGRAMS FOLDER
set -eu
cd "$(dirname "$0")/../.."
programs=$1 folder=$2
time=$(date -u -d "@$(git log -1 --format=%ct)" +%Y-%m-%dT%H:%M:%SZ)
mkdir -p "$folder"
for program in edged edgectl edged-agent edged-logger edged-pkcs11; do
	if [ $program = edged-pkcs11 ] && [ ! -e "$programs/$program" ]; then
		continue # where no compiler for it was
	fi
	go tool -modfile=tools/go.mod cyclonedx-gomod bin -json -noserial -std -version "$VERSION" -output "$folder/part" "$programs/$program" 2>"$folder/log" || {
		cat "$folder/log" >&2
		exit 1
	}
	jq --arg time "$time" '.metadata.timestamp = $time' "$folder/part" >"$folder/${program}_$VERSION.cdx.json"
	echo "sbom: $program: $(jq '.components | length' "$folder/part") components"
done
list=$programs/edged-osgi-host.packages
if [ -e "$list" ]; then
	jq --raw-input --null-input --arg time "$time" --arg version "$VERSION" '{
		bomFormat: "CycloneDX", specVersion: "1.6", version: 1,
		metadata: {timestamp: $time, component: {type: "container", name: "edged-osgi-host", version: $version}},
		components: [inputs | split(" ") | {type: "library", name: .[0], version: .[1],
			purl: "pkg:deb/debian/\(.[0] | @uri)@\(.[1] | @uri)?distro=debian&upstream=\(.[2])%40\(.[3] | @uri)"}]
	}' <"$list" >"$folder/edged-osgi-host_$VERSION.cdx.json"
	echo "sbom: edged-osgi-host: $(wc -l <"$list") components"
fi
rm -f "$folder/part" "$folder/log"
