# The commands of this project; CI calls the same ones.
#
# Build output goes to $CARGO_TARGET_DIR where that is set, else to target/: cargo's files and the Python environments of
# the tests. Nothing else is written.

SHELL      := bash
PYTHON     ?= python3
TARGET     := $(abspath $(or $(CARGO_TARGET_DIR),target))
TEST_ENV   := $(TARGET)/test-env
BENCH_ENV  := $(TARGET)/bench-env

export CARGO_TARGET_DIR := $(TARGET)
# The extension module is compiled for one interpreter, by every command the same, or cargo compiles it again each time.
export PYO3_PYTHON := $(shell $(PYTHON) -c 'import sys; print(sys.executable)')

.PHONY: help build build-dev demo test docs-test soak soak-short bench lint generate clean needs shop

help:
	@echo 'make build       the binary and its Python runtime, in release mode'
	@echo 'make demo        the shop in examples/shop, running: prints the links; Ctrl-C ends it'
	@echo 'make test        everything that must always hold'
	@echo 'make docs-test   the commands of the handbook; DOCS=docs/system.md for one chapter'
	@echo 'make soak        the shop under load and faults, kills at any moment, nonsense; SOAK="load --seconds 600" for one of them'
	@echo 'make bench       figures beside those of peers; BENCH="--only wsgi-flask" for one of them'
	@echo 'make lint        formatters, linters, type checkers, licences, the rules of the house'
	@echo 'make generate    write the generated files again'

build: needs
	cargo xtask runtime --python $(PYTHON) -- --package pinnace-cli

demo: shop
	cd examples/shop && PATH=$(TARGET)/release:$$PATH pinnace up

## What must hold

test: build-dev $(TEST_ENV)/ready
	cargo test --workspace
	PINNACE_BIN=$(TARGET)/debug/pinnace PINNACE_LOAD=$(TARGET)/debug/pinnace-load \
		scripts/pytest.sh $(TEST_ENV)/bin/python
	scripts/test-shop.sh $(PYTHON) $(TARGET)/shop-env
	$(DOCS_TEST)

DOCS_TEST = PINNACE_BIN=$(TARGET)/debug/pinnace scripts/test-docs.sh $(PYTHON) $(TARGET)/docs $(DOCS)

docs-test: build-dev
	$(DOCS_TEST)

build-dev: needs
	cargo xtask runtime --python $(PYTHON) --profile dev -- --workspace --bins --examples --lib

## What holds for long, and what it costs

SOAK_COMMAND = $(PYTHON) tests/soak/soak.py --binary $(TARGET)/release/pinnace \
	--generator $(TARGET)/release/pinnace-load --folder $(TARGET)/soak

# Without a scenario, what is thrown at the HTTP/1 codec for long as well.
soak: shop
	$(if $(SOAK),,cargo test --release --package pinnace-http --lib -- --ignored nonsense)
	$(SOAK_COMMAND) --log tests/soak/log.jsonl $(SOAK)

soak-short: shop
	$(SOAK_COMMAND) --short --seed 1 $(SOAK)

bench: shop $(BENCH_ENV)/ready
	$(BENCH_ENV)/bin/python benches/bench.py --binary $(TARGET)/release/pinnace \
		--generator $(TARGET)/release/pinnace-load --results benches/results $(BENCH)
	$(BENCH_ENV)/bin/python benches/registry.py --binary $(TARGET)/release/pinnace

# One build for what the shop, its load and the benches need, so that what the packages share is compiled once.
shop: needs
	cargo xtask runtime --python $(PYTHON) -- --package pinnace-cli --package pinnace-load --package shop-shipping

$(BENCH_ENV)/ready: benches/requirements.txt
	$(PYTHON) -m venv --clear $(BENCH_ENV)
	$(BENCH_ENV)/bin/pip install --quiet --requirement benches/requirements.txt
	touch $@

lint: needs $(TEST_ENV)/ready
	cargo fmt --all --check
	cargo fmt --manifest-path tests/peers/rs-consul/Cargo.toml --check
	cargo clippy --workspace --all-targets -- --deny warnings
	cargo clippy --package pinnace-python --features abi3 -- --deny warnings
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
$(TEST_ENV)/ready: tests/requirements.txt python/tests/requirements.txt tests/conformance/requirements.txt
	$(PYTHON) -m venv --clear $(TEST_ENV)
	$(TEST_ENV)/bin/pip install --quiet --requirement tests/requirements.txt
	touch $@

clean:
	cargo clean
