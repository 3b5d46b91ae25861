#!/bin/bash
# Boots Debian 12 with its own kernel in a virtual machine, once for each layout of cgroups, runs there what the file suites names, and says what ran.
# Fails on a test that failed, that was skipped or that did not run.
#
#	run.sh FOLDER v1|hybrid|v2 ...
#
# FOLDER gets the results. With KVM where it opens, else with emulation, which takes many times as long. VM_SUITES is another file of suites.
set -eu
cd "$(dirname "$0")/../.."
folder=$(realpath -m "$1") project=$PWD
shift
root=/var/cache/edged-test/vm
here=tests/vm suites=${VM_SUITES:-tests/vm/suites}
contrib/setup/nspawn-root.sh "$root" vm
kernel=$(basename "$(readlink "$root/vmlinuz")")
version=${kernel#vmlinuz-}

# There is no Go in the machine.
built=build/vm/built tests=build/vm/tests
mkdir -p "$built" "$tests"
build() { CGO_ENABLED=0 go build -buildvcs=false "$@"; }
build -o "$built/edged" ./edged
build -o "$built/edged+weakened" -tags weakened ./edged
build -o "$built/logger" ./edged/logger
build -o "$built/probe" ./tests/probe
for suite in $(sed -nE 's/^([a-z]+) .*/\1/p' "$suites"); do
	CGO_ENABLED=0 go test -c -tags vm -o "$tests/$suite.test" "./tests/$suite"
done

# The first file system of the machine: what it takes to reach its root.
initrd() {
	local top module
	top=$(mktemp -d)
	mkdir -p "$top/bin" "$top/modules" "$top/dev"
	cp "$root/bin/busybox" "$top/bin/"
	cp $here/init "$top/init"
	for module in virtio_pci 9pnet_virtio 9p overlay; do
		chroot "$root" modprobe --set-version "$version" --show-depends "$module"
	done | sed -nE 's/^insmod ([^ ]+).*/\1/p' | awk '!seen[$0]++' | while read -r module; do
		cp "$root$module" "$top/modules/"
		basename "$module"
	done >"$top/modules/order"
	(cd "$top" && find . | cpio --quiet -o -H newc) >"$1"
	rm -rf "$top"
}
initrd build/vm/initrd

# Where /dev/kvm opens it need not work: of some machines that are virtual themselves it starts no kernel. The first one here has no root file system, so
# that it ends soon.
kvm="-accel kvm -cpu max,arch-capabilities=off"
# Without AVX: what Go's hashes do with it is emulated many times slower than what they do without.
accelerator="-accel tcg,thread=multi -cpu Nehalem"
if [ -w /dev/kvm ] && timeout 10 qemu-system-x86_64 -machine q35 $kvm -m 512M -nodefaults -no-user-config -display none -no-reboot \
	-kernel "$root/boot/$kernel" -initrd build/vm/initrd -append panic=-1 </dev/null 2>/dev/null; then
	accelerator=$kvm
fi
echo "vm: ${accelerator%% -cpu*}"

share() { echo "-fsdev local,id=$1,path=$2,security_model=none,multidevs=remap$3 -device virtio-9p-pci,fsdev=$1,mount_tag=$1"; }
boot() {
	local layout=$1 results=$2 hierarchy
	case $layout in
	v1) hierarchy="systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1" ;;
	hybrid) hierarchy="systemd.unified_cgroup_hierarchy=0" ;;
	v2) hierarchy="systemd.unified_cgroup_hierarchy=1" ;;
	*) echo "vm: no layout is called $layout" >&2; return 2 ;;
	esac
	# What nobody has written to in a disk of zeros is nowhere.
	truncate -s 64M "$results/disk"
	timeout "${VM_TIMEOUT:-3600}" qemu-system-x86_64 -machine q35 $accelerator -smp 2 -m 4G -nodefaults -no-user-config -display none -no-reboot \
		-serial "file:$results/console" -kernel "$root/boot/$kernel" -initrd build/vm/initrd \
		-append "console=ttyS0 quiet panic=-1 mitigations=off edged.project=$project $hierarchy systemd.getty_auto=no systemd.show_status=no" \
		-drive "file=$results/disk,format=raw,if=virtio" -device virtio-rng-pci \
		$(share root "$root" ,readonly=on) $(share project "$project" ,readonly=on) $(share results "$results" "") </dev/null
}

failed=0
for layout; do
	results=$folder/$layout
	rm -rf "$results"
	mkdir -p "$results"
	cp "$suites" "$results/suites"
	begun=$SECONDS
	boot "$layout" "$results" || failed=1
	$here/report.sh "$layout" "$results" "$((SECONDS - begun))" || failed=1
done
exit $failed
