# The commands of this project; CI calls the same ones.
#
# Build output goes to $CARGO_TARGET_DIR where that is set, else to target/: cargo's files and the Python environments of
# the tests. Nothing else is written.

SHELL      := bash
PYTHON     ?= python3
TARGET     := $(abspath $(or $(CARGO_TARGET_DIR),target))
TEST_ENV   := $(TARGET)/test-env

export CARGO_TARGET_DIR := $(TARGET)

.PHONY: help build build-dev test lint generate clean needs

help:
	@echo 'make build       the binary and its Python runtime, in release mode'
	@echo 'make test        everything that must always hold'
	@echo 'make lint        formatters, linters, type checkers, licences, the rules of the house'
	@echo 'make generate    write the generated files again'

build: needs
	cargo build --release --package pinnace-cli
	cargo xtask runtime --python $(PYTHON)

## What must hold

test: build-dev $(TEST_ENV)/ready
	cargo test --workspace
	PINNACE_BIN=$(TARGET)/debug/pinnace scripts/pytest.sh $(TEST_ENV)/bin/python
	scripts/test-shop.sh $(PYTHON) $(TARGET)/shop-env

build-dev: needs
	cargo build --package pinnace-cli
	cargo xtask runtime --python $(PYTHON) --profile dev

lint: needs $(TEST_ENV)/ready
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --workspace --no-deps --document-private-items --quiet
	cargo xtask check
	cargo deny check bans licenses sources
	scripts/lint-python.sh $(TEST_ENV)/bin

generate:
	cargo xtask generate

## What the others stand on

needs:
	@PYTHON=$(PYTHON) scripts/needs.sh

# One environment for the tests of the runtime and of whole programs; made again when its list changes.
$(TEST_ENV)/ready: tests/requirements.txt python/tests/requirements.txt
	$(PYTHON) -m venv --clear $(TEST_ENV)
	$(TEST_ENV)/bin/pip install --quiet --requirement tests/requirements.txt
	touch $@

clean:
	cargo clean
