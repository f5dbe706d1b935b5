# The commands of this project. `make demo` and `make test` are all that a newcomer needs; CI calls the same ones.
#
# Build output goes to $CARGO_TARGET_DIR where that is set, else to target/: cargo's files, the Python environments of
# the tests and the demo's copy of the shop. Nothing else is written.

SHELL      := bash
PYTHON     ?= python3
TARGET     := $(abspath $(or $(CARGO_TARGET_DIR),target))
TEST_ENV   := $(TARGET)/test-env
SHOP       := examples/shop

export CARGO_TARGET_DIR := $(TARGET)

.PHONY: help demo test soak soak-short bench lint build build-dev generate clean

help:
	@echo 'make demo        build, run the reference shop, print its links'
	@echo 'make test        everything that must always hold'
	@echo 'make lint        formatters, linters, type checkers, licences, the rules of the house'
	@echo 'make soak        faults and load for minutes; adds a line to tests/soak/log.jsonl'
	@echo 'make bench       figures, side by side with other servers in one run'
	@echo 'make generate    write the generated files again'

## What users see

demo: build
	@exec $(TARGET)/release/pinnace up --file $(SHOP)/pinnace.toml

build: needs
	cargo build --release --package pinnace-cli
	cargo xtask runtime --python $(PYTHON)

## What must hold

test: needs build-dev $(TEST_ENV)/ready
	cargo test --workspace
	PINNACE_BIN=$(TARGET)/debug/pinnace scripts/pytest.sh $(TEST_ENV)/bin/python
	PINNACE_BIN=$(TARGET)/debug/pinnace scripts/test-shop.sh $(PYTHON) $(TARGET)/shop-env

build-dev: needs
	cargo build --package pinnace-cli --package pinnace-load
	cargo xtask runtime --python $(PYTHON) --profile dev

soak: build $(TEST_ENV)/ready
	cargo build --release --package pinnace-load
	PINNACE_BIN=$(TARGET)/release/pinnace $(TEST_ENV)/bin/python -m tests.soak

soak-short: build $(TEST_ENV)/ready
	cargo build --release --package pinnace-load
	PINNACE_BIN=$(TARGET)/release/pinnace $(TEST_ENV)/bin/python -m tests.soak --short

bench: build $(TEST_ENV)/ready
	PINNACE_BIN=$(TARGET)/release/pinnace $(TEST_ENV)/bin/python -m benches

lint: needs $(TEST_ENV)/ready
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --workspace --no-deps --quiet
	cargo xtask check
	cargo deny --all-features check bans licenses sources
	scripts/lint-python.sh $(TEST_ENV)

generate:
	cargo xtask generate

## What the others stand on

.PHONY: needs
needs:
	@PYTHON=$(PYTHON) scripts/needs.sh

# One environment for the tests of the runtime, of whole systems and of the docs; made again when its list changes.
$(TEST_ENV)/ready: tests/requirements.txt python/tests/requirements.txt
	$(PYTHON) -m venv --clear $(TEST_ENV)
	$(TEST_ENV)/bin/pip install --quiet --requirement tests/requirements.txt
	touch $@

clean:
	cargo clean
