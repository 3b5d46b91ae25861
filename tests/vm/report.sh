#!/bin/bash
# Says what a machine's results are, and fails unless every test that was to run did and passed.
#
#	report.sh LAYOUT FOLDER SECONDS
set -eu
layout=$1 folder=$2 suites=$2/suites seconds=$3
failed=0
wrong() {
	echo "vm: $layout: $*" >&2
	failed=1
}
kernel='no kernel that said its name' fs= unified= systemd=
if [ -e "$folder/machine" ]; then
	{ read -r kernel && read -r fs && read -r unified && read -r systemd; } <"$folder/machine"
else
	wrong "the machine came to no test; the end of its console:"
	tail -n 30 "$folder/console" >&2
fi
case "$layout $fs $unified" in
"v1 tmpfs none" | "hybrid tmpfs unified" | "v2 cgroup2fs none") ;;
*) wrong "cgroups are not laid out so: $fs, $unified" ;;
esac
case $kernel in
6.1.*) ;;
*) wrong "the kernel is $kernel, not Debian 12's" ;;
esac

echo "vm: cgroup $layout on kernel $kernel, $systemd: $seconds s"
while read -r suite pattern; do
	case $suite in '' | '#'*) continue ;; esac
	log=$folder/$suite.log
	if [ ! -s "$folder/$suite.status" ]; then
		wrong "tests/$suite did not come to its end"
		continue
	fi
	read -r status took <"$folder/$suite.status"
	passed=$(grep -c '^--- PASS' "$log" || true) parts=$(grep -c '^ *--- PASS' "$log" || true)
	echo "vm:   tests/$suite ($pattern): $passed tests, $((parts - passed)) parts of them, $took s"
	grep -E '^--- PASS' "$log" | sed -E 's/^--- PASS: (\S+) \((.*)\)/vm:     \1 \2/' || true
	[ "$status" = 0 ] || wrong "tests/$suite ended with status $status, see $log"
	if grep -E '^ *--- (FAIL|SKIP)' "$log" >&2; then
		wrong "these of tests/$suite failed or were skipped"
	fi
	listed=$(grep -c '^Test' "$folder/$suite.list" || true)
	[ "$listed" != 0 ] || wrong "no test of tests/$suite fits $pattern"
	[ "$passed" = "$listed" ] || wrong "of $listed tests of tests/$suite $passed passed"
done <"$suites"
exit $failed
