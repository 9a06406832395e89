#!/usr/bin/env bash
# The test command: installs what is missing, builds the release preset, and runs every test but the
# slow ones. Arguments go to ctest, for example: tests/run.sh -L unit
set -euo pipefail
cd "$(dirname "$0")/.."

deploy/install-deps.sh --test
cmake --preset release >/dev/null
cmake --build --preset release
# Machines differ; two at a time keeps the timing of the real processes honest on two cores.
ctest --preset release --label-exclude slow --parallel 2 "$@"
