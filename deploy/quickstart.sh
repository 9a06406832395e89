#!/usr/bin/env bash
# From a clean checkout to a running cluster: installs what is missing, builds, formats and starts
# three controllers on loopback and three demo brokers, creates a topic, shows the quorum and what
# each broker has applied, then the live stream until Ctrl-C, which leaves no process behind.
#   --once           exit 0 after the demonstration
#   --data-dir DIR   keep the data there (default: a temporary directory, removed at the end)
#   --base-port P    clients on P, P+1, P+2; controllers on P+10 …; HTTP on P+20 … (default 7400)
set -euo pipefail
caller_dir=$PWD
cd "$(dirname "$0")/.."

usage() { sed -n '2,8s/^# \{0,1\}//p' "$0"; }
fail() {
    temporary=0 # the logs it may name are worth keeping
    echo "quickstart: $*" >&2
    exit 1
}

once=0
data_dir=""
base_port=7400
while (($# > 0)); do
    case "$1" in
        --once) once=1 ;;
        --data-dir)
            data_dir=${2:?--data-dir needs a directory}
            [[ $data_dir == /* ]] || data_dir=$caller_dir/$data_dir
            shift
            ;;
        --base-port)
            base_port=${2:?--base-port needs a number}
            shift
            ;;
        -h | --help)
            usage
            exit 0
            ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
    shift
done
[[ $base_port =~ ^[0-9]+$ ]] && ((base_port >= 1 && base_port <= 65513)) ||
    fail "--base-port $base_port: a number from 1 to 65513 is needed (22 ports above it are used)"

for offset in 0 1 2 10 11 12 20 21 22; do
    port=$((base_port + offset))
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
        fail "port $port is taken; stop what listens there, or choose others with --base-port"
    fi
done

deploy/install-deps.sh
echo "building (the first time takes some minutes) ..."
cmake --preset release >/dev/null
cmake --build --preset release --target kvorumd kvorumctl demo_broker
bin=$PWD/build/release/bin

temporary=0
if [[ -z $data_dir ]]; then
    data_dir=$(mktemp -d "${TMPDIR:-/tmp}/kvorum-quickstart.XXXXXX")
    temporary=1
else
    mkdir -p "$data_dir"
    data_dir=$(cd "$data_dir" && pwd)
fi

# The daemons get sessions of their own, so that a terminal's Ctrl-C reaches this script only and
# they are stopped in order.
pids=() # three controllers, then the others
end_processes() {
    (($# == 0)) || kill -TERM "$@" 2>/dev/null || true
    local pid
    for pid in "$@"; do
        for _ in {1..100}; do
            kill -0 "$pid" 2>/dev/null || break
            read -rt 0.1 <> <(:) || true
        done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}
stop_all() {
    trap - EXIT INT TERM
    # Brokers first, so that they can say goodbye to somebody; controllers after them.
    end_processes "${pids[@]:3}"
    end_processes "${pids[@]:0:3}"
    ((temporary)) && rm -rf "$data_dir"
    return 0
}
trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

host=127.0.0.1
endpoints=""
if [[ ! -e $data_dir/voters ]]; then
    voters=""
    for node in 1 2 3; do
        voters+="${voters:+,}$node@$host:$((base_port + 9 + node)):$("$bin/kvorumd" random-id)"
    done
    echo "$voters" >"$data_dir/voters"
fi
voters=$(<"$data_dir/voters")
[[ $voters == 1@$host:$((base_port + 10)):* ]] ||
    fail "$data_dir was made with another --base-port: its voters are $voters"

for node in 1 2 3; do
    dir=$data_dir/controller-$node
    if [[ ! -e $dir/meta.properties ]]; then
        "$bin/kvorumd" format --data-dir "$dir" --cluster-id quickstart --node-id "$node" \
            --initial-voters "$voters"
    fi
    client=$host:$((base_port + node - 1))
    endpoints+="${endpoints:+,}$client"
    setsid "$bin/kvorumd" run --data-dir "$dir" --client-listener "$client" \
        --controller-listener "$host:$((base_port + 9 + node))" \
        --http-listener "$host:$((base_port + 19 + node))" \
        >"$data_dir/controller-$node.log" 2>&1 &
    pids+=($!)
done

export KVORUM_ENDPOINTS=$endpoints
ctl=("$bin/kvorumctl")
# Asking is not waiting: as long as nobody leads, each question may be refused at once.
give_up=$((SECONDS + 60))
until "${ctl[@]}" --timeout 2s status >/dev/null 2>&1; do
    for i in 0 1 2; do
        if ! kill -0 "${pids[i]}" 2>/dev/null; then
            tail -n 5 "$data_dir/controller-$((i + 1)).log" >&2
            fail "controller $((i + 1)) stopped; its log is above"
        fi
    done
    ((SECONDS < give_up)) || fail "no leader within a minute; see $data_dir/controller-*.log"
    read -rt 0.1 <> <(:) || true
done

for broker in 1 2 3; do
    setsid "$bin/demo_broker" --id "$broker" --endpoints "$endpoints" --rack "rack-$broker" \
        --advertise "$host:$((9091 + broker))" >"$data_dir/broker-$broker.log" 2>&1 &
    pids+=($!)
done

# A topic of three replicas can be placed once three brokers are active and have said what they have
# applied.
active() { "${ctl[@]}" broker list | awk '$2 == "active" && $4 ~ /^[0-9]+$/' | wc -l; }
give_up=$((SECONDS + 60))
until (($(active) >= 3)); do
    ((SECONDS < give_up)) || fail "the brokers are not active; see $data_dir/broker-*.log"
    read -rt 0.1 <> <(:) || true
done

echo
echo "== a topic"
if ! "${ctl[@]}" topic get quickstart >/dev/null 2>&1; then
    "${ctl[@]}" topic create quickstart --partitions 6 --replication-factor 3
fi
"${ctl[@]}" topic get quickstart
echo
echo "== the quorum"
"${ctl[@]}" quorum describe
echo
echo "== the brokers, and what each has applied"
"${ctl[@]}" broker list

if ((once)); then
    echo
    echo "quickstart: done"
    exit 0
fi
echo
echo "== the live stream (Ctrl-C ends everything). In another terminal:"
echo "   export KVORUM_ENDPOINTS=$endpoints"
echo "   $bin/kvorumctl topic create orders --partitions 6 --replication-factor 3"
echo "   kill -9 ${pids[0]}   # controller 1; logs are in $data_dir"
"${ctl[@]}" watch --from now &
watch_pid=$!
pids+=("$watch_pid")
wait "$watch_pid"
