#!/bin/sh
# Entry point of the image.
#   controller   formats /var/lib/kvorum when KVORUM_INITIAL_VOTERS is given and the volume is empty,
#                then runs kvorumd with the KVORUM_* environment
#   anything else is run as it is (kvorumctl …, demo_broker …)
set -eu

if [ "${1:-}" != controller ]; then
    exec "$@"
fi
: "${KVORUM_DATA_DIR:=/var/lib/kvorum/data}"
: "${KVORUM_CLIENT_LISTENER:=0.0.0.0:7400}"
: "${KVORUM_CONTROLLER_LISTENER:=0.0.0.0:7401}"
: "${KVORUM_HTTP_LISTENER:=0.0.0.0:7402}"
export KVORUM_DATA_DIR KVORUM_CLIENT_LISTENER KVORUM_CONTROLLER_LISTENER KVORUM_HTTP_LISTENER

# Formatting is an intent that the operator states by giving the voters' list: a volume that was lost
# and comes back empty under the same directory id would resurrect a voter without its promises, so
# a marker beside the data (same volume) is not enough and the ids must be changed with the disk.
if [ ! -e "$KVORUM_DATA_DIR/meta.properties" ] && [ -n "${KVORUM_INITIAL_VOTERS:-}" ]; then
    kvorumd format --data-dir "$KVORUM_DATA_DIR" --cluster-id "$KVORUM_CLUSTER_ID" \
        --node-id "$KVORUM_NODE_ID" --initial-voters "$KVORUM_INITIAL_VOTERS"
fi
unset KVORUM_INITIAL_VOTERS
exec kvorumd run
