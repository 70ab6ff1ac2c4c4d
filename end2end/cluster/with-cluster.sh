#!/bin/sh
# Runs a command beside the program on a real control plane, and ends with its status:
#
#   end2end/cluster/with-cluster.sh npx playwright test --project=real-cluster
#   end2end/cluster/with-cluster.sh            a shell to look around in
#
# BASE_URL is the program's address and KUBECONFIG the administrator's. Both are in the namespace that run-tests.sh
# makes: a browser has to be started by the command, too.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
[ $# -gt 0 ] || set -- "${SHELL:-sh}"
# shellcheck disable=SC2089,SC2090 # a line that a shell reads
WUKONG_WITH_CLUSTER="cd '$PWD' && $*"
# shellcheck disable=SC2090
export WUKONG_WITH_CLUSTER
LIMIT=${LIMIT:-86400}
export LIMIT
exec "$here/run-tests.sh" real_cluster::browser::serve_for_browser --exact --nocapture
