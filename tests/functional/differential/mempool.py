#!/usr/bin/env python3
"""What the mempool takes and refuses: priorities, limits of clusters, dust, variants of one transaction, malformed ones; and what is
in it after blocks are taken back."""

import copy
from decimal import Decimal

from framework import TIME, Notes, main
from test_framework.messages import COIN, COutPoint, CTransaction, CTxIn, CTxInWitness, CTxOut, CTxWitness
from test_framework.script import OP_1, OP_3, OP_4, OP_CHECKMULTISIG, OP_CHECKSIG, OP_DROP, OP_NOP, OP_RETURN, OP_TRUE, CScript
from test_framework.script_util import keyhash_to_p2pkh_script, program_to_witness_script, scripthash_to_p2sh_script, script_to_p2wsh_script
from test_framework.test_framework import BitcoinTestFramework

PUBKEY = b"\x02" + b"\x11" * 32
OUTPUTS = {
    "p2pk": CScript([PUBKEY, OP_CHECKSIG]), "p2pkh": keyhash_to_p2pkh_script(b"\1" * 20), "p2sh": scripthash_to_p2sh_script(b"\1" * 20),
    "p2wpkh": program_to_witness_script(0, b"\1" * 20), "p2wsh": program_to_witness_script(0, b"\1" * 32),
    "p2tr": program_to_witness_script(1, b"\1" * 32), "anchor": program_to_witness_script(1, b"\x4e\x73"),
    "longest": program_to_witness_script(16, b"\1" * 40), "shortest": program_to_witness_script(16, b"\1" * 2),
    "data": CScript([OP_RETURN, b"x"]), "nonstandard": CScript([OP_1, OP_DROP]), "bare": CScript([OP_1, PUBKEY, OP_1, OP_CHECKMULTISIG]),
}
# Below, at and above the limits of each kind, satoshi.
VALUES = (0, 1, 239, 240, 269, 293, 294, 329, 330, 353, 354, 539, 540, 545, 546, 575, 576, 1000)


class Scenario(Notes, BitcoinTestFramework):
    # The framework wants to see it in the class itself.
    set_test_params = Notes.set_test_params

    def run_test(self):
        self.begin(130)
        for part in (self.coinbases, self.priorities, self.limits, self.dust, self.variants, self.family, self.malformed):
            part()

    def pool(self):
        self.ask("getmempoolinfo")
        entries = self.node.getrawmempool(True)
        for txid in sorted(entries):
            self.ask("getmempoolentry", txid, left_out=("time",))

    def judge(self, *transactions):
        return self.ask("testmempoolaccept", [tx if isinstance(tx, str) else tx.serialize().hex() for tx in transactions])

    def send(self, tx, *arguments):
        return self.ask("sendrawtransaction", tx if isinstance(tx, str) else tx.serialize().hex(), *arguments)

    def fresh(self, **named):
        return copy.deepcopy(self.wallet.create_self_transfer(utxo_to_spend=self.wallet.get_utxo(mark_as_spent=False), **named)["tx"])

    def coinbases(self):
        """At and above the height from which they may be spent, also when that height is taken back."""
        for height in (30, 31, 32, 33, 100, 130):
            block = self.node.getblock(self.node.getblockhash(height), 2)
            output = block["tx"][0]["vout"][0]
            tx = CTransaction()
            tx.vin = [CTxIn(COutPoint(int(block["tx"][0]["txid"], 16), 0))]
            tx.vout = [CTxOut(int(output["value"] * COIN) - 1000, bytes.fromhex(output["scriptPubKey"]["hex"]))]
            self.wallet.sign_tx(tx)
            self.judge(tx)
            if height in (31, 32):
                self.send(tx)
        last = self.node.getblockhash(130)
        for call in ("invalidateblock", "reconsiderblock"):
            self.pool()
            self.ask(call, last)
        self.pool()
        self.mine()
        self.pool()

    def priorities(self):
        tx = self.wallet.create_self_transfer(fee_rate=Decimal("0.00001"))
        unknown = "ab" * 32
        for arguments in ([], ["x"], [tx["txid"]], [tx["txid"], 0], ["00" * 31, 0, 1], ["zz" * 32, 0, 1], [tx["txid"], 0, "x"],
                          [tx["txid"], 0, 1.5], [tx["txid"], 1, 5], [tx["txid"], 0.1, 5], [tx["txid"], None, 5], [tx["txid"], 0, 1000],
                          [tx["txid"], "0", 1000], [unknown, 0, 2000], [tx["txid"], 0, -1005], [tx["txid"], 0, 0], [unknown, 0, 2**63],
                          [unknown, 0, 2**62], [unknown, 0, 2**62], [unknown, 0, -2**63], [unknown, 0, -2000]):
            self.ask("prioritisetransaction", *arguments)
            self.ask("getprioritisedtransactions")
        self.send(tx["tx"])
        self.ask("prioritisetransaction", tx["txid"], 0, -5000)
        self.pool()
        child = self.wallet.create_self_transfer(utxo_to_spend=tx["new_utxo"], fee_rate=Decimal("0.0001"))
        self.send(child["tx"])
        self.ask("prioritisetransaction", child["txid"], 0, 10**8)
        self.pool()
        for call in ("getmempoolancestors", "getmempooldescendants"):
            for one in (tx, child):
                self.ask(call, one["txid"])
                self.ask(call, one["txid"], True, left_out=("time",))
        for txid in (tx["txid"], child["txid"], "00" * 32, "zz"):
            self.ask("getmempoolcluster", txid)
        self.ask("getmempoolfeeratediagram")
        free = self.wallet.create_self_transfer(fee_rate=0)
        self.send(free["tx"])
        self.ask("prioritisetransaction", free["txid"], 0, 10000)
        self.send(free["tx"])
        self.node.setmocktime(TIME + 10)  # templates are made anew
        self.ask("getblocktemplate", {"rules": ["segwit"]})
        self.mine()
        self.ask("getprioritisedtransactions")
        self.pool()

    def limits(self):
        coin, chain = self.wallet.get_utxo(), []
        for _ in range(70):
            chain.append(self.wallet.create_self_transfer(utxo_to_spend=coin))
            coin = chain[-1]["new_utxo"]
        texts = [tx["hex"] for tx in chain]
        for count in (1, 24, 25, 26, 64, 65):
            self.judge(*texts[:count])
        refused = next(number for number, text in enumerate(texts) if self.send(text) is None)
        self.ask("getmempoolcluster", chain[0]["txid"])
        for package in (texts[refused:refused + 2], texts[refused:refused + 2][::-1], texts[:1] * 2, [], texts[:1] * 26):
            self.judge(*package)
            self.ask("submitpackage", package)
        for arguments in (["x"], [["zz"]], [[texts[refused]], 0.0000001], [[texts[refused]], 2]):
            self.ask("testmempoolaccept", *arguments)
        wide = self.wallet.create_self_transfer_multi(num_outputs=80)
        self.send(wide["tx"])
        next(coin for coin in wide["new_utxos"] if self.send(self.wallet.create_self_transfer(utxo_to_spend=coin)["tx"]) is None)
        self.send(self.wallet.create_self_transfer(utxo_to_spend=wide["new_utxos"][0], fee_rate=Decimal("0.01"))["tx"])
        joint = self.wallet.create_self_transfer_multi(utxos_to_spend=[wide["new_utxos"][70], chain[3]["new_utxo"]], fee_per_output=5000)
        self.judge(joint["tx"])
        self.pool()
        self.mine()
        self.pool()

    def dust(self):
        for script in OUTPUTS.values():
            for value in VALUES:
                tx = self.fresh()
                tx.vout[0].nValue -= value + 300
                tx.vout.append(CTxOut(value, script))
                self.wallet.sign_tx(tx)
                self.judge(tx)
        for fee, dust in ((0, [0]), (0, [10]), (0, [0, 0]), (1000, [0]), (1000, [10, 1])):
            parent = self.fresh(fee_rate=0, version=3)
            parent.vout[0].nValue -= fee + sum(dust)
            parent.vout += [CTxOut(value, parent.vout[0].scriptPubKey) for value in dust]
            self.wallet.sign_tx(parent)
            self.judge(parent)
            for sweeps in (True, False):
                child = CTransaction()
                child.version = 3
                child.vin = [CTxIn(COutPoint(parent.txid_int, at)) for at in range(1 + len(dust) * sweeps)]
                child.vout = [CTxOut(parent.vout[0].nValue - 3000, parent.vout[0].scriptPubKey)]
                self.wallet.sign_tx(child)
                self.judge(parent, child)
                self.ask("submitpackage", [parent.serialize().hex(), child.serialize().hex()], left_out=("tx-results",))
        self.pool()
        self.mine()

    def variants(self):
        """Several witnesses for one transaction, and replacements of it."""
        witness_script = CScript([OP_DROP, OP_TRUE])
        script = script_to_p2wsh_script(witness_script)
        coin = self.wallet.send_to(from_node=self.node, scriptPubKey=script, amount=100_000)
        self.mine()

        def spend(stack, fee=1000):
            tx = CTransaction()
            tx.vin = [CTxIn(COutPoint(int(coin["txid"], 16), coin["sent_vout"]), nSequence=0xfffffffd)]
            tx.vout = [CTxOut(100_000 - fee, script)]
            tx.wit.vtxinwit = [CTxInWitness()]
            tx.wit.vtxinwit[0].scriptWitness.stack = [*stack, witness_script]
            return tx

        first, second, stripped = spend([b"a"]), spend([b"bb"]), spend([b"a"])
        stripped.wit.vtxinwit = []
        for tx in (first, second, first, stripped):
            self.judge(tx)
            self.send(tx)
        self.ask("submitpackage", [second.serialize().hex()])
        for stack in ([], [b""], [b"x" * 81], [b"x" * 80], [b"x" * 521], [b"x", b"y"], [b"x"] * 101):
            self.judge(spend(stack, 2000))
        self.ask("getrawtransaction", first.txid_hex, 1)
        for fee in (1001, 1100, 50_000):
            self.judge(spend([b"c"], fee))
        replacement = spend([b"c"], 20_000)
        self.send(replacement)
        self.send(spend([b"c"], 90_000), 0.0001)
        self.pool()
        self.mine()
        for tx in (first, replacement):
            self.judge(tx)
            self.send(tx)

    def family(self):
        """Three generations in as many blocks, which are taken back one by one and several at once."""
        root, blocks = self.wallet.send_self_transfer_multi(from_node=self.node, num_outputs=5), []
        for _ in range(3):
            children = []
            for number, coin in enumerate(root["new_utxos"]):
                children += self.wallet.send_self_transfer_multi(
                    from_node=self.node, utxos_to_spend=[coin], num_outputs=2, fee_per_output=1000 + 100 * number)["new_utxos"]
            root = self.wallet.send_self_transfer_multi(from_node=self.node, utxos_to_spend=children[:5], num_outputs=5, fee_per_output=700)
            blocks += self.generate(self.wallet, 1, sync_fun=self.no_op)
        last = self.wallet.send_self_transfer_multi(from_node=self.node, utxos_to_spend=root["new_utxos"], num_outputs=3)
        for block in reversed(blocks):
            self.pool()
            self.ask("invalidateblock", block)
            for call in ("getmempoolcluster", "getmempoolancestors", "getmempooldescendants"):
                self.ask(call, last["txid"])
        self.pool()
        self.ask("getmempoolfeeratediagram")
        self.ask("gettxspendingprevout", [{"txid": last["txid"], "vout": 0}, {"txid": root["txid"], "vout": 0}])
        self.ask("reconsiderblock", blocks[0])
        for depth in (1, 2, 5, 9, 10, 11, 15):
            block = self.node.getblockhash(self.node.getblockcount() - depth + 1)
            for call in ("invalidateblock", "reconsiderblock"):
                self.ask(call, block)
                self.pool()
        self.mine()
        self.pool()

    def malformed(self):
        young = int(self.node.getblock(self.node.getblockhash(self.node.getblockcount() - 1))["tx"][0], 16)
        tip = self.node.getblockcount()

        def witness(*stack):
            return lambda tx: setattr(tx.wit.vtxinwit[0].scriptWitness, "stack", list(stack))

        def output(value, script):
            return lambda tx: tx.vout.append(CTxOut(value, script))

        def locked(until, sequence):
            return lambda tx: (setattr(tx, "nLockTime", until), setattr(tx.vin[0], "nSequence", sequence))

        def multisig(count, number):
            return CScript([OP_1] + [PUBKEY] * count + [number, OP_CHECKMULTISIG])

        changes = [
            lambda tx: setattr(tx, "vin", []), lambda tx: setattr(tx, "vout", []), *(
                lambda tx, version=version: setattr(tx, "version", version) for version in (0, 4, 0xffffffff)),
            locked(tip + 1, 0), locked(tip, 0), locked(TIME + 10**6, 0), locked(0, 60000), *(
                lambda tx, value=value: setattr(tx.vout[0], "nValue", value) for value in (-1, 21_000_001 * COIN, 51 * COIN, 50 * COIN, 20 * COIN)),
            lambda tx: setattr(tx, "vout", [CTxOut(21_000_000 * COIN, CScript([OP_TRUE]))] * 2), lambda tx: setattr(tx, "vin", tx.vin * 2),
            lambda tx: setattr(tx.vin[0], "prevout", COutPoint(0, 0xffffffff)), lambda tx: tx.vin.append(CTxIn(COutPoint(0, 0xffffffff))),
            lambda tx: setattr(tx.vin[0], "prevout", COutPoint(1, 0)), lambda tx: setattr(tx.vin[0].prevout, "n", 9),
            lambda tx: setattr(tx.vin[0], "prevout", COutPoint(young, 0)),
            lambda tx: (setattr(tx.vin[0], "prevout", COutPoint(0, 0xffffffff)), setattr(tx.vin[0], "scriptSig", CScript([b"xx"]))), *(
                lambda tx, script=script: setattr(tx.vin[0], "scriptSig", script)
                for script in (CScript([OP_TRUE]), CScript([b"x" * 300] * 6), CScript([OP_NOP]))),
            lambda tx: setattr(tx, "wit", CTxWitness()), witness(b"\x51", b"\xc0" + b"\2" * 32), witness(b"\x51", b"\xc0" + b"\2" * 32, b"\x50x"),
            output(0, CScript([OP_RETURN, b"x" * 500])), output(0, CScript([OP_RETURN] + [b"x" * 520] * 195)),
            output(0, CScript([OP_RETURN, OP_CHECKSIG])), output(10_000, multisig(3, OP_3)), output(10_000, multisig(4, OP_4)),
            lambda tx: (setattr(tx, "wit", CTxWitness()), setattr(tx, "vout", [CTxOut(0, CScript([OP_RETURN]))])),
        ]
        for signs in (False, True):
            for change in changes:
                tx = self.fresh()
                change(tx)
                if signs:
                    self.wallet.sign_tx(tx)
                self.judge(tx)
                self.send(tx)
                self.ask("decoderawtransaction", tx.serialize().hex())
        for text in ("", "00", "zz", "0100", "01000000000000000000", "020000000000"):
            self.send(text)
            self.ask("decoderawtransaction", text)


if __name__ == "__main__":
    main(Scenario, __file__)
