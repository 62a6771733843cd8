"""A network of network namespaces with latency and loss, without `tc netem`: each namespace has a TUN device, and one process
carries the packets between them. So it needs neither bridges nor a kernel with netem."""

import ctypes
import fcntl
import heapq
import json
import os
import random
import selectors
import socket
import struct
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
LATENCY = (0.01, 0.12)  # seconds one way, of a pair of hosts
JITTER = 0.1  # of the latency
LOSS = 0.01
FIRST_OCTET = 20  # each host in a /16 of its own, of addresses that nodes take for public


def address(number):
    return f"{FIRST_OCTET + number}.77.0.1"


def host_of(packet):
    """The number of the host that an IPv4 packet is for."""
    return packet[16] - FIRST_OCTET if len(packet) >= 20 and packet[0] >> 4 == 4 else None


class Host:
    """A network namespace: what `run` runs, and the processes that it starts, are in it."""

    def __init__(self, number):
        self.address = address(number)
        # One thread, because a namespace belongs to a thread.
        self.thread = ThreadPoolExecutor(max_workers=1)
        self.device = self.run(self._enter)

    def run(self, function, *arguments):
        return self.thread.submit(function, *arguments).result()

    def _enter(self):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "no new network namespace")
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH14x", b"tun0", IFF_TUN | IFF_NO_PI))
        for command in ("link set lo up", f"addr add {self.address}/8 dev tun0", "link set tun0 up", "route add default dev tun0"):
            subprocess.run(["ip", *command.split()], check=True)
        return device


class Switch:
    """Carries packets in a process of its own. `split` cuts the hosts into groups that do not hear each other."""

    def __init__(self, devices, seed):
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            self.control.close()
            try:
                carry(devices, theirs, random.Random(seed))
            finally:
                os._exit(1)
        theirs.close()

    def split(self, groups):
        self.control.send(json.dumps(groups).encode())

    def counts(self):
        """Packets carried and packets lost so far."""
        self.control.send(b"null")
        return json.loads(self.control.recv(1000))

    def close(self):
        self.control.close()
        os.waitpid(self.pid, 0)


def carry(devices, control, rng):
    """Runs until the other end of `control` is closed."""
    count = len(devices)
    latency = {(a, b): rng.uniform(*LATENCY) for a in range(count) for b in range(a)}
    groups = [0] * count
    waiting, last, number, lost = [], {}, 0, 0
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ, None)
    for source, device in enumerate(devices):
        selector.register(device, selectors.EVENT_READ, source)
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, target, packet = heapq.heappop(waiting)
            try:
                os.write(devices[target], packet)
            except OSError:
                lost += 1  # its queue is full
        pause = max(0, waiting[0][0] - now) if waiting else None
        for key, _ in selector.select(pause):
            if key.data is None:
                order = control.recv(100_000)
                if not order:
                    return
                order = json.loads(order)
                if order is None:
                    control.send(json.dumps([number, lost]).encode())
                else:
                    groups = order
                continue
            source = key.data
            for _ in range(64):
                try:
                    packet = os.read(devices[source], 65_536)
                except BlockingIOError:
                    break
                target = host_of(packet)
                if target is None or not 0 <= target < count or target == source:
                    continue
                if groups[source] != groups[target] or rng.random() < LOSS:
                    lost += 1
                    continue
                number += 1
                delay = latency[max(source, target), min(source, target)] * (1 + JITTER * rng.random())
                # In order, as on most ways.
                due = max(time.monotonic() + delay, last.get((source, target), 0))
                last[source, target] = due
                heapq.heappush(waiting, (due, number, target, packet))


def obstacle():
    """Why there can be no such network here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not os.path.exists("/dev/net/tun"):
        return "the kernel has no TUN devices (/dev/net/tun)"
    try:
        host = Host(0)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no network namespace with a TUN device: {error}"
    os.close(host.device)
    host.thread.shutdown()
    return None
