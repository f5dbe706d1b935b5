#!/usr/bin/env bash
# Type-checks and tests each of the shop's services, in an environment of its own. test-shop.sh PYTHON ENVIRONMENTS [SERVICE…]
#
# A service finds the others' interpreters in <SERVICE>_PYTHON, so that its tests can start the real one it calls.
set -eu
postgres=$(cd "$(dirname "$0")" && pwd)/with-postgres.sh
cd "$(dirname "$0")/../examples/shop/services"
python=$1
environments=$2
shift 2

for folder in */; do
    service=${folder%/}
    [ -f "$service/requirements-dev.txt" ] || continue
    environment=$environments/$service
    wanted=$(cat "$service"/requirements*.txt | sha256sum)
    if [ "$(cat "$environment/ready" 2>/dev/null)" != "$wanted" ]; then
        "$python" -m venv --clear "$environment"
        more=()
        [ ! -f "$service/requirements-postgres.txt" ] || more=(--requirement "$service/requirements-postgres.txt")
        "$environment/bin/pip" install --quiet --requirement "$service/requirements-dev.txt" "${more[@]}"
        echo "$wanted" >"$environment/ready"
    fi
    variable=${service//-/_}
    export "${variable^^}_PYTHON=$environment/bin/python"
    services+=("$service")
done

[ $# -gt 0 ] || set -- "${services[@]}"
for service; do
    echo "== $service"
    (
        cd "$service"
        "$environments/$service/bin/python" -m mypy --cache-dir "$environments/$service/mypy"
        "$postgres" "$environments/$service/bin/python" -m pytest -q
    )
done
