#!/usr/bin/env bash
# Proof that releases are reproducible: tools/release/reproducible.sh DIST. Makes the release of one platform again, of the same
# commit, in another clone at another path, with an empty build cache, another time zone and another umask, and compares every file.
set -euo pipefail
[ $# = 1 ] && [ -f "$1/SHA256SUMS" ] || { echo "want the folder that tools/release made" >&2; exit 2; }
first=$(cd "$1" && pwd)
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
target=linux/$(go env GOHOSTARCH)
tmp=$(mktemp -d)
trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT
git clone -q . "$tmp/another/clone"
cd "$tmp/another/clone"
umask 077
TZ=Pacific/Auckland LC_ALL=C go run ./tools/release -targets "$target" -cache "$tmp/cache" -o "$tmp/second"
(cd "$first" && sha256sum --quiet -c SHA256SUMS)
(cd "$tmp/second" && sha256sum --quiet -c SHA256SUMS)
differ=$(grep -vxFf "$first/SHA256SUMS" "$tmp/second/SHA256SUMS" || true)
[ -z "$differ" ] || { echo "these differ from the first:"; echo "$differ"; exit 1; }
echo "reproducible: $(wc -l <"$tmp/second/SHA256SUMS") files of $target, byte for byte"
