#!/usr/bin/env bash
# Runs the commands of the handbook. test-docs.sh PYTHON FOLDER [CHAPTER…]
#
# What its chapters install is fetched once into FOLDER and installed from there; PINNACE_BIN names the binary.
set -eu
cd "$(dirname "$0")/.."
python=$1
folder=$2
shift 2

if ! command -v curl >/dev/null; then
    echo "missing: curl — install it with: sudo apt-get install curl" >&2
    exit 1
fi
wanted=$("$python" --version; sha256sum docs/requirements.txt)
if [ "$(cat "$folder/ready" 2>/dev/null)" != "$wanted" ]; then
    rm -rf "$folder"
    "$python" -m venv "$folder/environment"
    "$folder/environment/bin/pip" download --quiet --dest "$folder/wheels" --requirement docs/requirements.txt
    "$folder/environment/bin/pip" install --quiet --no-index --find-links "$folder/wheels" --requirement docs/requirements.txt
    echo "$wanted" >"$folder/ready"
fi
"$folder/environment/bin/python" -B docs/run.py --wheels "$folder/wheels" "$@"
