# shellcheck shell=bash
# shellcheck disable=SC2034 # what sourcing scripts use
# What every script here shares; sourced, never run. Tools and build output live in one cache folder outside the clone:
# `git clean` cannot lose half an hour of compiling, and a deleted cache only costs time.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/wukong-dashboard
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target}

# How both halves are built: `release`, or `demo`, which compiles in a fraction of the time and optimises little.
PROFILE=${WUKONG_PROFILE:-release}
[[ $PROFILE = release || $PROFILE = demo ]] || { echo "error: WUKONG_PROFILE is release or demo, not $PROFILE" >&2 && exit 2; }

cd "$ROOT"
mkdir -p "$CACHE"

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Views of one erased type compile in a third of the time: what cargo-leptos does too while somebody works on pages.
ERASED="--cfg erase_components"
[ "$PROFILE" = release ] || [[ ${RUSTFLAGS:-} = *"$ERASED"* ]] || export RUSTFLAGS="${RUSTFLAGS:-} $ERASED"

# This machine, as Rust names it.
host() { rustc -vV | sed -n 's/^host: //p'; }

# Where a build is. Everything that leads from a clone to the program is one of these steps.
STEPS=5
step() { # NUMBER WHAT-IT-DOES HOW-LONG-THE-FIRST-TIME
  say "step $1 of $STEPS: $2 (the first time $3 on two cores)"
}

# The npm tools are installed once for each package-lock.json; end2end/node_modules is a link to them.
npm_dir() { echo "$CACHE/npm/$(sha256sum end2end/package-lock.json | cut -c1-16)"; }

# A tool of scripts/tools.txt: installed once for each version.
wheel_line() { grep "^astral-dev-toolchain-$1==" scripts/tools.txt; }
wheel_dir() { echo "$CACHE/tools/$1-$(wheel_line "$1" | sha256sum | cut -c1-16)"; }

# Runs a command under a lock of the cache: two clones may build at the same time.
locked() { # NAME COMMAND…
  local name=$1
  shift
  (
    flock -n 9 || { say "waiting for another build's $name" && flock 9; }
    "$@"
  ) 9>"$CACHE/$name.lock"
}

# What the program is compiled for: WUKONG_TARGET, a Rust target triple such as x86_64-unknown-linux-musl, else this
# machine. The demo names its machine: then RUSTFLAGS do not reach macros and build scripts, and both halves share them.
target() {
  if [ -n "${WUKONG_TARGET:-}" ] || [ "$PROFILE" = release ]; then
    echo "${WUKONG_TARGET:-}"
  else
    host
  fi
}

# Where scripts/build leaves the program.
program() {
  local target
  target=$(target)
  echo "$CARGO_TARGET_DIR/${target:+$target/}$PROFILE/wukong-dashboard"
}
