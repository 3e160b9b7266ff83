# Commands of this repository. `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
CONTROLPLANE := $(TARGET)/controlplane
CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(TARGET)/tools/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny
CARGO_FUZZ_VERSION := 0.13.1
CARGO_FUZZ := $(TARGET)/tools/cargo-fuzz-$(CARGO_FUZZ_VERSION)/bin/cargo-fuzz
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))

# Cargo is always asked for the whole workspace: for a part of it, it would build the dependencies again with that part's features.

.PHONY: help
help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: controlplane ## Show the operator at work on a local control plane (ONCE=1 stops by itself)
	@echo "==> building the operator, the emulator and the demo"
	cargo build --locked --workspace --bins --example demo
	@$(TARGET)/debug/examples/demo

.PHONY: test
test: controlplane ## Run all tests, on a real API server
	@echo "==> building the operator and the emulator"
	cargo build --locked --workspace --bins
	@echo "==> building and running the tests"
	@# Most tests wait for something most of the time.
	RUST_TEST_THREADS=10 cargo test --locked --workspace
	@echo "==> testing the control plane itself"
	$(GO) test -ldflags '-s -w' .
	@echo "==> all tests passed"

.PHONY: fuzz
fuzz: $(CARGO_FUZZ) ## Feed the parsers what a fuzzer makes up, FUZZ_SECONDS=60 for each of FUZZ_TARGETS
	@# No address sanitizer: it needs a nightly toolchain, and would look for what `unsafe_code = "deny"` rules out.
	$(CARGO_FUZZ) build --sanitizer none --target-dir $(TARGET)/fuzz
	@for target in $(FUZZ_TARGETS); do \
	    echo "==> fuzzing $$target for $(FUZZ_SECONDS) s"; \
	    mkdir -p fuzz/corpus/$$target; \
	    log=$(TARGET)/fuzz/$$target.log; \
	    $(CARGO_FUZZ) run --sanitizer none --target-dir $(TARGET)/fuzz $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	        -max_total_time=$(FUZZ_SECONDS) -max_len=8192 -timeout=20 -print_final_stats=1 > $$log 2>&1 || { cat $$log; exit 1; }; \
	    sed -n 's/^stat::number_of_executed_units: /    inputs: /p' $$log; \
	done
	@echo "==> nothing found by $(words $(FUZZ_TARGETS)) fuzz targets"

.PHONY: model
model: ## Explore the decisions exhaustively, seven million states (about 25 minutes)
	@echo "==> building the model, optimised"
	cargo build --locked --profile model --workspace --test model
	cargo test --locked --profile model --workspace --test model -- --include-ignored --nocapture --test-threads 1

.PHONY: crash
crash: controlplane ## Kill the operator around every request it makes (SCENARIOS="renew,revoke" for some only)
	@echo "==> building the operator and the crash matrix"
	cargo test --locked --quiet --workspace --test crash --no-run
	SCENARIOS='$(SCENARIOS)' cargo test --locked --quiet --workspace --test crash -- --ignored --nocapture

.PHONY: soak
soak: controlplane ## Run 1,000 users for 20 minutes with edits, faults and restarts, then create 10,000 (SOAK_SECONDS, SOAK_NEW=0, …)
	@echo "==> building the operator and the run, optimised"
	cargo build --locked --release --workspace --bins --example load
	@$(TARGET)/release/examples/load soak

.PHONY: bench
bench: controlplane ## Measure speed and memory against their budgets, up to BENCH_NEW=10000 users (about ten minutes)
	@echo "==> building the operator and the run, optimised"
	cargo build --locked --release --workspace --bins --example load
	@$(TARGET)/release/examples/load bench

.PHONY: sdk-test
sdk-test: ## Run the official Python and JavaScript SDKs against the emulator
	cargo build --locked --workspace --bins
	tests/sdk/run $(TARGET)/debug/acs-emulator

.PHONY: lint
lint: $(CARGO_DENY) ## Check format, lints, documentation, dependencies and layers
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
	cargo test --locked --quiet --workspace --test layers
	@# The programs for the fuzzer, which are no part of the workspace; what they call is run by the tests.
	RUSTFLAGS="--cfg fuzzing" cargo check --locked --quiet --manifest-path fuzz/Cargo.toml --target-dir $(TARGET)/fuzz-check
	@# Security advisories are a git repository of their own, so they need more network than a package registry:
	@# `$(CARGO_DENY) check advisories` by hand or on a schedule.
	$(CARGO_DENY) --locked check bans licenses sources
	@unformatted=$$(gofmt -l tests/controlplane); test -z "$$unformatted" || { echo "gofmt: $$unformatted"; exit 1; }
	$(GO) vet .

.PHONY: crds
crds: ## Write the CustomResourceDefinitions of the Rust types to crds/
	UPDATE_CRDS=1 cargo test --locked --quiet --workspace --lib the_committed_definitions_are_those_of_the_types

.PHONY: docs
docs: controlplane ## Write the pages of docs/ that are generated from the code and from what it does
	UPDATE_DOCS=1 cargo test --locked --quiet --workspace --lib the_committed_page_of_reasons_is_that_of_the_enum
	UPDATE_DOCS=1 cargo test --locked --quiet --workspace --test e2e -- the_committed_page_shows_what_kubectl_describe_prints a_life_reads_in_the_text_log

.PHONY: controlplane
controlplane: $(CONTROLPLANE)/controlplane ## Build the local control plane and kubectl

# One set of flags for everything: Go compiles the 2,400 packages once for each.
GO := cd tests/controlplane && CGO_ENABLED=0 GOFLAGS='-trimpath -buildvcs=false' go

$(CONTROLPLANE)/controlplane: $(filter-out %_test.go,$(wildcard tests/controlplane/*.go)) tests/controlplane/go.mod tests/controlplane/go.sum
	@echo "==> building a Kubernetes control plane and kubectl (about six minutes the first time)"
	@mkdir -p $(CONTROLPLANE)
	@version=$$($(GO) list -m -f '{{.Version}}' k8s.io/kubernetes); minor=$${version#v1.}; \
	stamp=k8s.io/component-base/version; \
	$(GO) build -v -o $(CONTROLPLANE)/ \
	    -ldflags "-s -w -X $$stamp.gitVersion=$$version -X $$stamp.gitMajor=1 -X $$stamp.gitMinor=$${minor%%.*}" \
	    . k8s.io/kubernetes/cmd/kubectl 2>&1 \
	    | awk '/[ :#]/ { print; next } ++n % 200 == 0 { print "    " n " packages" } { fflush() }'

$(CARGO_FUZZ):
	@echo "==> building cargo-fuzz $(CARGO_FUZZ_VERSION), once"
	cargo install --locked --debug --root $(@D)/.. cargo-fuzz --version $(CARGO_FUZZ_VERSION)

$(CARGO_DENY):
	@echo "==> building cargo-deny $(CARGO_DENY_VERSION), once"
	cargo install --locked --debug --root $(@D)/.. cargo-deny --version $(CARGO_DENY_VERSION)
