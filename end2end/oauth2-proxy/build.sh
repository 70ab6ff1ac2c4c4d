#!/bin/sh
# Builds oauth2-proxy out of the Go module proxy, once for each state of go.mod and go.sum, and prints the path of the
# program as its last line. About 2 minutes on 2 cores the first time, nothing after.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/wukong-dashboard/oauth2-proxy
version=$(cat "$here/go.mod" "$here/go.sum" | sha256sum | cut -c1-16)
program=$cache/$version/oauth2-proxy
mkdir -p "$cache/$version"

# Two runs at the same time build once.
exec 9>"$cache/lock"
flock 9
if [ ! -x "$program" ]; then
    command -v go >/dev/null || { echo "oauth2-proxy: Go 1.26 or later is needed to build it" >&2; exit 1; }
    echo "oauth2-proxy: building, about 2 minutes" >&2
    cd "$here"
    CGO_ENABLED=0 GOFLAGS="-mod=readonly -buildvcs=false" GOWORK=off nice -n 10 \
        go build -trimpath -ldflags="-s -w" -o "$program.new" github.com/oauth2-proxy/oauth2-proxy/v7
    mv "$program.new" "$program" # at once: a build that was cut short leaves nothing behind
fi
echo "$program"
