#!/usr/bin/env bash
# Builds Consul's agent from the Go module proxy, for the tests alone: build.sh FOLDER leaves FOLDER/consul.
# 1.14 is the last line under the MPL 2.0 whose modules the proxy has. About four minutes on two cores, 110 MB.
set -eu
version=v1.14.11
mkdir -p "$1"
folder=$(cd "$1" && pwd)
cd "$folder"
source=$(GOFLAGS=-mod=mod go mod download -json "github.com/hashicorp/consul@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
cp -r "$source" source
chmod -R u+w source
cd source
# Its own modules lie beside it only in its repository; the proxy has them as well.
for module in api proto-public sdk; do
    go mod edit -dropreplace="github.com/hashicorp/consul/$module"
done
GOCACHE=$folder/cache GOFLAGS='-mod=mod -buildvcs=false' go build -trimpath -ldflags '-s -w' -o "$folder/consul.new" .
mv "$folder/consul.new" "$folder/consul"
rm -rf "$folder/source" "$folder/cache"
