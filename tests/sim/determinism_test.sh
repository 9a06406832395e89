#!/bin/sh
# Usage: determinism_test.sh <kvorum_sim>
# A seed must print the same events, to the byte, in every process.
set -eu
sim=$1
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for seed in 1 4 21 37 58 185; do
  "$sim" --seed "$seed" --log > "$out/first"
  "$sim" --seed "$seed" --log > "$out/second"
  cmp "$out/first" "$out/second"
done
"$sim" --seeds 60 --base 100 --jobs 2 --twice > "$out/many"
tail -n 1 "$out/many"
