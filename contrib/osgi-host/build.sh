#!/bin/bash
# Puts together the root file system of the OSGi host's image, from Debian packages and the agent.
#
#	build.sh ARCH FOLDER
#
# ARCH is in Go's words (amd64, arm64, arm). FOLDER/image is the root file system; what is beside it was needed on the way. The same packages give the
# same files, but for the archive of classes.
set -eu

case $1 in
amd64) arch=amd64 emulator=qemu-x86_64-static strip=x86_64-linux-gnu-strip ;;
arm64) arch=arm64 emulator=qemu-aarch64-static strip=aarch64-linux-gnu-strip ;;
arm) arch=armhf emulator=qemu-arm-static strip=arm-linux-gnueabihf-strip ;;
*)
	echo "osgi-host: no image is built for $1" >&2
	exit 1
	;;
esac
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$2"
work=$(cd "$2" && pwd)
own=$(dpkg --print-architecture)
export LC_ALL=C.UTF-8 TZ=UTC
umask 022

jdk=/usr/lib/jvm/java-17-openjdk-$own
if [ ! -x "$jdk/bin/jlink" ]; then
	echo "osgi-host: there is no $jdk/bin/jlink: contrib/setup/deps.sh osgi installs it" >&2
	exit 1
fi
packages=(libeclipse-osgi-java libosgi-core-java libosgi-annotation-java libosgi-compendium-java libfelix-scr-java libslf4j-java ca-certificates
	libc6 libgcc-s1 gcc-12-base libstdc++6 zlib1g)
target=$jdk
if [ "$arch" != "$own" ]; then
	packages+=(openjdk-17-jdk-headless openjdk-17-jre-headless)
	target=$work/packages/usr/lib/jvm/java-17-openjdk-$arch
fi
"$here/packages.sh" "$work/packages" "$arch" "${packages[@]}"
java=$work/packages/usr/share/java

# Nothing is done again when nothing differs: the same packages, runtime and files here.
inputs=$({ cat "$work/packages.stamp" "$target/release"; find "$here" -type f | sort | xargs sha256sum; } | sha256sum)
[ "$(cat "$work/image.stamp" 2>/dev/null)" != "$inputs" ] || exit 0

# Else all is: a file of before would stay.
rm -f "$work/image.stamp"
image=$work/image
rm -rf "$image" "$work/classes" "$work/bundle"
mkdir -p "$image/opt/osgi/lib" "$image/opt/osgi/bundles/1" "$image/opt/osgi/bundles/4" "$image/etc" "$work/classes" "$work/bundle"

# A runtime with what bundles on gateways use; desktops, compilers and debuggers are left out.
modules=java.base,java.instrument,java.logging,java.management,java.naming,java.net.http,java.prefs,java.rmi,java.scripting,java.security.jgss
modules+=,java.security.sasl,java.sql,java.transaction.xa,java.xml,java.xml.crypto,java.compiler
modules+=,jdk.charsets,jdk.crypto.ec,jdk.httpserver,jdk.management,jdk.naming.dns,jdk.net,jdk.unsupported,jdk.zipfs
"$jdk/bin/jlink" --module-path "$target/jmods" --add-modules $modules --strip-java-debug-attributes --no-header-files --no-man-pages --vm=server \
	--compress=2 --output "$image/opt/java"
rm -rf "$image/opt/java/legal" "$image/opt/java/lib/jexec" "$image/opt/java/lib/jrt-fs.jar" "$image/opt/java/bin/keytool" "$image/opt/java/bin/rmiregistry" \
	"$image/opt/java/bin/jrunscript"

# Debian leaves the JVM its symbols, for debuggers: four megabytes.
if command -v "$strip" >/dev/null; then
	find "$image/opt/java" -name '*.so' -exec "$strip" --strip-unneeded {} +
else
	echo "osgi-host: without $strip (binutils) the image is four megabytes larger"
fi

# Whom TLS trusts. Stores of the older kind have times in them.
find "$work/packages/usr/share/ca-certificates/mozilla" -name '*.crt' | sort >"$work/certificates"
"$jdk/bin/java" -Dkeystore.pkcs12.certProtectionAlgorithm=NONE -Dkeystore.pkcs12.macAlgorithm=NONE "$here/build/TrustStore.java" \
	"$image/opt/java/lib/security/cacerts" <"$work/certificates"

"$jdk/bin/javac" -Xlint:all,-path -Werror --release 17 -cp "$java/osgi.core.jar:$java/osgi.annotation.jar" -d "$work/classes" "$here"/agent/edged/osgi/*.java
(cd "$work/classes" && find . -name '*.class' | sort | "$jdk/bin/jar" --create --date=1980-01-01T00:00:02Z --file "$image/opt/osgi/agent.jar" @/dev/stdin)
"$jdk/bin/jar" --create --date=1980-01-01T00:00:02Z --file "$image/opt/osgi/bundles/1/slf4j-binding.jar" --manifest "$here/build/slf4j-binding.mf"
cp -L "$java/eclipse-osgi.jar" "$java/osgi.cmpn.jar" "$image/opt/osgi/lib"
cp -L "$java/slf4j-api.jar" "$java/slf4j-simple.jar" "$image/opt/osgi/bundles/1"
cp -L "$java/org.apache.felix.scr.jar" "$image/opt/osgi/bundles/4"
cp "$here/build/java.args" "$image/opt/osgi/java.args"
echo 'hosts: files dns' >"$image/etc/nsswitch.conf"

# The libraries that the runtime is linked with, at the places where its loader looks, and the loader itself.
needed() { find "$image" -type f \( -name '*.so*' -o -path '*/bin/java' -o -name jspawnhelper \) -exec readelf -d {} + | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u; }
loader=$(readelf -l "$image/opt/java/bin/java" | sed -n 's/.*program interpreter: \(.*\)\]/\1/p')
for round in 1 2 3; do
	for name in $(needed); do
		[ -z "$(find "$image" -name "$name" -print -quit)" ] || continue
		from=$(find "$work/packages" -path '*-linux-gnu*' -name "$name" -print -quit)
		if [ -z "$from" ]; then
			echo "osgi-host: no package has $name" >&2
			exit 1
		fi
		to=$image/lib/$(basename "$(dirname "$from")")/$name
		[ "$name" != "$(basename "$loader")" ] || to=$image$loader
		mkdir -p "$(dirname "$to")"
		cp -L "$from" "$to"
	done
done

# Licences. Packages that share one have a link to it, which becomes the file.
for package in "${packages[@]}"; do
	root=$work/packages
	mkdir -p "$image/usr/share/doc/$package"
	cp -L "$root/usr/share/doc/$package/copyright" "$image/usr/share/doc/$package/copyright"
done
if [ "$arch" = "$own" ]; then
	mkdir -p "$image/usr/share/doc/openjdk-17-jre-headless"
	cp -L /usr/share/doc/openjdk-17-jre-headless/copyright "$image/usr/share/doc/openjdk-17-jre-headless/copyright"
fi
# Which sources go with them.
{
	cat "$work/packages.list"
	[ "$arch" != "$own" ] || dpkg-query --showformat '${Package} ${Version} ${source:Package} ${source:Version}\n' --show openjdk-17-jre-headless
} | sort >"$image/usr/share/doc/debian-packages"

# An archive of the classes that a start loads: it starts in half the time, and in less memory. It notes the times of the jars unless these are 0.
# Only a JVM of that machine can make it; without one, or an emulator of one, the host starts without.
find "$image" -exec touch -h -d @0 {} +
if [ "$arch" = "$own" ]; then
	"$here/build/classes.sh" "$image" "$work"
elif ! command -v "$emulator" >/dev/null || ! "$here/build/classes.sh" "$image" "$work" "$emulator" -L "$image"; then
	rm -f "$image/opt/osgi/host.jsa"
	echo "osgi-host: without $emulator, or where that cannot run it, the image has no archive of classes, and starts more slowly"
fi
echo "$inputs" >"$work/image.stamp"
