#!/bin/sh
# Runs Cockpit's web server in a Debian of its own, over which a layer in memory lies; called in a mount namespace of its own, which takes all of
# it along when the server ends.
#
#	serve.sh ROOT FOLDER RUN CONFIG REPOSITORY PORT GID
#
# ROOT is the Debian, FOLDER an empty one, RUN and CONFIG are the device's, GID is that of its group edged.
set -eu
root=$1 folder=$2 run=$3 config=$4 repository=$5 port=$6 gid=$7

mount -t tmpfs tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
root=$folder/root
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"

# What the packages bring along, where they put it.
mkdir -p "$root/run/edged" "$root/etc/edged" "$root/usr/share/cockpit/edged"
mount --bind "$run" "$root/run/edged"
cp "$config" "$root/etc/edged/config.toml"
chmod 644 "$root/etc/edged/config.toml"
for file in "$repository"/contrib/cockpit/*; do
	case $file in *.go) ;; *) cp "$file" "$root/usr/share/cockpit/edged/" ;; esac
done
cp "$repository/bin/edgectl" "$root/usr/bin/edgectl"

# member may use edged's socket, visitor may not, admin becomes root with a password.
chroot "$root" groupadd --gid "$gid" edged
for user in member:edged visitor: admin:sudo; do
	chroot "$root" useradd --create-home --shell /bin/bash --groups "${user#*:}" "${user%:*}"
	echo "${user%:*}:secret" | chroot "$root" chpasswd
done
# sudo has something to say of a machine that does not know its own name.
echo "127.0.0.1 localhost $(hostname)" >"$root/etc/hosts"
# The audit's login id can only be set once in a process's life, and whoever runs the tests may have one.
sed -i /pam_loginuid/d "$root/etc/pam.d/cockpit"
# Newer versions leave signing in to a unit of systemd's, unless they are told otherwise.
printf '[basic]\nCommand=/usr/lib/cockpit/cockpit-session\n' >"$root/etc/cockpit/cockpit.conf"
# Newer bridges do not start without a system bus.
if [ -x "$root/usr/bin/dbus-daemon" ]; then
	mkdir -p "$root/run/dbus"
	chroot "$root" dbus-daemon --system --nofork --nopidfile &
	while [ ! -S "$root/run/dbus/system_bus_socket" ]; do sleep 0.05; done
fi
# Nor without a bus of the user's, which systemd would make where it runs; nothing is asked of it here.
echo DBUS_SESSION_BUS_ADDRESS=unix:path=/run/dbus/system_bus_socket >>"$root/etc/environment"
exec chroot "$root" /usr/lib/cockpit/cockpit-ws --no-tls --address 127.0.0.1 --port "$port"
