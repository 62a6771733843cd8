#!/usr/bin/env python3
"""What a peer sends and what follows: whether it is disconnected, what the log says of it, and what became of chain and mempool.
`--v2transport` is passed on."""

import copy
import os
import re
import struct

from faulty import all_kinds, chain, make
from framework import TIME, Notes, main
from test_framework.blocktools import add_witness_commitment
from test_framework.messages import (
    COIN, CBlockHeader, COutPoint, CTransaction, CTxIn, CTxOut, HeaderAndShortIDs, hash256, msg_block, msg_cmpctblock, msg_headers, msg_tx,
    ser_compact_size)
from test_framework.p2p import P2PInterface
from test_framework.script import OP_1, OP_DROP, OP_RETURN, CScript
from test_framework.test_framework import BitcoinTestFramework

# Of the log: what is said of peers and of what they sent.
TOLD = re.compile("isbehaving|isconnect|nvalid|ERROR|rphan|eject|accepted|mutated|Ignoring|unrequested|iscourag")
# Where a socket is closed, or a line of which only one program has its like, with the reason.
LEFT_OUT = re.compile("Resetting socket|connection from|accepted new peer|^BlockChecked|workset")
MALFORMED = (
    (b"tx", b""), (b"tx", b"\1"), (b"block", b""), (b"headers", b"\xff"), (b"headers", b"\xfd\xd1\x07"), (b"inv", b"\xfe\xff\xff\xff\x7f"),
    (b"inv", ser_compact_size(50_001) + bytes(36 * 50_001)), (b"getdata", ser_compact_size(50_001) + bytes(36 * 50_001)),
    (b"addr", ser_compact_size(1001) + bytes(30 * 1001)), (b"addrv2", ser_compact_size(1001) + bytes(10 * 1001)),
    (b"addrv2", b"\1\0\0\0\0\0\1\5\0\0\0\0\0"), (b"ping", b""), (b"ping", bytes(7)), (b"pong", b""), (b"pong", bytes(8)),
    (b"unknown", b"x"), (b"getblocks", b""), (b"getheaders", bytes(4) + ser_compact_size(102) + bytes(32 * 103)),
    (b"getblocks", bytes(4) + ser_compact_size(102) + bytes(32 * 103)), (b"feefilter", bytes(7)), (b"feefilter", b"\xff" * 8),
    (b"sendcmpct", b""), (b"sendcmpct", b"\1\x09" + bytes(7)), (b"version", b""), (b"verack", b""), (b"wtxidrelay", b""),
    (b"sendaddrv2", b""), (b"sendheaders", b""), (b"mempool", b""), (b"filterload", b""),
    (b"filterload", ser_compact_size(36_001) + bytes(36_010)), (b"filteradd", ser_compact_size(521) + bytes(521)), (b"filterclear", b""),
    (b"merkleblock", b""), (b"cmpctblock", b""), (b"getblocktxn", bytes(32) + b"\1\0"), (b"blocktxn", bytes(33)),
    (b"getcfilters", bytes(37)), (b"getcfheaders", bytes(37)), (b"getcfcheckpt", bytes(33)), (b"notfound", b"\0"),
    (b"sendtxrcncl", b"\1\0\0\0" + bytes(8)), (b"feature", b""), (b"feature", b"\1x\0"), (b"reject", b""), (b"getaddr", b""), (b"alert", b""),
)


class Raw:
    """A message of any bytes."""

    def __init__(self, kind, body):
        self.msgtype, self.body = kind, body

    def serialize(self):
        return self.body


class Scenario(Notes, BitcoinTestFramework):
    node_options = ("-debug=net", "-debug=mempool", "-debug=mempoolrej", "-debug=txpackages", "-debug=validation", "-acceptnonstdtxn=0")

    # The framework wants to see it in the class itself.
    set_test_params = Notes.set_test_params

    def run_test(self):
        self.begin(120)
        for part in (self.blocks, self.headers, self.transactions, self.orphans, self.bytes_of_any_kind):
            part()

    def told(self, start):
        with open(self.node.debug_log_path, "rb") as log:
            log.seek(start)
            lines = log.read().decode(errors="replace").split("\n")
        # Time, thread, source and category, which each program names in its own way.
        texts = [re.sub(r"^\S+ (\(mocktime: \S+\) )?(\[[^\]]*\] ?)*", "", line) for line in lines]
        texts = [re.sub(r"127\.0\.0\.1:\d+|peeraddr=\S+", "ADDRESS", re.sub(r"peer[= ]\d+", "peer N", text)) for text in texts]
        return sorted(text for text in texts if TOLD.search(text) and not LEFT_OUT.search(text))

    def peer(self):
        return self.node.add_p2p_connection(P2PInterface())

    def leave(self, peer):
        if peer.is_connected:
            peer.peer_disconnect()
        peer.wait_for_disconnect()
        self.wait_until(lambda: not self.node.getpeerinfo())

    def send(self, what, *messages, peer=None):
        start, one = os.path.getsize(self.node.debug_log_path), peer or self.peer()
        try:
            for message in messages:
                (one.send_raw_message if isinstance(message, bytes) else one.send_without_ping)(message)
            one.sync_with_ping()
        except (OSError, AssertionError):
            pass  # it was disconnected, which is noted below
        self.node.syncwithvalidationinterfacequeue()
        self.note(what, {
            "connected": one.is_connected, "log": self.told(start), "banned": len(self.node.listbanned()),
            "orphans": len(self.node.getorphantxs()), "mempool": self.node.getmempoolinfo()["size"], "tip": self.node.getbestblockhash()})
        if not peer:
            self.leave(one)

    def blocks(self):
        for name, block in all_kinds(self.node, self.wallet, TIME):
            header = msg_headers([CBlockHeader(block)])
            for messages in ([msg_block(block)], [msg_block(block)], [header], [header, msg_block(block)]):
                self.send(name, *messages)
            if block.vtx:
                compact = HeaderAndShortIDs()
                compact.initialize_from_block(block, use_witness=True, prefill_list=list(range(len(block.vtx))))
                self.send(name, msg_cmpctblock(compact.to_p2p()))
            self.ask("getchaintips")

    def headers(self):
        height, tip = self.node.getblockcount(), self.node.getbestblockhash()
        wrong = make(self.node, lambda block: (block.vtx[0].vout.__setitem__(0, CTxOut(51 * COIN, CScript([OP_1]))),
                                               add_witness_commitment(block)), time=TIME + 70)
        self.send("invalid parent", msg_block(wrong))
        child = make(self.node, parent=wrong.hash_hex, height=height + 2, time=TIME + 80)
        self.send("child of it", msg_headers([CBlockHeader(child)]))
        self.send("child of it as a block", msg_block(child))
        good = chain(self.node, tip, height, 6, TIME + 100)
        header = [CBlockHeader(block) for block in good]
        self.send("not in a row", msg_headers([header[0], header[2]]))
        self.send("no parent", *[msg_headers([header[3]])] * 12)
        self.send("in a row", msg_headers(header))
        for block in (good[1], good[0], *good[2:]):
            self.send("block", msg_block(block))
        self.wallet.rescan_utxos()
        low = make(self.node, parent=self.node.getblockhash(5), height=6, time=TIME)
        self.send("little work", msg_block(low))
        self.send("little work", msg_headers([CBlockHeader(low)]))
        far = chain(self.node, self.node.getbestblockhash(), self.node.getblockcount(), 300, TIME + 200)
        self.send("far ahead", msg_headers([CBlockHeader(block) for block in far]), msg_block(far[290]))
        self.ask("getchaintips")
        self.ask("getblock", far[290].hash_hex)

    def transactions(self):
        young = int(self.node.getblock(self.node.getblockhash(118))["tx"][0], 16)
        changes = {
            "no input": lambda tx: setattr(tx, "vin", []), "no output": lambda tx: setattr(tx, "vout", []),
            "negative": lambda tx: setattr(tx.vout[0], "nValue", -1), "all money": lambda tx: setattr(tx.vout[0], "nValue", 21_000_001 * COIN),
            "twice the input": lambda tx: setattr(tx, "vin", tx.vin * 2), "null": lambda tx: tx.vin.append(CTxIn(COutPoint(0, 0xffffffff))),
            "too much": lambda tx: setattr(tx.vout[0], "nValue", 51 * COIN), "young": lambda tx: setattr(tx.vin[0], "prevout", COutPoint(young, 0)),
            "coinbase": lambda tx: (setattr(tx.vin[0], "prevout", COutPoint(0, 0xffffffff)), setattr(tx.vin[0], "scriptSig", CScript([b"xx"]))),
            "witness": lambda tx: setattr(tx.wit.vtxinwit[0].scriptWitness, "stack", [b"\x51", b"\xc0" + b"\2" * 32]),
            "no witness": lambda tx: setattr(tx.wit, "vtxinwit", []), "version": lambda tx: setattr(tx, "version", 9),
            "nonstandard": lambda tx: tx.vout.append(CTxOut(1000, CScript([OP_1, OP_DROP]))),
            "not final": lambda tx: (setattr(tx, "nLockTime", 10**6), setattr(tx.vin[0], "nSequence", 0)),
            "no fee": lambda tx: setattr(tx.vout[0], "nValue", 50 * COIN),
            "small": lambda tx: (setattr(tx, "vout", [CTxOut(1, CScript([OP_1]))]), setattr(tx.wit, "vtxinwit", [])),
            "signature script": lambda tx: setattr(tx.vin[0], "scriptSig", CScript([OP_1])), "good": lambda tx: None,
        }
        for name, change in changes.items():
            tx = copy.deepcopy(self.wallet.create_self_transfer(utxo_to_spend=self.wallet.get_utxo(mark_as_spent=False))["tx"])
            change(tx)
            if name in ("nonstandard", "version", "not final", "no fee", "young"):
                self.wallet.sign_tx(tx)
            self.send(name, msg_tx(tx))
            self.send(name, msg_tx(tx), msg_tx(tx))

    def orphans(self):
        first = self.wallet.create_self_transfer()
        second = self.wallet.create_self_transfer(utxo_to_spend=first["new_utxo"])
        third = self.wallet.create_self_transfer(utxo_to_spend=second["new_utxo"])
        peer = self.peer()
        self.send("grandchild", msg_tx(third["tx"]), peer=peer)
        for verbosity in (0, 1, 2, 3, -1, "x", True, None):
            self.ask("getorphantxs", verbosity, left_out=("from", "entry", "expiration"))
        self.send("child", msg_tx(second["tx"]), peer=peer)
        self.send("parent", msg_tx(first["tx"]), peer=peer)
        bad = copy.deepcopy(self.wallet.create_self_transfer()["tx"])
        bad.vout[0].nValue = 60 * COIN
        self.send("child of a bad one", msg_tx(self.spend(bad.txid_int)), peer=peer)
        self.send("the bad one", msg_tx(bad), peer=peer)
        large = self.spend(3)
        large.vout.append(CTxOut(10, CScript([OP_RETURN] + [b"x" * 520] * 800)))
        self.send("large", msg_tx(large), peer=peer)
        self.send("many", *(msg_tx(self.spend(1000 + number)) for number in range(30)), peer=peer)
        self.leave(peer)
        self.ask("getorphantxs")

    def spend(self, txid):
        tx = CTransaction()
        tx.vin, tx.vout = [CTxIn(COutPoint(txid, 0))], [CTxOut(1000, CScript([OP_1, bytes(32)]))]
        return tx

    def bytes_of_any_kind(self):
        for kind, body in MALFORMED:
            self.send(f"{kind} {len(body)} {body[:8].hex()}", Raw(kind, body))
        if self.options.v2transport:
            return

        def frame(kind, body, magic=b"\xfa\xbf\xb5\xda", checksum=None, length=None):
            size = struct.pack("<I", len(body) if length is None else length)
            return magic + kind.ljust(12, b"\0") + size + (checksum or hash256(body)[:4]) + body

        for bytes_ in (frame(b"ping", bytes(8), magic=b"abcd"), frame(b"ping", bytes(8), checksum=b"abcd"), frame(b"ping", b"", length=4_000_001),
                       frame(b"ping", b"", length=0xffffffff), frame(b"pi\0ng", b""), frame(b"\xffabc", b"")):
            self.send(f"frame {bytes_.hex()}", bytes_)


if __name__ == "__main__":
    main(Scenario, __file__)
