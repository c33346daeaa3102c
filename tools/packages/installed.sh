#!/usr/bin/env bash
# Proof that the .deb of a release works: tools/packages/installed.sh DIST, as root on Linux.
# In a fresh Debian it installs the package, asks for the version and, as an unprivileged user, for an answer; loads the completion and
# checks that every file of the package is there; has systemd-analyze judge the service, and runs its command as its user, without new
# privileges; purges the package, and wants the list of files and users from before. The program alone in an empty root answers too, as
# the image of packaging/Dockerfile does. No systemd runs there, and none is needed: what the unit forbids is not tried, only judged.
set -euo pipefail
[ $# = 1 ] && [ -d "$1" ] || { echo "want the folder that tools/release made" >&2; exit 2; }
arch=$(dpkg --print-architecture)
deb=$(ls "$1"/systemgemma_*_linux_"$arch".deb)
root=$(mktemp -d)
chmod 755 "$root" # else only root finds anything below
trap 'rm -rf --one-file-system "$root"' EXIT
command -v debootstrap >/dev/null || { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends debootstrap; }
debootstrap --variant=minbase bookworm "$root" "${MIRROR:-http://deb.debian.org/debian}" >"$root.log" 2>&1 || { tail -n 20 "$root.log"; exit 1; }
rm -f "$root.log"

within() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp DEBIAN_FRONTEND=noninteractive "$@"; }
within apt-get install -y -q --no-install-recommends systemd curl >/dev/null # for systemd-analyze, and to ask the service
within useradd --create-home somebody
# dpkg's and apt's own records differ after any installation, and systemd-analyze leaves notes in /run; all else counts.
list() { (cd "$root" && find . -xdev \( -path ./var/lib/dpkg -o -path ./var/lib/apt -o -path ./var/cache/apt -o -path ./var/log -o -path ./proc -o -path ./sys -o -path ./dev -o -path ./run \) -prune -o -printf '%p %y %m %u\n' | sort); }
list >"$root/../$(basename "$root").before"
before=$root/../$(basename "$root").before
users=$(within getent passwd)
service=
trap '[ -z "$service" ] || kill "$service"; rm -rf --one-file-system "$root" "$before"' EXIT

cp "$deb" "$root/tmp/systemgemma.deb"
within apt-get install -y -q /tmp/systemgemma.deb
rm "$root/tmp/systemgemma.deb"
within dpkg --verify systemgemma
within dpkg -L systemgemma | grep -qx /usr/share/bash-completion/completions/systemgemma
[ -x "$root/usr/bin/systemgemma" ]
within systemgemma version
within bash -c 'source /usr/share/bash-completion/completions/systemgemma && complete -p systemgemma'
answer=$(within setpriv --reuid somebody --regid somebody --clear-groups --no-new-privs env HOME=/home/somebody systemgemma run "What is the capital of France?")
echo "$answer"
grep -q Paris <<<"$answer"

# The service: what systemd makes of it, and its command as its user.
unit=/usr/lib/systemd/system/systemgemma.service
within systemd-analyze verify --man=no "$unit" # there is no man in that Debian
within systemd-analyze security --offline=true --threshold=30 "$unit" | tail -n 1
start=$(sed -n 's/^ExecStart=//p' "$root$unit")
echo "service: $start"
as_service() { within setpriv --reuid systemgemma --regid systemgemma --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all env HOME=/var/lib/systemgemma SYSTEMGEMMA_HOME=/var/lib/systemgemma "$@"; }
# shellcheck disable=SC2086
as_service $start --listen 127.0.0.1:18434 & service=$!
within curl -fsS --retry 50 --retry-delay 1 --retry-connrefused --retry-all-errors http://127.0.0.1:18434/readyz
within curl -fsS http://127.0.0.1:18434/v1/chat/completions -H 'Content-Type: application/json' \
  -d '{"messages":[{"role":"user","content":"What is the capital of France?"}]}' | grep Paris
kill "$service"; wait "$service" || true; service=
within apt-get purge -y -q systemgemma
list | diff "$before" - || { echo "want the list of files from before"; exit 1; }
[ "$users" = "$(within getent passwd)" ] || { echo "want the users from before"; exit 1; }

mkdir "$root/alone"
dpkg-deb --fsys-tarfile "$deb" | tar -xO ./usr/bin/systemgemma >"$root/alone/systemgemma"
chmod 755 "$root/alone" "$root/alone/systemgemma"
chroot --userspec=65532:65532 "$root/alone" /systemgemma run "What is the capital of France?" | grep Paris
echo "packages: installed, answered, purged without a trace"
