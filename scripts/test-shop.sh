#!/usr/bin/env bash
# Runs the own tests of each of the shop's services, in an environment of its own. test-shop.sh PYTHON ENVIRONMENTS
set -eu
cd "$(dirname "$0")/../examples/shop/services"
python=$1
environments=$2
for folder in */; do
    service=${folder%/}
    [ -f "$service/requirements-dev.txt" ] || continue
    environment=$environments/$service
    wanted=$(cat "$service"/requirements*.txt | sha256sum)
    if [ "$(cat "$environment/ready" 2>/dev/null)" != "$wanted" ]; then
        "$python" -m venv --clear "$environment"
        "$environment/bin/pip" install --quiet --requirement "$service/requirements-dev.txt"
        echo "$wanted" >"$environment/ready"
    fi
    echo "== $service"
    (cd "$service" && "$environment/bin/python" -m pytest -q)
done
