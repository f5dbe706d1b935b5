#!/usr/bin/env bash
# Lints and type-checks the Python files of the project. lint-python.sh FOLDER_OF_TOOLS
set -eu
cd "$(dirname "$0")/.."
bin=$1
"$bin/ruff" check .
"$bin/ruff" format --check .
"$bin/mypy" python/pinnace/src python/pinnace-runtime/src
"$bin/mypy" tests/support tests/conftest.py
for folder in tests/serve tests/conformance tests/up tests/soak tests/interop tests/e2e; do
    MYPYPATH=$folder:tests/support "$bin/mypy" "$folder"
done
MYPYPATH=benches "$bin/mypy" benches
MYPYPATH=docs "$bin/mypy" docs tests/docs
