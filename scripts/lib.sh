# shellcheck shell=bash
# shellcheck disable=SC2034 # what sourcing scripts use
# What every script here shares; sourced, never run. Tools and build output live in one cache folder outside the clone:
# `git clean` cannot lose half an hour of compiling, and a deleted cache only costs time.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/wukong-dashboard
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target}

# Versions that no lock file holds. wasm-bindgen's is read from Cargo.lock: the crate and the tool must be equal.
WASM_SPLIT_VERSION=0.2.4

cd "$ROOT"
mkdir -p "$CACHE"

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

locked_version() { # CRATE: its version in Cargo.lock
  awk -v crate="\"$1\"" '$1 == "name" && $3 == crate { getline; gsub(/"/, "", $3); print $3; exit }' Cargo.lock
}

# The npm tools are installed once for each package-lock.json; end2end/node_modules is a link to them.
npm_dir() { echo "$CACHE/npm/$(sha256sum end2end/package-lock.json | cut -c1-16)"; }

wasm_bindgen_dir() { echo "$CACHE/tools/wasm-bindgen-$(locked_version wasm-bindgen)"; }
wasm_split_dir() { echo "$CACHE/tools/wasm-split-$WASM_SPLIT_VERSION"; }

# Runs a command under a lock of the cache: two clones may build at the same time.
locked() { # NAME COMMAND…
  local name=$1
  shift
  (
    flock -n 9 || { say "waiting for another build's $name" && flock 9; }
    "$@"
  ) 9>"$CACHE/$name.lock"
}

# Where scripts/build leaves the program. WUKONG_TARGET is a Rust target triple, e.g. x86_64-unknown-linux-musl.
program() {
  local profile=release
  [ -z "${WUKONG_QUICK:-}" ] || profile=debug
  echo "$CARGO_TARGET_DIR/${WUKONG_TARGET:+$WUKONG_TARGET/}$profile/wukong-dashboard"
}
