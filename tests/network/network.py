#!/usr/bin/env python3
"""Nodes in one network with latency and loss, churned: blocks and transactions from random nodes, connections and networks that
break, nodes and processes that are killed. In the end all have the same tip and the same coins, and no process has grown without
bound. BULKHEAD_BIN names the folder of the binaries; MINUTES, NODES and SEED may be set. Ends with 1 if anything went wrong, with
0 and a word about it where the machine permits no such network."""

import http.client
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time

from nodes import PATIENCE, WALLET, CallError, Node, memory
from switch import Host, Switch, address, obstacle

STEP = 0.7  # seconds between two events
WARM = 120  # seconds until the first look at the memory, at most half of the run
SETTLE = 180  # seconds until all have the same tip, at most
# A process may have more than at the first look, but not ever more.
GROWTH, ALLOWANCE = 1.5, 8 << 20
MEBIBYTE = 1 << 20
# Where the end of one process is not the end of the node.
MORTAL = ("bitcoin-net", "bitcoin-rpc", "bitcoin-wallet")


class Network:
    def __init__(self, count, seed, folder):
        self.rng = random.Random(seed)
        binary = os.path.join(os.environ["BULKHEAD_BIN"], "bitcoin-node")
        hosts = [Host(number) for number in range(count)]
        self.switch = Switch([host.device for host in hosts], seed)
        ring = [[address((number + step) % count) for step in (1, count // 2)] for number in range(count)]
        self.nodes = [Node(number, host, binary, folder, ring[number]) for number, host in enumerate(hosts)]
        self.restart = {}  # node to the time when it starts again
        self.heal = None  # when the groups hear each other again
        self.muted = {}  # node to the time when its network is switched on again
        self.excused = {}  # node to the time until which calls may fail
        self.events = {}
        self.failures = []

    def begin(self):
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait()
            node.call("createwallet", WALLET, False, False, "", False, True, True)
            node.address = node.call("getnewaddress", wallet=True)
        first = self.nodes[0]
        for node in self.nodes * 3:
            first.call("generatetoaddress", 1, node.address)
        first.call("generatetoaddress", 100, first.address)

    def up(self):
        return [node for node in self.nodes if node not in self.restart]

    def step(self):
        now = time.monotonic()
        for node, due in list(self.restart.items()):
            if due <= now:
                node.start()
                del self.restart[node]
                self.excused[node] = now + PATIENCE
        for node, due in list(self.muted.items()):
            if due <= now and self.ask(node, "setnetworkactive", True) is not None:
                del self.muted[node]
        if self.heal is not None and self.heal <= now:
            self.switch.split([0] * len(self.nodes))
            self.heal = None
        for node in self.up():
            code = node.process.poll()
            if code is not None:
                self.fail(f"{node} ended by itself with {code}\n{node.end_of_log()}")
                self.restart[node] = now
        names = ["mine", "send", "disconnect", "kill_node", "kill_process", "split", "mute", "stop"]
        event = self.rng.choices(names, [40, 40, 12, 2, 3, 2, 2, 2])[0]
        self.events[event] = self.events.get(event, 0) + 1
        getattr(self, event)(self.rng.choice(self.up()), now)

    def fail(self, text):
        self.failures.append(text)
        print(f"FAILURE: {text}", flush=True)

    def ask(self, node, method, *params, wallet=False):
        """The answer; None where the node may be unable to give one."""
        try:
            answer = node.call(method, *params, wallet=wallet)
        except CallError as error:
            if node not in self.excused:
                self.fail(str(error))
            return None
        except (OSError, http.client.HTTPException) as error:
            if node not in self.excused and node not in self.restart:
                self.fail(f"{node}: {method}: {error!r}")
            return None
        if self.excused.get(node, 0) < time.monotonic():
            self.excused.pop(node, None)
        return answer

    def mine(self, node, _):
        self.ask(node, "generatetoaddress", 1, node.address)

    def send(self, node, _):
        balance = self.ask(node, "getbalance", wallet=True)
        if balance is not None and balance > 0.1:
            self.ask(node, "sendtoaddress", self.rng.choice(self.nodes).address, 0.01, wallet=True)

    def disconnect(self, node, _):
        peers = self.ask(node, "getpeerinfo") or []
        if peers:
            try:
                node.call("disconnectnode", "", self.rng.choice(peers)["id"])
            except (CallError, OSError, http.client.HTTPException):
                pass  # that peer was gone already

    def kill_node(self, node, now):
        node.process.kill()
        node.process.wait()
        self.restart[node] = now + self.rng.uniform(0, 10)

    def kill_process(self, node, now):
        processes = node.processes()
        pids = processes.get(self.rng.choice(MORTAL), [])
        if pids:
            self.excused[node] = now + 15
            os.kill(pids[0], signal.SIGKILL)

    def stop(self, node, now):
        if self.ask(node, "stop") is not None:
            code = node.process.wait(PATIENCE)
            if code != 0:
                self.fail(f"{node} stopped with {code}\n{node.end_of_log()}")
            self.restart[node] = now + self.rng.uniform(0, 10)

    def split(self, _, now):
        """Both sides go on with branches of their own."""
        if self.heal is None:
            self.switch.split([self.rng.randrange(2) for _ in self.nodes])
            self.heal = now + self.rng.uniform(10, 25)

    def mute(self, node, now):
        if self.ask(node, "setnetworkactive", False) is not None:
            self.muted[node] = now + self.rng.uniform(1, 15)

    def calm(self):
        """Everything runs, everybody hears everybody."""
        self.switch.split([0] * len(self.nodes))
        for node in self.restart:
            node.start()
        self.restart.clear()
        for node in self.nodes:
            node.wait()
        for node in self.muted:
            node.call("setnetworkactive", True)
        self.excused.clear()

    def settle(self):
        """Seconds until all had the same tip."""
        begin = time.monotonic()
        while True:
            tips = [node.call("getbestblockhash") for node in self.nodes]
            if len(set(tips)) == 1:
                return time.monotonic() - begin
            if time.monotonic() - begin > SETTLE:
                heights = {str(node): (node.call("getblockcount"), node.call("getconnectioncount")) for node in self.nodes}
                self.fail(f"different tips after {SETTLE} s; (height, connections): {heights}")
                return float("inf")
            time.sleep(0.5)

    def usage(self, title):
        """Prints memory by kind of process; the mean of each, bytes."""
        kinds, peers = {}, []
        for node in self.up():
            for name, pids in node.processes().items():
                kinds.setdefault(name, []).extend(filter(None, map(memory, pids)))
                if name == "bitcoin-net":
                    connections = self.ask(node, "getconnectioncount")
                    if connections:
                        peers.append((memory(pids[0]), connections))
        print(f"memory {title}:")
        for name, used in sorted(kinds.items()):
            print(f"  {name:<18} {len(used):>3} processes, mean {statistics.mean(used) / MEBIBYTE:6.2f} MiB, "
                  f"largest {max(used) / MEBIBYTE:6.2f} MiB")
        if peers:
            each = sum(used for used, _ in peers) / sum(connections for _, connections in peers)
            print(f"  bitcoin-net: {statistics.mean(connections for _, connections in peers):.1f} peers per node, "
                  f"{each / 1024:.0f} KiB per peer", flush=True)
        return {name: statistics.mean(used) for name, used in kinds.items()}


def run(network, seconds):
    network.begin()
    print(f"{len(network.nodes)} nodes began; first agreement after {network.settle():.1f} s", flush=True)
    begin, early = time.monotonic(), None
    while time.monotonic() - begin < seconds:
        network.step()
        time.sleep(STEP)
        if early is None and time.monotonic() - begin > min(WARM, seconds / 2):
            early = network.usage(f"after {time.monotonic() - begin:.0f} s")
    network.calm()
    # Two branches may have the same work.
    network.nodes[0].call("generatetoaddress", 1, network.nodes[0].address)
    seconds = network.settle()
    late = network.usage("at the end")
    coins = {node.call("gettxoutsetinfo", "hash_serialized_3")["hash_serialized_3"] for node in network.nodes}
    if len(coins) != 1:
        network.fail(f"{len(coins)} different sets of coins")
    for name, bytes_used in late.items():
        if bytes_used > early.get(name, 0) * GROWTH + ALLOWANCE:
            network.fail(f"{name} grows: {early.get(name, 0) / MEBIBYTE:.2f} MiB, then {bytes_used / MEBIBYTE:.2f} MiB")
    first = network.nodes[0]
    branches = [tip["branchlen"] for tip in first.call("getchaintips")]
    carried, lost = network.switch.counts()
    print(f"events {network.events}; {carried} packets carried, {lost} lost")
    print(f"same tip after {seconds:.1f} s: height {first.call('getblockcount')}, {len(branches) - 1} other branches that node 0 knows, "
          f"the longest of {max(branches)} blocks")


def main():
    reason = obstacle()
    if reason:
        print(f"skipped: {reason}")
        return 0
    count = int(os.environ.get("NODES", 20))
    seconds = 60 * float(os.environ.get("MINUTES", 10))
    seed = int(os.environ.get("SEED", time.time()))
    print(f"SEED={seed}", flush=True)
    folder = tempfile.mkdtemp(prefix="bulkhead-network-")
    network = Network(count, seed, folder)
    try:
        run(network, seconds)
    finally:
        for node in network.nodes:
            if node.process:
                node.process.kill()
        network.switch.close()
    if network.failures:
        print(f"{len(network.failures)} failures; files are kept in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
