# What a person can do here. `make check` is what CI runs.
.PHONY: help demo test test-gpio test-ha test-nodered test-boards board-binary test-board test-install test-deploy test-package test-arm dist dist-repro deb check fmt fmt-check lint deny kills noise sparkplug setup docs-devices bench fuzz corpora
.DEFAULT_GOAL := help

PROFILE ?= dev

help: ## list what can be done here
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

demo: ## build, then show the gateway on simulated hardware (under two minutes)
	cargo run --quiet --profile $(PROFILE) -- demo $(DEMO)

setup: ## install what the tests need beside Rust: cargo-nextest, Python packages in .venv, libmodbus, socat, kernels for emulated boards, a Debian to boot
	cargo nextest --version >/dev/null 2>&1 || cargo install --locked cargo-nextest
	bash tests/interop/setup.sh
	bash tests/boards/setup.sh
	bash tests/aarch64/setup.sh
	bash tests/package/setup.sh
	bash tests/deploy/setup.sh

# Tests whose lab is missing are filtered out, so that they count as skipped; setup has said why.
LAB = $(shell bash tests/boards/filter.sh)

# Most tests wait for lines of real baud, processes and back-offs: half as many again as there are processors.
THREADS = $(shell echo $$(( $$(nproc) * 3 / 2 )))

test: setup ## everything the tests need, then the tests
	cargo nextest run --all-targets --test-threads $(THREADS) $(LAB) $(NEXTEST)

test-gpio: ## contactors and S0 meters on a real kernel GPIO chip, in qemu
	RETROVOLT_REQUIRE_LAB=1 bash tests/boards/setup.sh amd64
	cargo nextest run --test gpio

test-ha: ## a real Home Assistant and a real broker: what they make of the gateway (about 2 GB are loaded once)
	bash tests/interop/setup.sh
	bash tests/ha/setup.sh
	@if [ -e .lab/ha/missing ]; then echo "test-ha: SKIPPED, $$(cat .lab/ha/missing)"; else bash tests/ha/run.sh; fi

test-nodered: ## the Node-RED example of docs/mqtt.md in a real Node-RED (about 100 MB are loaded once)
	bash tests/interop/setup.sh
	bash tests/nodered/setup.sh
	@if [ -e .lab/nodered/missing ]; then echo "test-nodered: SKIPPED, $$(cat .lab/nodered/missing)"; else bash tests/nodered/run.sh; fi

test-boards: board-binary ## a serial line through a real 16550, and an arm64 board with a real GPIO chip, in qemu
	RETROVOLT_REQUIRE_LAB=1 bash tests/boards/setup.sh
	bash tests/interop/setup.sh
	RETROVOLT_REQUIRE_LAB=1 bash tests/boards/filter.sh
	cargo nextest run --test boards -E 'not test(/^processor::/)'

BOARD = aarch64-unknown-linux-musl

board-binary: ## static programs for arm64: the gateway that an emulated board runs, and unit tests (four minutes at first)
	bash tests/aarch64/build.sh

test-board: board-binary ## a session through a reboot of a whole emulated arm64 Debian, clock at 1970 (needs root; ten minutes)
	RETROVOLT_REQUIRE_LAB=1 bash tests/boards/setup.sh arm64
	bash tests/interop/setup.sh
	bash tests/aarch64/build.sh --fresh
	cargo build --bin retrovolt
	rm -rf target/board && bash deploy/debian/build arm64 $$(ls -t target/cross/$(BOARD)/*/retrovolt | head -1) 0.1.0-1 target/board target/debug/retrovolt
	bash tests/boards/debian.sh target/board/*_arm64.deb
	cargo nextest run --profile campaign --no-capture --run-ignored only --test boards -E 'test(/^debian::/)'

test-install: ## docs/install.md, tried as written in a bare Debian with a simulated charger
	bash tests/interop/setup.sh
	RETROVOLT_REQUIRE_LAB=1 bash tests/package/setup.sh
	cargo nextest run --test package page::

test-deploy: ## hooks of update managers, enrolment, provisioning
	RETROVOLT_REQUIRE_LAB=1 bash tests/deploy/setup.sh
	cargo nextest run --test deploy

SUITE ?= trixie

test-package: ## the Debian package, installed where systemd boots it: faults, upgrade, remove, purge (SUITE=bookworm: there)
	RETROVOLT_SUITE=$(SUITE) RETROVOLT_REQUIRE_LAB=1 bash tests/package/setup.sh
	RETROVOLT_SUITE=$(SUITE) cargo nextest run --test package

test-arm: board-binary ## the pure rooms and the demo on an emulated 64-bit ARM processor
	RETROVOLT_REQUIRE_LAB=1 bash tests/aarch64/setup.sh
	bash tests/aarch64/build.sh --fresh
	cargo nextest run --test boards -E 'test(/^processor::/)'

dist: ## everything of a release in dist/: binaries and packages for x86_64, aarch64 and armv7, SBOM, sums (docs/releasing.md)
	deploy/dist

dist-repro: ## promise X5: build one target twice in different folders and compare
	deploy/cross/repro $(TARGET)

deb: ## a package of this machine's build, in dist/
	cargo build --release
	deploy/debian/build $$(dpkg --print-architecture) target/release/retrovolt $$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)-1 dist

check: fmt-check lint deny test ## all that CI checks

fmt: ## format the code
	cargo fmt

fmt-check:
	cargo fmt --check

lint: ## clippy, warnings are errors
	cargo clippy --all-targets -- -D warnings

deny: ## licences, sources, bans (advisories where the database can be reached)
	bash .ci/deny

docs-devices: ## write docs/devices/ anew from the profiles
	UPDATE_DOCS=1 cargo test --quiet --test sim the_pages_of_devices

kills: ## promise D1 at campaign size: 10,000 kills
	RETROVOLT_KILLS=10000 cargo nextest run --profile campaign --test gateway kills

noise: ## promise S1 at campaign size: 1,000,000 damaged frames
	RETROVOLT_NOISE=1000000 cargo nextest run --profile campaign --lib s1_no_damaged_frame

sparkplug: setup ## promise U8 at campaign size: 100,000 messages of a node over 20 reconnects, read by a foreign host
	RETROVOLT_SPARKPLUG=100000 cargo nextest run --profile campaign --test sparkplug twenty_reconnects

bench: setup ## what the figures of bus poller, broker and memory are measured with; fails where a goal is missed (docs/benches.md)
	cargo bench --no-fail-fast --bench bus --bench broker --bench memory -- --check

FUZZ ?= 60

fuzz: ## run every fuzz target for FUZZ seconds (needs nightly and cargo-fuzz); findings go to fuzz/artifacts
	cargo +nightly fuzz build
	for target in $$(cargo +nightly fuzz list); do \
	  cargo +nightly fuzz run $$target -- -max_total_time=$(FUZZ) -max_len=4096 -timeout=10 || exit 1; done

corpora: ## grow fuzz/corpus by inputs that make a parser do something new (TARGET=name: only one), and note their outcomes
	cargo nextest run --profile campaign --test fuzz_corpora --run-ignored only grow_the_corpora
	UPDATE_CORPORA=1 cargo nextest run --test fuzz_corpora every_committed_input
