#!/bin/bash
# Library drift: the security, integration and sandbox tests with the C library of another Debian release, under the same
# policies. The programs are those of `make build`; only the libraries that they load are newer. Needs root (debootstrap, chroot).
#
#   run.sh [release] [filter of cargo-nextest]
set -euo pipefail
release=${1:-trixie}
# Without the test that every rule is needed: a newer library may do without some. And without the one that reads symbols of the
# program with binutils, which this root does not have: they are the same.
filter=${2:-'((package(bulkhead-tests) and (binary(security) or binary(integration))) or package(bulkhead-sandbox)) and not test(minimality) and not test(libraries_of_cpp)'}
checkout=$(cd "$(dirname "$0")/../.." && pwd)
root=$BULKHEAD_CACHE/root-$release

[ "$(id -u)" = 0 ] || { echo "a root of another release can be made and entered by root only" >&2; exit 2; }
for tool in debootstrap cargo-nextest; do
  command -v $tool >/dev/null || { echo "$tool is missing: install it first" >&2; exit 2; }
done
"$checkout/tests/glibc/root.sh" "$release"

archive=$root/tmp/tests.tar.zst
cd "$checkout"
cargo nextest archive --release --locked -p bulkhead-tests -p bulkhead-sandbox --archive-file "$archive" >/dev/null
install -D "$(command -v cargo-nextest)" "$root/usr/local/bin/cargo-nextest"

export checkout root filter
# A mount namespace of our own: nothing stays mounted. The root is changed with pivot_root, because a process in a chroot may
# make no user namespace.
exec unshare --mount --propagation private bash -euc '
  mount --rbind "$root" "$root"
  cd "$root"
  for place in /proc /dev /sys "$checkout" "$BULKHEAD_BIN" ${BULKHEAD_TEST_DATA:-}; do
    mkdir -p "$root$place"
    mount --rbind "$place" "$root$place"
  done
  mkdir -p .old
  pivot_root . .old
  umount --lazy .old
  ldd --version | head -n 1
  cd "$checkout"
  exec env -i HOME=/root PATH="$PATH" BULKHEAD_BIN="$BULKHEAD_BIN" ${BULKHEAD_TEST_DATA:+BULKHEAD_TEST_DATA="$BULKHEAD_TEST_DATA"} \
    cargo-nextest nextest run --archive-file /tmp/tests.tar.zst --workspace-remap "$checkout" --no-fail-fast -E "$filter"
'
