#!/bin/bash
# Makes the deb and rpm packages of one machine from programs that are built, into FOLDER.
#
#	build.sh ARCH PROGRAMS FOLDER
#
# ARCH is Go's name (amd64, arm64, arm for armv7). VERSION is that of the programs. Each folder beside this script that has an nfpm.yaml is a package; it
# is made when the file of PROGRAMS that it is about is there. Everything that goes into a package has the time of the commit, so that the same source
# gives the same bytes.
set -eu
arch=$1 programs=$2 folder=$3
cd "$(dirname "$0")/../.."
here=contrib/packages

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
version=$(tools/version.sh package "$VERSION")
compression=${PKG_COMPRESSION:-xz} # gzip is faster
pkg_arch=${arch/%arm/arm7}
stage=build/stage/$arch
# The oldest C library that has all that edged-pkcs11 calls.
glibc=$({ [ -e "$programs/edged-pkcs11" ] && grep -aoE 'GLIBC_[0-9.]+' "$programs/edged-pkcs11" | sed 's/GLIBC_//'; echo 2.28; } | sort -V | tail -n 1)
export SOURCE_DATE_EPOCH

rm -rf "$stage"
mkdir -p "$stage/man/man1" "$stage/man/man8" "$folder"
cp -R build/docs/completions "$stage/completions"
for page in build/docs/man/*.1; do
	gzip -9n <"$page" >"$stage/man/man1/${page##*/}.gz"
done
gzip -9n <$here/edged/edged.8 >"$stage/man/man8/edged.8.gz"
# rpm wants to know that each is documentation, and nfpm takes no pattern then.
for page in "$stage"/man/man*/*.gz; do
	echo "  - {src: $page, dst: /usr/share/man/${page#"$stage/man/"}, type: doc, packager: rpm, file_info: {mode: 0644}}"
done >"$stage/man.yaml"
gzip -9n <CHANGELOG.md >"$stage/changelog.gz"
gzip -9n <build/docs/third-party >"$stage/third-party.gz"
cat >"$stage/changelog.yaml" <<END
- semver: "$version-1"
  date: $(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
  deb: {urgency: medium, distributions: [stable]}
  packager: edged maintainers <edged@users.noreply.github.com>
  changes:
    - note: What changed stands in the changelog of edged.
END
# Where distributions with rpm have network plugins.
sed -E 's|^#(cni_bin_dirs = \[)|\1"/usr/libexec/cni", |' contrib/config/config.toml >"$stage/config-rpm.toml"
grep -q '^cni_bin_dirs = \["/usr/libexec/cni", "/usr/lib/cni", ' "$stage/config-rpm.toml"

# package NAME FILE: a package that is about a file of the programs.
package() {
	if [ ! -e "$programs/$2" ]; then
		echo "packages: no $1 for $arch: there is no $programs/$2"
		return
	fi
	# Not left to nfpm, which knows variables in some fields and not in others.
	sed -e "/@MAN_PAGES@/ { r $stage/man.yaml
		d }" -e "s|@VERSION@|$version|g; s|@ARCH@|$pkg_arch|g; s|@PROGRAMS@|$programs|g; s|@STAGE@|$stage|g; s|@GLIBC@|$glibc|g; s|@COMPRESSION@|$compression|g" \
		"$here/$1/nfpm.yaml" >"$stage/$1.yaml"
	for kind in deb rpm; do
		go tool -modfile=tools/go.mod nfpm package --config "$stage/$1.yaml" --packager $kind --target "$folder"
	done
}
package edged edged
package edged-pkcs11 edged-pkcs11
package edged-osgi edged-osgi-host.tar
# The same for every machine: made once.
[ -n "$(find "$folder" -name 'cockpit-edged*')" ] || package cockpit-edged edged
