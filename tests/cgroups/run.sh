#!/bin/bash
# The tests of control groups where there are some to delegate: in a virtual machine with the kernel of a Debian release, which
# gives memory, pids and cpu to version 2. Emulated, so that it needs no support of the processor. Needs root (debootstrap), qemu,
# cpio and zstd.
#
#   run.sh [release] [filter of the tests]
set -euo pipefail
release=${1:-trixie}
filter=${2:-cgroups::}
root=$BULKHEAD_CACHE/root-$release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

[ "$(id -u)" = 0 ] || { echo "a root of another release can be made by root only" >&2; exit 2; }
for tool in debootstrap qemu-system-x86_64 cpio zstd; do
  command -v $tool >/dev/null || { echo "$tool is missing: install it first" >&2; exit 2; }
done
cd "$(dirname "$0")/../.."
tests/glibc/root.sh "$release"
kernel=$BULKHEAD_CACHE/kernel-$release
if [ ! -e "$kernel" ]; then
  install -m 644 /etc/resolv.conf "$root/etc/resolv.conf"
  chroot "$root" sh -euc '
    apt-get -qq update
    cd /tmp
    apt-get -qq -o APT::Sandbox::User=root download \
      "$(apt-cache depends linux-image-amd64 | sed -n "s/.*Depends: \(linux-image[^ ]*\).*/\1/p" | head -n 1)"'
  dpkg-deb --extract "$root"/tmp/linux-image-*.deb "$work/kernel"
  rm "$root"/tmp/linux-image-*.deb
  install -m 644 "$work"/kernel/boot/vmlinuz-* "$kernel"
fi

# Everything in memory: the root, our programs, and an init that runs the tests.
mkdir -p "$work"/root/{proc,sys,dev,tmp,root,bulkhead}
(cd "$root" && tar c --exclude=usr/share/{doc,locale,man} etc usr bin lib lib64 sbin) | tar x -C "$work/root"
for program in node chain net rpc wallet keystore notify; do
  strip -o "$work/root/bulkhead/bitcoin-$program" "$BULKHEAD_BIN/bitcoin-$program"
done
tests=$(cargo test --release --locked -p bulkhead-tests --test security --no-run --message-format=json |
  sed -n 's/.*"executable":"\([^"]*security-[^"]*\)".*/\1/p')
strip -o "$work/root/bulkhead/tests" "$tests"
cat >"$work/root/init" <<INIT
#!/bin/sh
export PATH=/usr/bin:/usr/sbin BULKHEAD_BIN=/bulkhead HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm
mount -t tmpfs shm /dev/shm
mount -t tmpfs tmp /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# SIOCSIFFLAGS: the loopback interface is up.
perl -e '\$lo = pack("a16 s x22", "lo", 0x49); socket(S, 2, 2, 0) && ioctl(S, 0x8914, \$lo) or die "no loopback"'
uname -r
cat /sys/fs/cgroup/cgroup.controllers
/bulkhead/tests --nocapture $filter && echo "ALL PASSED"
echo o >/proc/sysrq-trigger
sleep 100
INIT
chmod +x "$work/root/init"
(cd "$work/root" && find . | cpio --quiet -o -H newc | zstd -q -1 -o "$work/initrd")
timeout 900 qemu-system-x86_64 -accel tcg -cpu max -m 4096 -smp 2 -nographic -no-reboot \
  -kernel "$kernel" -initrd "$work/initrd" -append "console=ttyS0 quiet panic=-1 rdinit=/init" </dev/null | tee "$work/said"
grep -q "^ALL PASSED" "$work/said" && ! grep -q SKIPPED "$work/said"
