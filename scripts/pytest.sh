#!/usr/bin/env bash
# Runs the Python tests of the runtime and of whole systems, and the commands of the docs.
set -eu
cd "$(dirname "$0")/.."
python=$1
"$python" -m pytest -q python/tests tests docs
