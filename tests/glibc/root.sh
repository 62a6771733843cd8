#!/bin/bash
# Makes the root of another Debian release below the cache, if it is not there.
#
#   root.sh release
set -euo pipefail
release=$1
root=$BULKHEAD_CACHE/root-$release
[ ! -e "$root/.complete" ] || exit 0
rm -rf "$root"
debootstrap --variant=minbase --include=procps,iproute2,netcat-openbsd "$release" "$root" >"$root.log" 2>&1 ||
  { tail -n 5 "$root.log" >&2; exit 1; }
touch "$root/.complete"
