#!/bin/bash
# loops.sh [MCA [FUNCTION...]]: cycles of the NEON kernels' inner loops on Neoverse N1, the server twin of Cortex-A76, by llvm-mca.
#
# One line a loop: function, address, instructions, cycles an iteration (mean of 100), instructions a cycle. "inner" is a loop without
# another branch; "around" is what an outer loop adds to the inner ones, both sides of every branch, so an upper bound. The numbers
# are a model's: all data in the first-level cache, every branch predicted, nothing known of what the loops share.
#
# MCA is the program, of a late LLVM (22 was used): 14 takes the tables of the A57. Needs Go and GNU objdump for arm64.
set -euo pipefail
cd "$(dirname "$0")/../.."
mca=${1:-llvm-mca}
[ $# -lt 1 ] || shift
functions=("$@")
[ $# -gt 0 ] || functions=(dotW8CNeon1 dotW8CNeon4 dotW8CI8MM4 groupsW8GNeon groupsW4GNeon groupsW8GNeon4 groupsW4GNeon4 mulBF16Neon1 mulBF16Neon4 roundedNeon1 roundedNeon4)
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
GOARCH=arm64 CGO_ENABLED=0 go test -c -o "$tmp/kernel" ./internal/compute/kernel

# loops FILE: its loops as "inner|around first last skipped-lines", from lines of "address instruction".
loops() {
  awk '{ line[NR] = $0; row[$1] = NR }
    $2 ~ /^(b|b\.[a-z]+|cbn?z|tbn?z)$/ { branch[NR] = 1 }
    $2 ~ /^(b\.[a-z]+|cbn?z)$/ && ($NF in row) { from[++n] = row[$NF]; to[n] = NR }
    END { for (l = 1; l <= n; l++) {
      kind = "inner"; skip = ","
      for (i = from[l]; i < to[l]; i++) if (branch[i]) kind = "around"
      for (i = from[l]; i <= to[l]; i++) {
        if (branch[i]) skip = skip i ","
        for (m = 1; m <= n; m++) if (m != l && from[m] > from[l] && to[m] < to[l] && i >= from[m] && i <= to[m] && !(i in branch)) skip = skip i ","
      }
      print kind, from[l], to[l], skip
    } }' "$1"
}

for f in "${functions[@]}"; do
  aarch64-linux-gnu-objdump -d --no-show-raw-insn "$tmp/kernel" --disassemble="github.com/systemgemma/systemgemma/internal/compute/kernel.$f.abi0" |
    grep -E '^ +[0-9a-f]+:' | sed -E 's/\s*(\/\/|;).*//; s/^ +([0-9a-f]+):\s+/\1 /; s/ <.*>//' >"$tmp/f"
  [ -s "$tmp/f" ] || { echo "$f: want a function of the package, found none" >&2; exit 1; }
  loops "$tmp/f" | while read -r kind from to skip; do
    awk -v from="$from" -v to="$to" -v skip="$skip" 'NR >= from && NR <= to && !index(skip, "," NR ",") { sub(/^[^ ]+ /, ""); print }' "$tmp/f" >"$tmp/loop.s"
    n=$(wc -l <"$tmp/loop.s")
    cycles=$("$mca" -mtriple=aarch64 -mcpu=neoverse-n1 -mattr=+dotprod,+i8mm -iterations=100 "$tmp/loop.s" 2>"$tmp/err" | awk '/^Total Cycles/ { print $3 / 100 }') || true
    [ -n "$cycles" ] || { cat "$tmp/err" >&2; exit 1; }
    printf '%-15s %-7s %s  %3d instructions  %6.1f cycles  %.2f a cycle\n' "$f" "$kind" "$(sed -n "${from}p" "$tmp/f" | cut -d' ' -f1)" "$n" "$cycles" "$(awk "BEGIN { print $n / $cycles }")"
  done
done
