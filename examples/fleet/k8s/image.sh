#!/bin/sh
# Builds the image: image.sh HELM [TAG]. HELM is a static helm, as those of Helm's releases are.
set -eu
helm=$1 tag=${2:-helmexec}
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
(cd "$here/../../.." && CGO_ENABLED=0 go build -trimpath -ldflags=-s -o "$dir/helmexec" ./cmd/helmexec)
cp "$helm" "$dir/helm"
cp "${CA_CERTIFICATES:-/etc/ssl/certs/ca-certificates.crt}" "$dir/ca-certificates.crt"
chmod 0755 "$dir/helm" "$dir/helmexec"
chmod 0644 "$dir/ca-certificates.crt"
buildah bud --tag "$tag" --file "$here/Dockerfile" "$dir"
