#!/usr/bin/env bash
# Installs every Debian 12 package Kvorum needs, by apt; nothing else is ever needed by hand.
#   deploy/install-deps.sh            to build and run
#   deploy/install-deps.sh --test     also what the tests and benchmarks use
#   deploy/install-deps.sh --runtime  only what the built binaries link (for images)
# Does nothing when everything is there already.
set -euo pipefail

runtime=(
    libgrpc++1.51 libprotobuf32 librocksdb7.8 libspdlog1.10 libfmt9 libxxhash0 libjemalloc2
    libprometheus-cpp-core1.0 libprometheus-cpp-pull1.0
)
build=(
    g++ cmake ninja-build ccache lld pkg-config git python3
    libgrpc++-dev protobuf-compiler-grpc libprotobuf-dev protobuf-compiler
    libabsl-dev librocksdb-dev libspdlog-dev libfmt-dev libcli11-dev prometheus-cpp-dev libxxhash-dev
    libjemalloc-dev
)
testing=(
    libgtest-dev libgmock-dev libbenchmark-dev python3-grpcio python3-protobuf
    clang-format clang-tidy curl etcd-server etcd-client xfsprogs
)

case "${1:-}" in
    "") wanted=("${build[@]}" libgtest-dev libgmock-dev libbenchmark-dev) ;;
    --test) wanted=("${build[@]}" "${testing[@]}") ;;
    --runtime) wanted=("${runtime[@]}") ;;
    *)
        echo "usage: $0 [--test | --runtime]" >&2
        exit 2
        ;;
esac

missing=()
for package in "${wanted[@]}"; do
    if [[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) != "ii " ]]; then
        missing+=("$package")
    fi
done
if ((${#missing[@]} == 0)); then
    exit 0
fi

if ! command -v apt-get >/dev/null; then
    echo "apt-get is missing: Kvorum builds on Debian 12 (bookworm). Needed: ${missing[*]}" >&2
    exit 1
fi
sudo=()
if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
        echo "not root, and there is no sudo: run 'apt-get install ${missing[*]}' as root first" >&2
        exit 1
    fi
    sudo=(sudo)
fi
echo "installing ${#missing[@]} packages: ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
"${sudo[@]}" apt-get update -qq
# Debian's etcd-server would start a server of its own; only its binary is wanted.
policy=/usr/sbin/policy-rc.d
own_policy=0
if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
    "${sudo[@]}" chmod +x "$policy"
    own_policy=1
fi
trap '((own_policy)) && "${sudo[@]}" rm -f "$policy"' EXIT
"${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
