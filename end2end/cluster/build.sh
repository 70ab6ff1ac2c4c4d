#!/bin/sh
# Builds etcd, kube-apiserver and metrics-server out of the Go module proxy, once for each state of go.mod and go.sum,
# and prints the folder that holds them as its last line. About 8 minutes on 2 cores the first time, nothing after.
#
# KUBEBUILDER_ASSETS, the convention of controller tests, is honoured: where that folder holds etcd and kube-apiserver,
# those are used and metrics-server alone is built.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/wukong-dashboard/cluster
version=$(cat "$here/go.mod" "$here/go.sum" | sha256sum | cut -c1-16)
assets=$cache/$version
if [ -x "${KUBEBUILDER_ASSETS:-/nowhere}/etcd" ] && [ -x "${KUBEBUILDER_ASSETS:-/nowhere}/kube-apiserver" ]; then
    assets=$cache/$version-with-assets
    mkdir -p "$assets"
    ln -sf "$KUBEBUILDER_ASSETS/etcd" "$KUBEBUILDER_ASSETS/kube-apiserver" "$assets/"
fi
mkdir -p "$assets"

say() { echo "cluster: $*" >&2; }

# Packages compiled so far, every 10 seconds: kube-apiserver alone is silent for minutes otherwise.
progress() { # name log total
    seconds=0
    while sleep 10; do
        seconds=$((seconds + 10))
        say "$1: $(wc -l <"$2") of at most $3 packages compiled, $seconds s"
    done
}

build() { # name package ldflags
    [ -x "$assets/$1" ] && return
    say "building $1 ($2)"
    log=$work/$1.log
    : >"$log"
    progress "$1" "$log" "$(go list -deps "$2" | wc -l)" &
    ticker=$!
    if ! nice -n 10 go build -v -p "$(nproc)" -trimpath -ldflags="-s -w $3" -o "$work/$1" "$2" 2>"$log"; then
        kill "$ticker"
        grep -v -E '^[a-zA-Z0-9./_-]+$' "$log" | tail -n 30 >&2
        say "building $1 failed"
        exit 1
    fi
    kill "$ticker"
    mv "$work/$1" "$assets/$1" # at once: a build that was cut short leaves nothing behind
}

# Two runs at the same time build once.
exec 9>"$cache/lock"
flock 9
work=$(mktemp -d "$assets/building.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$here"
export CGO_ENABLED=0 GOFLAGS="-mod=readonly -buildvcs=false" GOWORK=off
if [ ! -x "$assets/etcd" ] || [ ! -x "$assets/kube-apiserver" ] || [ ! -x "$assets/metrics-server" ]; then
    command -v go >/dev/null || { say "Go 1.26 or later is needed to build the control plane"; exit 1; }
    kubernetes=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
    build etcd go.etcd.io/etcd/server/v3 ""
    build metrics-server sigs.k8s.io/metrics-server/cmd/metrics-server ""
    build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver "-X k8s.io/component-base/version.gitVersion=$kubernetes"
fi
say "ready in $assets"
echo "$assets"
