#!/bin/sh
# Stands in for `pinnace guard --grace 5s -- COMMAND` in unit tests, where the binary is not built yet.
shift 4
exec "$@"
