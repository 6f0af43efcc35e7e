# The single front door. Logic lives in Rust; this file only names it.
CARGO ?= cargo
DENY_VERSION := 0.20.2
DENY := target/tools/bin/cargo-deny

.DEFAULT_GOAL := help
.PHONY: help demo test bench fmt lint deny build clean

help: ## Print every target with one line each
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build ## Show the whole loop; PROVIDER=cci|cci2|eci|cube|kubernetes|all, KEEP=1 leaves it running
	target/debug/demo

test: lint deny build ## Everything that guards main: lints, licences, unit, component and end-to-end tests
	$(CARGO) test --workspace --locked --quiet

bench: ## Comparison tables; writes target/bench/report.json
	$(CARGO) build --workspace --locked --release
	target/release/lab build
	target/release/load

fmt: ## Format all Rust code
	$(CARGO) fmt --all

lint: ## Formatting and clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

deny: $(DENY) ## Licences, banned crates and sources of every dependency
	$(DENY) --log-level warn check licenses bans sources

$(DENY):
	@echo "Building cargo-deny $(DENY_VERSION) (about two minutes the first time, then cached under target/tools)."
	$(CARGO) install --quiet --locked --root target/tools cargo-deny@$(DENY_VERSION)

build:
	$(CARGO) build --workspace --locked
	target/debug/lab build

clean: ## Remove everything that was built
	$(CARGO) clean
