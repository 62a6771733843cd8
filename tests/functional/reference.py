#!/usr/bin/env python3
"""Compares bitcoin-node with a live Bitcoin Core: names and arguments of all calls, blocks made by the generate calls, the
block template, and wallet files opened by the other program. BITCOIND_REFERENCE names Core's binary, BULKHEAD_BIN the folder of
ours. Ends with 1 if anything differs that is not listed below."""

import base64
import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

# Calls that only one of both has, with the reason.
ONLY_OURS = {"getsandboxinfo": "Bulkhead's own", "getzmqnotifications": "a Core built without ZMQ lacks it"}
ONLY_CORE = {"enumeratesigners": "external signers are not there yet"}
# First lines of help that differ, with the reason.
OTHER_ARGUMENTS = {}
ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
PASSPHRASE = "pass phrase"
LIMIT = 60  # seconds

differences = 0


def differs(what, core, ours):
    global differences
    if core != ours:
        differences += 1
        print(f"DIFFERS {what}\n  core: {core}\n  ours: {ours}")


class Node:
    def __init__(self, binary, folder, *options):
        self.folder = pathlib.Path(folder)
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            self.port = reserved.getsockname()[1]
        self.process = subprocess.Popen([
            binary, "-regtest", f"-datadir={folder}", f"-rpcport={self.port}", "-rpcuser=u", "-rpcpassword=p", "-listen=0",
            "-connect=0", "-dnsseed=0", "-fallbackfee=0.0002", "-keypool=10", "-printtoconsole=0", *options,
        ])
        deadline = time.monotonic() + LIMIT
        while True:
            try:
                self.call("getblockcount")
                return
            except (OSError, RuntimeError):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def answer(self, method, arguments, wallet=None):
        """The status and the text of the answer."""
        body = json.dumps({"id": 1, "method": method, "params": arguments}).encode()
        path = "" if wallet is None else f"wallet/{wallet}"
        secret = "Basic " + base64.b64encode(b"u:p").decode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{path}", body, {"Authorization": secret})
        try:
            with urllib.request.urlopen(request, timeout=LIMIT) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def call(self, method, *arguments, wallet=None):
        answer = json.loads(self.answer(method, arguments, wallet)[1])
        if answer["error"]:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(LIMIT)


def compare_calls(core, ours):
    names = [{line.split(" ")[0] for line in node.call("help").split("\n") if line and not line.startswith("==")} for node in (core, ours)]
    differs("calls that only Core has", sorted(names[0] - names[1] - ONLY_CORE.keys()), [])
    differs("calls that only we have", [], sorted(names[1] - names[0] - ONLY_OURS.keys()))
    for name in sorted(names[0] & names[1] - OTHER_ARGUMENTS.keys()):
        differs(f"arguments of {name}", *(node.call("help", name).split("\n")[0] for node in (core, ours)))


def compare_blocks(core, ours):
    for node in (core, ours):
        node.call("setmocktime", 1_700_000_000)
    for call in (("generatetoaddress", 120, ADDRESS), ("generatetodescriptor", 5, "raw(51)"), ("generateblock", ADDRESS, [])):
        differs(call[0], core.call(*call), ours.call(*call))
    best = core.call("getbestblockhash")
    differs("bytes of a block", core.call("getblock", best, 0), ours.call("getblock", best, 0))
    templates = [node.call("getblocktemplate", {"rules": ["segwit"]}) for node in (core, ours)]
    for template in templates:
        template.pop("longpollid")  # ends in a count of the node's own
    differs("block template", *templates)


def copy_blocks(source, target):
    for height in range(1, source.call("getblockcount") + 1):
        target.call("submitblock", source.call("getblock", source.call("getblockhash", height), 0))


def fill(node, name):
    """A wallet with all kinds of addresses, payments in and out, one unconfirmed, a locked coin and a flag."""
    node.call("createwallet", name)
    for kind in ("legacy", "p2sh-segwit", "bech32", "bech32m"):
        node.call("generatetoaddress", 2, node.call("getnewaddress", f"label {kind}", kind, wallet=name))
    node.call("generatetoaddress", 101, ADDRESS)
    node.call("sendtoaddress", ADDRESS, 1.5, "comment", "to", wallet=name)
    node.call("sendtoaddress", node.call("getnewaddress", wallet=name), 0.7, wallet=name)
    node.call("generatetoaddress", 1, ADDRESS)
    node.call("sendtoaddress", ADDRESS, 0.25, wallet=name)
    coin = node.call("listunspent", wallet=name)[0]
    node.call("lockunspent", False, [{"txid": coin["txid"], "vout": coin["vout"]}], True, wallet=name)
    node.call("setwalletflag", "avoid_reuse", True, wallet=name)


def contents(node, name):
    def ask(method, *arguments):
        return node.call(method, *arguments, wallet=name)

    info = ask("getwalletinfo")
    return {
        "descriptors": sorted(ask("listdescriptors", True)["descriptors"], key=lambda entry: entry["desc"]),
        "balances": ask("getbalances")["mine"],
        "transactions": sorted(
            (tx["txid"], tx["category"], tx["amount"], tx["confirmations"], tx.get("label"), tx.get("comment"), tx.get("to"))
            for tx in ask("listtransactions", "*", 1000)
        ),
        "labels": ask("listlabels"),
        "coins": sorted((coin["txid"], coin["vout"], coin["amount"], coin["desc"]) for coin in ask("listunspent")),
        "locked": ask("listlockunspent"),
        "info": [info[key] for key in ("walletname", "format", "txcount", "keypoolsize", "private_keys_enabled", "avoid_reuse", "flags")],
    }


def compare_wallet(source, target, name, encrypted):
    fill(source, name)
    if encrypted:
        source.call("encryptwallet", PASSPHRASE, wallet=name)
        source.call("walletpassphrase", PASSPHRASE, 60, wallet=name)
    before = contents(source, name)
    source.call("unloadwallet", name)
    copy_blocks(source, target)
    place = pathlib.Path("regtest/wallets") / name
    shutil.copytree(source.folder / place, target.folder / place)
    target.call("loadwallet", name)
    if encrypted:
        target.call("walletpassphrase", PASSPHRASE, 60, wallet=name)
    after = contents(target, name)
    for what in before:
        differs(f"{what} of wallet {name}", before[what], after[what])
    # Raises unless it is signed and accepted.
    target.call("sendtoaddress", ADDRESS, 0.1, wallet=name)
    target.call("unloadwallet", name)
    target.call("generatetoaddress", 1, ADDRESS)
    copy_blocks(target, source)


def main():
    reference = os.environ.get("BITCOIND_REFERENCE")
    if not reference:
        sys.exit("BITCOIND_REFERENCE must name Bitcoin Core's bitcoind")
    with contextlib.ExitStack() as stack:
        nodes = []
        for binary in (reference, os.path.join(os.environ["BULKHEAD_BIN"], "bitcoin-node")):
            node = Node(binary, stack.enter_context(tempfile.TemporaryDirectory()))
            stack.callback(node.end)
            nodes.append(node)
        core, ours = nodes
        compare_calls(core, ours)
        compare_blocks(core, ours)
        for source, target, name in ((core, ours, "from_core"), (ours, core, "from_us")):
            for encrypted in (False, True):
                compare_wallet(source, target, name + ("_encrypted" if encrypted else ""), encrypted)
    print(f"{differences} differences")
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
