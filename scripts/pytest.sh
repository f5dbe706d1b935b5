#!/usr/bin/env bash
# Runs the Python tests: of the runtime, then of whole programs. Each folder has its own helpers. pytest.sh PYTHON
set -eu
cd "$(dirname "$0")/.."
python=$1
for folder in python/tests tests/serve tests/soak tests/e2e tests/docs; do
    "$python" -m pytest -q "$folder"
done
