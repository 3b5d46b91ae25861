#!/bin/bash
# Boots ROOT as a machine called NAME, with what it writes in FOLDER. Runs in a mount namespace of its own, so that nothing stays mounted.
#
#	boot.sh FOLDER ROOT NAME
set -eu
folder=$1 root=$2 name=$3

# Where /run is on a disk, systemd-nspawn refuses to clean up after itself there.
mkdir -p /run/systemd
mount -t tmpfs tmpfs /run/systemd
mount -t overlay -o "lowerdir=$root,upperdir=$folder/upper,workdir=$folder/work" overlay "$folder/root"

# A cgroup of its own on every hierarchy: containers that the machine makes must not meet those of the host, and systemd-nspawn makes none without a
# systemd to ask.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	hierarchies=/sys/fs/cgroup
else
	hierarchies=$(echo /sys/fs/cgroup/*/)
fi
for hierarchy in $hierarchies; do
	own=${hierarchy%/}/$name
	mkdir -p "$own"
	for setting in cpuset.cpus cpuset.mems; do # cgroup v1 refuses processes while these are empty
		if [ -e "$own/$setting" ] && [ -e "$hierarchy/$setting" ]; then
			cat "$hierarchy/$setting" >"$own/$setting"
		fi
	done
	echo $$ >"$own/cgroup.procs"
done

# --register=no --keep-unit: the host's first process need not be systemd. The capability and the calls are what runc needs inside. containerd's folder is
# on the host's disk because an overlay cannot be the upper part of another.
exec systemd-nspawn --boot --quiet --register=no --keep-unit --notify-ready=yes --console=pipe \
	--machine="$name" --directory="$folder/root" --bind="$folder/containerd:/var/lib/containerd" \
	--private-network --resolv-conf=off --timezone=off --link-journal=no \
	--capability=all --system-call-filter='add_key keyctl bpf'
