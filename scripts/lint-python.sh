#!/usr/bin/env bash
# Lints and type-checks the Python files of the project. lint-python.sh FOLDER_OF_TOOLS
set -eu
cd "$(dirname "$0")/.."
bin=$1
"$bin/ruff" check .
"$bin/ruff" format --check .
"$bin/mypy" python/pinnace/src python/pinnace-runtime/src
MYPYPATH=tests/serve "$bin/mypy" tests/serve
MYPYPATH=tests/soak "$bin/mypy" tests/soak
MYPYPATH=benches "$bin/mypy" benches
MYPYPATH=tests/e2e "$bin/mypy" tests/e2e
MYPYPATH=docs "$bin/mypy" docs tests/docs
