# `make demo` shows the main job; `make test` is what CI runs. Build products live in a cache outside the
# checkout, so that RocksDB and the kernel are compiled once per machine.
SHELL := /bin/bash
BULKHEAD_CACHE ?= $(HOME)/.cache/bulkhead
export BULKHEAD_CACHE
export CARGO_TARGET_DIR ?= $(BULKHEAD_CACHE)/target
BIN := $(CARGO_TARGET_DIR)/release
export BULKHEAD_BIN ?= $(BIN)
CARGO := cargo
PACKAGES := capnproto libcapnp-dev libclang-dev clang cmake g++ libboost-dev pkg-config python3-venv xvfb x11-utils x11-apps imagemagick xdotool fonts-dejavu-core libxkbcommon-x11-0 iproute2 netcat-openbsd procps

.PHONY: all build demo run test deps style unit functional reference security kill-test mutation network-test glibc-test cgroup-test bench deny fuzz-seeds fuzz fuzz-all fuzz-selftest fuzz-libfuzzer fuzz-coverage clean-cache

all: build

deps:
	@missing=(); for package in $(PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing+=($$package); done; \
	if [ $${#missing[@]} -gt 0 ]; then echo "installing: $${missing[*]}"; \
	  sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq "$${missing[@]}" >/dev/null; fi

build: deps
	$(CARGO) build --release --workspace --locked

demo: build
	tests/demo/demo.sh

run: build
	$(BIN)/bitcoin-node $(ARGS)

# Stages are named as a reader thinks: style, dependencies, unit (with integration and security), fuzz seeds, functional.
test: style deny unit fuzz-seeds functional

style: deps
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets --locked -- -D warnings
	cd fuzz && $(CARGO) fmt --all --check
	cd fuzz && $(CARGO) clippy --release --all-targets --locked -- -D warnings

unit: build
	@if command -v cargo-nextest >/dev/null; then \
	  $(CARGO) nextest run --release --workspace --locked --no-fail-fast; \
	else $(CARGO) test --release --workspace --locked --no-fail-fast; fi

fuzz-seeds: build
	cd fuzz && $(CARGO) test --release --locked

# A campaign on one target, or on all of them in turn: SECONDS each, JOBS processes. Findings are kept below
# $(BULKHEAD_CACHE)/fuzz; see fuzz/README.md.
SECONDS ?= 60
JOBS ?= 1
fuzz: deps
	@test -n "$(TARGET)" || { echo "make fuzz TARGET=name [SECONDS=60] [JOBS=1]; names:"; cd fuzz && $(CARGO) run -q --release --locked --bin fuzz -- --list; exit 2; }
	binary=$$(fuzz/build.sh driver) && $$binary $(TARGET) --seconds $(SECONDS) --jobs $(JOBS)

fuzz-all: deps
	binary=$$(fuzz/build.sh driver) && $$binary --all --seconds $(SECONDS) --jobs $(JOBS)

# Twenty planted faults, one at a time: each must be found in at most SECONDS. Most take a few.
fuzz-selftest: SECONDS = 180
fuzz-selftest: deps
	binary=$$(fuzz/build.sh planted) && nice -n 19 $$binary --selftest --seconds $(SECONDS)

fuzz-libfuzzer: deps
	binary=$$(fuzz/build.sh libfuzzer) && mkdir -p $(BULKHEAD_CACHE)/fuzz/corpus/$(TARGET) && cd $(BULKHEAD_CACHE)/fuzz && \
	  BULKHEAD_FUZZ_TARGET=$(TARGET) $$binary corpus/$(TARGET) $(CURDIR)/fuzz/corpus/$(TARGET) -max_total_time=$(SECONDS)

fuzz-coverage: deps
	fuzz/coverage.sh

# cargo-deny is compiled once per machine: five CPU minutes.
DENY := $(or $(shell command -v cargo-deny),$(BULKHEAD_CACHE)/tools/bin/cargo-deny)
deny: deps
	@test -x $(DENY) || $(CARGO) install --quiet --locked --root $(BULKHEAD_CACHE)/tools cargo-deny
	$(DENY) check bans licenses sources
	cd fuzz && $(DENY) --all-features --config ../deny.toml check bans licenses sources

functional: build
	tests/functional/run.py --list tests/functional/must-pass.txt -j 3

# Needs a bitcoind: BITCOIND_REFERENCE=<its binary>. Scenarios that still show open differences, or leave something to chance, run
# by name only: make reference DIFFERENTIAL="descriptors multisig spending snapshot".
DIFFERENTIAL := addresses wallets history mempool blocks peers
reference: build
	tests/functional/reference.py
	@failed=; for scenario in $(DIFFERENTIAL); do python3 tests/functional/differential/$$scenario.py || failed="$$failed $$scenario"; done; \
	  [ -z "$$failed" ] || { echo "differences in:$$failed"; exit 1; }

# `make unit` kills twenty times; this is the long run.
kill-test: build
	BULKHEAD_KILLS=$(or $(KILLS),300) BULKHEAD_SEED=$(or $(SEED),$(shell date +%s)) \
	  $(CARGO) test --release --locked -p bulkhead-tests --test integration -- --nocapture kill::

# The walls under the C library of another Debian release; needs root and the package debootstrap.
glibc-test: build
	tests/glibc/run.sh $(or $(RELEASE),trixie)

# The bounds of control groups on a kernel that has them to delegate, in a virtual machine; needs root, debootstrap, qemu, cpio and zstd.
cgroup-test: build
	tests/cgroups/run.sh $(or $(RELEASE),trixie)

# `make unit` takes a few rules out of the filters; this takes out each in turn (a quarter of an hour) and finds what nobody
# missed. PROCESS=net,rpc:close: of one process and of one call.
mutation: build
	BULKHEAD_MUTATIONS=$(or $(PROCESS),all) $(CARGO) test --release --locked -p bulkhead-tests --test security -- --nocapture mutation::

# Needs root and network namespaces; says so where they are not permitted.
network-test: build
	MINUTES=$(or $(MINUTES),10) NODES=$(or $(NODES),20) SEED=$(or $(SEED),$(shell date +%s)) tests/network/network.py

bench: build
	$(BIN)/bulkhead-bench
