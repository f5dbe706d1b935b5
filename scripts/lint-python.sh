#!/usr/bin/env bash
# Lints and type-checks every Python file of the project. lint-python.sh ENVIRONMENT
set -eu
cd "$(dirname "$0")/.."
bin=$1/bin
"$bin/ruff" check .
"$bin/ruff" format --check .
"$bin/mypy" --strict python/pinnace/src python/pinnace-runtime/src
"$bin/mypy" --strict tests benches docs
