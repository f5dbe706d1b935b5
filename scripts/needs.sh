#!/usr/bin/env bash
# Says in one line each what this machine lacks, with the command that installs it on Debian.
set -u
python=${PYTHON:-python3}
missing=0

lacks() {
    echo "missing: $1 — install it with: $2" >&2
    missing=1
}

at_least() { # at_least WANTED HAVE
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

command -v cc >/dev/null || lacks "a C compiler" "sudo apt-get install gcc"
if ! command -v cargo >/dev/null; then
    lacks "Rust 1.95 or later" "rustup (https://rustup.rs), then: rustup toolchain install stable"
else
    have=$(cargo --version | cut -d' ' -f2)
    at_least 1.95.0 "$have" || lacks "Rust 1.95 or later (this is $have)" "rustup update stable"
fi
if ! command -v "$python" >/dev/null; then
    lacks "Python 3.10 or later" "sudo apt-get install python3 python3-venv"
elif ! "$python" -c 'import sys; raise SystemExit(sys.version_info < (3, 10))'; then
    lacks "Python 3.10 or later (this is $("$python" --version | cut -d' ' -f2))" "make PYTHON=/path/to/python3.11 …"
elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    lacks "Python's venv module" "sudo apt-get install python3-venv"
fi
exit $missing
