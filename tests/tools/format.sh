#!/usr/bin/env bash
# Formats our C++ with clang-format; --check only tells what it would change.
set -euo pipefail
cd "$(dirname "$0")/../.."
mode=(-i)
[[ ${1:-} == --check ]] && mode=(--dry-run --Werror)
git ls-files '*.h' '*.cc' | xargs clang-format "${mode[@]}"
