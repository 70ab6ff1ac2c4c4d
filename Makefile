# The front door. `make help` lists the targets; the work itself is in scripts/, which run on their own too.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help demo test build run screenshots fmt lint audit fuzz size bench clean
ARGS ?=

help: ## this list
	@sed -n 's/^\([a-z]*\):.* ## /\1 \t/p' $(MAKEFILE_LIST) | expand -t 14

demo: ## install what is missing, build, and show a simulated cluster (ARGS="--vms 1000")
	@scripts/demo $(ARGS)

test: ## everything: format, lints, unit, integration, real control plane, size, browser
	@scripts/test

build: ## the release program, with everything inside it
	@scripts/setup build
	@scripts/build

run: ## serve the cluster of your kubeconfig (ARGS="--namespace shop")
	@scripts/run $(ARGS)

screenshots: ## pictures of every page, both languages, light and dark, into target/screenshots; the README's into docs/img
	@scripts/screenshots

fmt: ## format the code
	@cargo fmt --all && cargo fmt --manifest-path fuzz/Cargo.toml

lint: ## format check, clippy for both halves, licences and sources of what the program is made of
	@scripts/lint

audit: ## published advisories about what the program is made of (fetches their database)
	@scripts/audit

fuzz: ## the fuzz targets, a minute each (FUZZ_SECONDS=600); their inputs in fuzz/corpus are part of make test
	@scripts/fuzz

size: ## what the home page downloads, compressed; fails above 200 kB
	@scripts/setup test
	@scripts/build >/dev/null
	@scripts/size

clean: ## delete this project's build output from the cache (tools stay)
	@scripts/clean

bench: ## the design's targets for 10,000 VMs, each figure printed beside its own (a release build)
	@scripts/setup build
	@scripts/bench
