#!/bin/bash
# Starts all of edged in one folder and shows it: a containerd of its own, edged by socket activation, the agent, two modules, and a refusal.
# Ctrl-C ends it, with ONCE=1 it ends by itself. "make run" calls it, after building.
#
#	EDGED_RUN_DIR   the folder; it is wiped at the start when an earlier run made it (default: build/run)
#	EDGED_BIN_DIR   where the programs are (default: bin)
set -euo pipefail
cd "$(dirname "$0")/../.."

bin=$(realpath -m "${EDGED_BIN_DIR:-bin}")
dir=$(realpath -m "${EDGED_RUN_DIR:-build/run}")
once=${ONCE:-}
# A name of its own for each run: runc and the kernel's cgroups know containers by namespace and id, whichever containerd made them.
namespace=edged-run-$$
containerd_pid='' edged_pid='' sockets='' stopping=''

step() { printf '\n==> %s\n' "$*"; }
say() { printf '    %s\n' "$*"; }
indent() { sed 's/^/    /'; }
die() {
	printf '\nrun: %s\n' "$*" >&2
	exit 1
}
# within SECONDS COMMAND...: tries it five times a second.
within() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] && [ -z "$stopping" ] || return 1
		sleep 0.2
	done
}
alive() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }
gone() { ! alive "$1"; }
edgectl() { "$bin/edgectl" --host "$mgmt" "$@"; }
private_ctr() { timeout 20 ctr --address "$address" --namespace "$namespace" "$@"; }

# --- the end ---

# Which shims are ours shows their command line, by the namespace that no other run has.
shims() {
	local proc
	for proc in /proc/[0-9]*; do
		tr '\0' ' ' <"$proc/cmdline" | grep -q -- "containerd-shim.* -namespace $namespace " && echo "${proc#/proc/}"
	done 2>/dev/null
}
no_shims() { [ -z "$(shims)" ]; }
unmount_below() {
	local at
	findmnt -rno TARGET | { grep -F "$1/" || true; } | sort -r | while read -r at; do
		umount "$(printf '%b' "$at")" 2>/dev/null || umount -l "$(printf '%b' "$at")" || true
	done
}

stop_modules() {
	alive "$edged_pid" || return 0
	local names
	# The agent first: it would make the others anew. It is ended by a host user, so edged leaves it so.
	names=$(edgectl list -q 2>/dev/null) || return 0
	{
		grep -x edgeAgent <<<"$names" || true
		grep -vx edgeAgent <<<"$names" || true
	} | while read -r name; do
		[ -z "$name" ] || edgectl stop "$name" >/dev/null || true
	done
}

stop_pid() { # NAME PID SECONDS
	alive "$2" || return 0
	kill -TERM "$2" 2>/dev/null || true
	within "$3" gone "$2" || {
		say "$1 does not end: killed"
		kill -KILL "$2" 2>/dev/null || true
	}
	wait "$2" 2>/dev/null || true
}

remove_containers() {
	alive "$containerd_pid" || return 0
	local id
	for id in $(private_ctr tasks list -q 2>/dev/null); do
		private_ctr tasks delete --force "$id" >/dev/null 2>&1 || true
	done
	for id in $(private_ctr containers list -q 2>/dev/null); do
		private_ctr containers delete "$id" >/dev/null 2>&1 || true
	done
}

finish() {
	local status=$? pid name
	trap - EXIT
	trap '' INT TERM
	set +e
	stopping=''
	if [ "$status" != 0 ]; then
		for name in containerd edged; do
			# What containerd says of each plugin that it loads would push out what went wrong.
			[ -s "$dir/$name.log" ] && { printf '\nrun: the end of %s:\n' "$dir/$name.log"; grep -v 'msg="loading plugin' "$dir/$name.log" | tail -n 25; } >&2
		done
		[ -s "$dir/home/agent/status/status.json" ] && { printf '\nrun: what the agent says:\n'; cat "$dir/home/agent/status/status.json"; } >&2
		alive "$edged_pid" && { printf '\nrun: modules, and the end of the log of edgeAgent:\n'; edgectl list; edgectl logs --tail 15 edgeAgent; } >&2
	fi
	step "Stopping"
	stop_modules
	stop_pid edged "$edged_pid" 25
	remove_containers
	within 10 no_shims || for pid in $(shims); do kill -KILL "$pid" 2>/dev/null || true; done
	stop_pid containerd "$containerd_pid" 20
	unmount_below "$dir"
	[ -z "$sockets" ] || { unmount_below "$sockets"; rm -rf "$sockets"; }
	# What runc and the cgroups keep for a namespace, empty now.
	for name in /run/containerd/runc "$dir/containerd/state" /sys/fs/cgroup /sys/fs/cgroup/*; do
		rmdir "$name/$namespace" 2>/dev/null || true
	done
	if [ "$status" = 0 ]; then
		say "everything is stopped; the logs are in $dir"
	else
		printf '\nrun: failed; everything is stopped, the logs are in %s\n' "$dir" >&2
	fi
	exit "$status"
}

# --- the folder ---

[ "$(id -u)" = 0 ] || die "run this as root: it starts a containerd and makes containers"
for name in containerd ctr runc systemd-socket-activate busybox go findmnt flock; do
	command -v "$name" >/dev/null || die "$name is missing: make deps installs what is needed"
done
busybox=$(realpath "$(command -v busybox)")
if ldd "$busybox" >/dev/null 2>&1; then
	die "$busybox needs libraries, which the modules' image does not have: install busybox-static (make deps)"
fi
for name in edged edgectl edged-logger edged-agent.tar; do
	[ -e "$bin/$name" ] || die "$bin/$name is missing: run make build"
done
# edged looks for the agent of its own version; a folder that was built half would be waited for in vain.
version=$("$bin/edged" --version | cut -d' ' -f2)
tar -xOf "$bin/edged-agent.tar" manifest.json | grep -qF "edged.local/agent:$version\"" ||
	die "$bin/edged is of version $version, edged-agent.tar beside it of another: run make build"

# left_over prints the processes that still use the folder: of a shim it is the current one.
left_over() {
	local proc name
	for proc in /proc/[0-9]*; do
		name=$(<"$proc/comm") || continue
		case $name in containerd | containerd-shim | edged | edged-logger) ;; *) continue ;; esac
		if [[ $(readlink "$proc/cwd") == "$dir"/* ]] || tr '\0' '\n' <"$proc/cmdline" | grep -qF "$dir/"; then
			printf '%s (%s) ' "${proc#/proc/}" "$name"
		fi
	done 2>/dev/null
}
marker=$dir/.edged-run
if [ -e "$dir" ] && [ ! -e "$marker" ] && [ -n "$(ls -A "$dir")" ]; then
	die "$dir is not empty and no run made it: name another folder in EDGED_RUN_DIR"
fi
mkdir -p "$dir"
exec 9>>"$marker"
flock -n 9 || die "$dir is in use by another run"
left=$(left_over)
[ -z "$left" ] || die "a run that was killed left processes behind; end them first: $left"
unmount_below "$dir"
if findmnt -rno TARGET | grep -qF "$dir/"; then
	die "something is mounted below $dir and cannot be unmounted: findmnt | grep $dir"
fi
find "$dir" -mindepth 1 -maxdepth 1 ! -name .edged-run -exec rm -rf {} +
chmod 0755 "$dir"
trap finish EXIT
trap 'stopping=1' INT TERM

# A socket's path has at most 107 bytes, and those of modules are 55 longer than the folder's (unix(7), sun_path).
run=$dir/run
if [ ${#run} -gt 50 ]; then
	sockets=$(mktemp -d /tmp/edged-run.XXXXXX)
	chmod 0755 "$sockets"
	run=$sockets
fi
mkdir -p "$run" "$dir/images" "$dir/containerd"
mgmt=$run/mgmt.sock
workload=$run/workload.sock
address=$run/containerd.sock
interrupted() { [ -z "$stopping" ] || exit 0; }

# --- containerd ---

step "Starting a containerd of its own: $(containerd --version | cut -d' ' -f3)"
cat >"$dir/containerd/config.toml" <<TOML
version = 2
root = "$dir/containerd/root"
state = "$dir/containerd/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]

[grpc]
address = "$address"
TOML
# In a session of its own, as edged below: Ctrl-C is for this script, which ends them in order.
setsid containerd --config "$dir/containerd/config.toml" >"$dir/containerd.log" 2>&1 9>&- &
containerd_pid=$!
answers() { gone "$containerd_pid" || private_ctr version >/dev/null 2>&1; }
within 30 answers || interrupted
alive "$containerd_pid" || die "containerd ended"
snapshotter=''
if ! private_ctr plugins list 2>/dev/null | awk '$2 == "overlayfs" && $NF == "ok" { found = 1 } END { exit !found }'; then
	# On an overlay, such as a container's root, there can be no other.
	snapshotter=native
fi
say "process $containerd_pid, namespace $namespace, snapshotter ${snapshotter:-overlayfs}, socket $address"

# --- images ---

step "Packing the image of the two modules: busybox, a program and two scripts"
CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags '-s -w' -o "$dir/asker" ./contrib/run/asker
go run -buildvcs=false ./contrib/imagetar -o "$dir/images/demo.tar" -ref edged.local/demo:1 \
	-file "$busybox=/bin/busybox" -link busybox=/bin/sh -link busybox=/bin/date -link busybox=/bin/sleep \
	-file "$dir/asker=/bin/asker" -file contrib/run/modules/clock=/bin/clock -file contrib/run/modules/greeter=/bin/greeter
cp "$bin/edged-agent.tar" "$dir/images/"
(cd "$dir/images" && ls -sh1 -- *.tar) | indent
interrupted

# --- edged ---

step "Starting edged by socket activation"
getent group edged >/dev/null || groupadd --system edged
cat >"$dir/config.toml" <<TOML
version = 1
home = "$dir/home"
run = "$run"

[containerd]
address = "$address"
namespace = "$namespace"
snapshotter = "$snapshotter"
preload = ["$dir/images"]
TOML
"$bin/edged" --config "$dir/config.toml" --check-config | indent
# As the socket units do it: nobody can connect before the modes are right, and edged starts with the first call.
(
	umask 0077
	exec setsid systemd-socket-activate --listen="$mgmt" --listen="$workload" --fdname=edged.mgmt.socket:edged.workload.socket \
		"$bin/edged" --config "$dir/config.toml" >"$dir/edged.log" 2>&1 9>&-
) &
edged_pid=$!
listens() { gone "$edged_pid" || { [ -S "$mgmt" ] && [ -S "$workload" ]; }; }
within 10 listens || interrupted
alive "$edged_pid" || die "systemd-socket-activate ended"
chgrp edged "$mgmt"
chmod 0660 "$mgmt"
chmod 0666 "$workload"
(cd "$run" && ls -l -- mgmt.sock workload.sock) | indent
say "edgectl version, the first call, wakes it:"
edgectl version | indent
interrupted

# --- the agent and its modules ---

runs() {
	local states
	states=$(edgectl list --format '{{.Name}}={{.Status}}' 2>/dev/null) || return 1
	for name; do grep -qx "$name=running" <<<"$states" || return 1; done
}
step "edged makes and starts its module edgeAgent"
within 60 runs edgeAgent || { interrupted; die "edgeAgent does not run"; }
edgectl logs edgeAgent | indent

step "The agent is given a deployment manifest of two modules: edgectl apply --yes -f $dir/deployment.json"
cat >"$dir/deployment.json" <<'JSON'
{
  "modulesContent": {
    "$edgeAgent": {
      "properties.desired": {
        "schemaVersion": "1.1",
        "modules": {
          "clock": {
            "type": "docker",
            "restartPolicy": "always",
            "imagePullPolicy": "never",
            "settings": {
              "image": "edged.local/demo:1",
              "createOptions": "{\"Cmd\": [\"/bin/clock\"], \"HostConfig\": {\"NetworkMode\": \"none\"}}"
            }
          },
          "greeter": {
            "type": "docker",
            "restartPolicy": "always",
            "imagePullPolicy": "never",
            "startupOrder": 1,
            "settings": {
              "image": "edged.local/demo:1",
              "createOptions": "{\"Cmd\": [\"/bin/greeter\"], \"HostConfig\": {\"NetworkMode\": \"none\"}}",
              "management": true
            }
          }
        }
      }
    }
  }
}
JSON
edgectl apply --yes -f "$dir/deployment.json" 2>&1 | indent || { interrupted; die "the deployment was not applied"; }
runs edgeAgent clock greeter || { interrupted; die "the two modules do not run"; }
say "edgectl list"
edgectl list | indent

step "What they write"
wrote() { edgectl logs "$1" | grep -q -- "$2"; }
within 30 wrote greeter 'number 2' || { interrupted; die "greeter does not greet"; }
within 30 wrote clock ':' || { interrupted; die "clock tells no time"; }
say "edgectl logs --tail 3 clock"
edgectl logs --tail 3 clock | indent
say "edgectl logs --tail 3 greeter"
edgectl logs --tail 3 greeter | indent

step "A module that is not edgeAgent asks for a new module, and is refused"
say "edgectl logs greeter | grep asker:"
edgectl logs greeter | grep asker: | indent
wrote greeter 'edged answered 403 .*"forbidden"' || die "greeter was not refused"
say "the audit log, in $dir/edged.log:"
grep '"event":"refusal"' "$dir/edged.log" | grep '"caller_module":"greeter"' | tail -n 1 | indent

if [ -n "$once" ]; then
	step "Done (ONCE=$once)"
	exit 0
fi
step "Everything runs. In another terminal, as root:"
shown=$(realpath --relative-base=. "$bin")
cat <<TEXT
    export EDGED_HOST=unix://$mgmt
    $shown/edgectl list
    $shown/edgectl logs -f clock
    $shown/edgectl stop clock            # and start, restart, inspect
    vi $dir/deployment.json
    $shown/edgectl apply -f $dir/deployment.json
    $shown/edgectl deployment show       # and history, rollback
    $shown/edgectl check --config $dir/config.toml
    tail -f $dir/edged.log

    Ctrl-C here stops all of it.
TEXT
wait "$edged_pid" || true
[ -n "$stopping" ] || die "edged ended by itself"
