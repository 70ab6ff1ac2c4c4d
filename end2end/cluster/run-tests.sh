#!/bin/sh
# Runs tests/it/real_cluster: the program against a real etcd, kube-apiserver, metrics-server, Prometheus and Ceph.
#
#   end2end/cluster/run-tests.sh [FILTER and options of the test binary]
#
# All of it runs in one network namespace of its own, which ends with it, and everything that was started in it too:
# kube-apiserver refuses loopback addresses for nodes, so the namespace's loopback device is given 10.90.0.0/16.
#
#   IT_BIN      the built test binary; else cargo builds it
#   WUKONG_BIN  the program under test; else the one that cargo built beside the tests
#   LIMIT       seconds until all is killed; 1500
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$here/../..
[ $# -gt 0 ] || set -- real_cluster --skip serve_for_browser

WUKONG_CLUSTER_ASSETS=$("$here/build.sh")
export WUKONG_CLUSTER_ASSETS
if [ -z "${IT_BIN:-}" ]; then
    cd "$root"
    # The human-readable half goes to standard error, the JSON half says where the binary is.
    IT_BIN=$(cargo test --features ssr --test it --no-run --message-format=json-render-diagnostics |
        sed -n 's/.*"name":"it".*"executable":"\([^"]*\)".*/\1/p')
fi

# With root's own rights where they suffice, else as root of a user namespace, which needs no rights.
if unshare --net true 2>/dev/null; then user=; else user=--map-root-user; fi
if ! unshare $user --net true 2>/dev/null; then
    echo "cluster: this machine lets nobody make a network namespace (unshare --map-root-user --net)" >&2
    exit 1
fi

TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/wukong-cluster.XXXXXX")
export TMPDIR
status=0
# The process namespace goes with its first process, and takes every server along.
unshare $user --net --pid --fork --kill-child --mount-proc sh -c '
    ip link set lo up && ip address add 10.90.0.1/16 dev lo || exit 1
    timeout --foreground --kill-after=5 "$@"
    exit $?' sh "${LIMIT:-1500}" "$IT_BIN" --ignored --test-threads=1 "$@" || status=$?
if [ "$status" = 0 ]; then rm -rf "$TMPDIR"; else echo "cluster: logs are in $TMPDIR" >&2; fi
exit "$status"
