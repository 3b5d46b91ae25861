#!/bin/bash
# Runs the tests that the host built, in the machine. Of each suite it leaves the output and, when it is through, its status and seconds.
set -eu
results=$1
project=$PWD
{
	uname -r
	stat -f -c %T /sys/fs/cgroup
	mountpoint -q /sys/fs/cgroup/unified && echo unified || echo none
	systemctl --version | head -n 1
} >"$results/machine"
groupadd --system edged
# As on a machine that has been up for a while.
modprobe -a loop bfq
mkfs.ext4 -q /dev/vda
mount /dev/vda /mnt
export EDGED_TEST_BUILT=$project/build/vm/built EDGED_TEST_PROOF=pid EDGED_TEST_MINUTES=5
while read -r suite pattern; do
	case $suite in '' | '#'*) continue ;; esac
	program=$project/build/vm/tests/$suite.test
	cd "$project/tests/$suite"
	"$program" -test.list "$pattern" >"$results/$suite.list"
	begun=$SECONDS status=0
	timeout 2400 "$program" -test.v -test.run "$pattern" >"$results/$suite.log" 2>&1 </dev/null || status=$?
	echo "$status $((SECONDS - begun))" >"$results/$suite.status"
	echo "vm: $suite ended with $status after $((SECONDS - begun)) s"
done <"$results/suites"
