# What a person can do here. `make check` is what CI runs.
.PHONY: help demo test check fmt fmt-check lint deny kills noise setup docs-devices
.DEFAULT_GOAL := help

PROFILE ?= dev

help: ## list what can be done here
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

demo: ## build, then show the gateway on simulated hardware (under two minutes)
	cargo run --quiet --profile $(PROFILE) -- demo $(DEMO)

setup: ## install what the tests need beside Rust: cargo-nextest, Python packages in .venv, libmodbus, socat
	cargo nextest --version >/dev/null 2>&1 || cargo install --locked cargo-nextest
	bash tests/interop/setup.sh

test: setup ## everything the tests need, then the tests
	cargo nextest run --all-targets $(NEXTEST)

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
