#!/usr/bin/env bash
# Runs a command with a PostgreSQL of its own in TEST_POSTGRES_URL; without PostgreSQL on the machine, runs it without and says so.
# with-postgres.sh COMMAND…
#
# The server listens on a Unix socket in a folder that goes away with it, as the user `postgres` where this is root.
set -eu
programs=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
if [ -z "$programs" ]; then
    echo "left out: tests with PostgreSQL — install it with: sudo apt-get install postgresql" >&2
    exec "$@"
fi

folder=$(mktemp -d)
as_owner() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    chown postgres "$folder"
    as_owner() { runuser --user postgres -- "$@"; }
fi
stop() {
    as_owner "$programs/pg_ctl" stop --silent --mode immediate --pgdata "$folder/data" || true
    rm -rf "$folder"
}
trap stop EXIT
cd "$folder"
as_owner "$programs/initdb" --pgdata "$folder/data" --username test --auth trust --no-sync >"$folder/initdb.log" 2>&1 ||
    { cat "$folder/initdb.log" >&2; exit 1; }
as_owner "$programs/pg_ctl" start --silent --wait --pgdata "$folder/data" --log "$folder/log" \
    --options "-c listen_addresses='' -c unix_socket_directories='$folder' -c fsync=off" ||
    { cat "$folder/log" >&2; exit 1; }
chmod 755 "$folder"
cd - >/dev/null
TEST_POSTGRES_URL="postgresql://test@${folder//\//%2F}/postgres" "$@"
