#!/usr/bin/env python3
"""Wallets on a node that started from a snapshot of the coins, at every step of the validation behind it.

The chain is that of Core's unit tests, whose block 110 is known to regtest: each coinbase pays to the key 1, a second apart."""

import contextlib
import os
import pathlib
import tempfile

from keys import base58, checked, public, wif
from pair import Both, run
from reference import Node
from wallets import filled

START, BASE, TIP = 1_598_887_952, 110, 125
OTHER = base58(b"\x6f" + bytes(20))
KEY = wif(bytes(31) + b"\1")


def source_chain(own):
    """Blocks from height 1 on and what a file of the coins holds at the base."""
    with contextlib.ExitStack() as stack:
        node = Node(os.environ["BITCOIND_REFERENCE"], stack.enter_context(tempfile.TemporaryDirectory()))
        stack.callback(node.end)
        for height in range(BASE):
            node.call("setmocktime", START + height)
            node.call("generatetodescriptor", 1, f"pk({public(node, KEY)})")
        coins = pathlib.Path(node.call("dumptxoutset", "coins.dat", "latest")["path"]).read_bytes()
        for height in range(BASE, TIP):
            node.call("setmocktime", START + 10 * height)
            node.call("generatetoaddress", 1, own if height % 3 == 0 else OTHER)
        return [node.call("getblock", node.call("getblockhash", height), 0) for height in range(1, TIP + 1)], coins


def look(pair):
    pair.same("getchainstates", mask=("verificationprogress", "coins_db_cache_bytes", "coins_tip_cache_bytes"))
    pair.same("getblockchaininfo", mask=("size_on_disk", "verificationprogress", "warnings", "initialblockdownload"))
    for wallet in pair.same("listwallets"):
        for call in (("getwalletinfo",), ("getbalances",), ("listunspent", 0), ("listtransactions", "*", 200), ("listdescriptors",)):
            pair.same(*call, wallet=wallet)


class Steps:
    def __init__(self, pair, backups):
        self.pair, self.backups, self.count = pair, backups, 0

    def step(self):
        """All that reads blocks for a wallet."""
        self.count += 1
        pair, count, desc = self.pair, self.count, checked(f"combo({KEY})")
        pair.each("rescanblockchain", (), 0, 50, (0, 50), BASE, BASE + 1, (BASE, BASE), (BASE + 1, BASE + 3), 1000, (5, 3), wallet="own")
        for when in ("now", 0, START, START + 50, START + 10 * BASE + 7300):
            name = f"new{count}{when}"
            pair.same("createwallet", name, False, True)
            pair.same("importdescriptors", [{"desc": desc, "timestamp": when}], wallet=name)
            pair.same("getwalletinfo", wallet=name)
            pair.same("getbalances", wallet=name)
            pair.same("unloadwallet", name)
            pair.same("loadwallet", name)
            pair.same("unloadwallet", name)
        for name in ("own", "old"):
            pair.same("unloadwallet", name)
            pair.same("loadwallet", name)
        for index, backup in enumerate(self.backups):
            pair.same("restorewallet", f"restored{count}{index}", backup)
        look(pair)
        for name in pair.nodes[0].call("listwallets"):
            if name.startswith("restored"):
                pair.same("unloadwallet", name)


def scenario(pair):
    pair.time(START + 10 * TIP)
    filled(pair, "own", b"own")
    own = pair.same("getnewaddress", wallet="own")
    pair.same("createwallet", "old", False, True)
    pair.same("importdescriptors", [{"desc": checked(f"combo({KEY})"), "timestamp": 0}], wallet="old")
    blocks, coins = source_chain(own)
    places = Both(*(str(node.folder / "coins.dat") for node in pair.nodes))
    for place in places.sides:
        pathlib.Path(place).write_bytes(coins)
    backups = [Both(*(str(node.folder / f"{name}.bak") for node in pair.nodes)) for name in ("own", "old")]
    for name, backup in zip(("own", "old"), backups):
        pair.same("backupwallet", backup, wallet=name)
    pair.each("loadtxoutset", (), 5, "")
    pair.same("loadtxoutset", places)
    for block in blocks:
        pair.same("submitheader", block[:160])
    pair.same("loadtxoutset", places)
    pair.same("loadtxoutset", places)
    steps = Steps(pair, backups)
    steps.step()
    for block in blocks[BASE:]:
        pair.same("submitblock", block)
    steps.step()
    # Backups of the wallets as they are after the snapshot.
    late = [Both(*(str(node.folder / f"{name}.late") for node in pair.nodes)) for name in ("own", "old")]
    for name, backup in zip(("own", "old"), late):
        pair.same("backupwallet", backup, wallet=name)
    steps.backups += late
    for block in blocks[: BASE // 2]:
        pair.same("submitblock", block)
    steps.step()
    for block in blocks[BASE // 2 : BASE]:
        pair.same("submitblock", block)
    steps.step()


if __name__ == "__main__":
    run(scenario)
