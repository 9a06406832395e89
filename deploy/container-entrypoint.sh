#!/bin/sh
# Entry point of the image.
#   format       formats the volume for KVORUM_NODE_ID, once, with KVORUM_INITIAL_VOTERS
#   controller   runs kvorumd with the KVORUM_* environment; an unformatted volume is refused
#   anything else is run as it is (kvorumctl …, demo_broker …)
set -eu

case "${1:-}" in
    controller | format) ;;
    *) exec "$@" ;;
esac
: "${KVORUM_DATA_DIR:=/var/lib/kvorum/data}"
: "${KVORUM_CLIENT_LISTENER:=0.0.0.0:7400}"
: "${KVORUM_CONTROLLER_LISTENER:=0.0.0.0:7401}"
: "${KVORUM_HTTP_LISTENER:=0.0.0.0:7402}"
export KVORUM_DATA_DIR KVORUM_CLIENT_LISTENER KVORUM_CONTROLLER_LISTENER KVORUM_HTTP_LISTENER

if [ "$1" = format ]; then
    # Never done by itself: a volume that was lost and comes back empty under the same directory id
    # would resurrect a voter that has forgotten its votes and its log.
    exec kvorumd format --data-dir "$KVORUM_DATA_DIR" --cluster-id "$KVORUM_CLUSTER_ID" \
        --node-id "$KVORUM_NODE_ID" --initial-voters "$KVORUM_INITIAL_VOTERS"
fi
unset KVORUM_INITIAL_VOTERS
exec kvorumd run
