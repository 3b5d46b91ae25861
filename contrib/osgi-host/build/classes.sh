#!/bin/bash
# Lets the host start once without edged, notes which classes it loads, and puts an archive of them (class data sharing) into the image.
#
#	classes.sh IMAGE WORK [EMULATOR...]
set -eu

image=$1 work=$2
shift 2
cd "$image/opt/osgi"
# In memory where there is such a place: an emulated machine of 32 bits cannot read folders of every disk.
place=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$place"' EXIT
mkdir "$place/storage"
cp -r bundles "$place/bundles"
rm -f "$work/classes.list"
EDGED_OSGI_SOCKET=$place/none EDGED_OSGI_STORAGE=$place/storage EDGED_OSGI_BUNDLES=$place/bundles \
	"$@" ../java/bin/java @java.args -Xmx32m -Xshare:off "-XX:DumpLoadedClassList=$work/classes.list" -cp agent.jar:lib/eclipse-osgi.jar:lib/osgi.cmpn.jar \
	edged.osgi.Main >"$work/start.log" 2>&1 &
host=$!
for _ in $(seq 1200); do
	# What it says when all its bundles run and it asks for edged.
	! grep -q 'no connection to edged' "$work/start.log" || break
	kill -0 $host 2>/dev/null || break
	sleep 0.05
done
kill $host 2>/dev/null || true
wait $host || { cat "$work/start.log" >&2; exit 1; }
# The agent whole: what it does when edged is there was not done now.
unzip -Z1 agent.jar '*.class' | sed 's/\.class$//' >>"$work/classes.list"
grep -v '^[@#]' "$work/classes.list" | sort -u >"$work/classes.sorted"
# Addresses that differ from run to run, and compilers that run beside, would leave a trace in it. Some sandboxes do not let addresses be fixed.
fixed=()
if setarch -R true 2>/dev/null; then
	fixed=(setarch -R)
fi
"${fixed[@]}" "$@" ../java/bin/java @java.args -Xint -Xmx32m -Xshare:dump "-XX:SharedClassListFile=$work/classes.sorted" -Xlog:disable -Xlog:all=error:stderr \
	-cp agent.jar:lib/eclipse-osgi.jar:lib/osgi.cmpn.jar
touch -d @0 . host.jsa
