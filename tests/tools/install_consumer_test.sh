#!/bin/sh
# Installs the client library from a build folder and builds a program of a stranger against it:
# headers, exported targets and .proto files must do without this source tree.
# Usage: install_consumer_test.sh BUILD_DIR
set -eu
build=$(cd "$1" && pwd)
consumer=$(cd "$(dirname "$0")/../unit/client/consumer" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/prefix" --component client >"$work/install.log"
for path in bin/kvorumctl bin/demo_broker share/kvorum/protos/kvorum/v1/stream.proto \
  include/kvorum-client/client/controller_client.h \
  include/kvorum-client/kvorum/v1/stream.grpc.pb.h; do
  test -s "$work/prefix/$path" || { echo "not installed: $path"; exit 1; }
done
if grep -rn -e '-Werror' "$work/prefix/lib" --include='*.cmake'; then
  echo "our warning flags are exported"
  exit 1
fi
cmake -S "$consumer" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" \
  -DCMAKE_CXX_FLAGS="-O0 ${CXXFLAGS-}" -DCMAKE_CXX_COMPILER_LAUNCHER="${LAUNCHER-}" >"$work/configure.log" ||
  { cat "$work/configure.log"; exit 1; }
cmake --build "$work/build" >"$work/build.log" || { cat "$work/build.log"; exit 1; }
"$work/build/consumer"
