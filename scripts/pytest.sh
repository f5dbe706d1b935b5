#!/usr/bin/env bash
# Runs the Python tests: of the runtime, of one service, of whole systems. Each folder has its own helpers. pytest.sh PYTHON
set -eu
cd "$(dirname "$0")/.."
python=$1
for folder in python/tests tests/serve tests/conformance tests/up tests/soak tests/interop tests/e2e tests/docs; do
    "$python" -m pytest -q "$folder"
done
