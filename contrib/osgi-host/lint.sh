#!/bin/bash
# Compiles the agent with every warning an error, where there is a JDK and the API that it is written for.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
api=$here/../../build/debian/bundles/usr/share/java
for javac in /usr/lib/jvm/java-17-openjdk-*/bin/javac; do
	if [ ! -x "$javac" ] || [ ! -e "$api/osgi.core.jar" ]; then
		echo "osgi-host: the agent is not compiled: make deps-test installs what that takes"
		exit 0
	fi
	out=$(mktemp -d)
	trap 'rm -rf "$out"' EXIT
	"$javac" -Xlint:all,-path -Werror --release 17 -cp "$api/osgi.core.jar:$api/osgi.annotation.jar" -d "$out" "$here"/agent/edged/osgi/*.java
	exit 0
done
