#!/usr/bin/env python3
"""Blocks and headers that are handed in: every fault, forks, what an operator changes by hand, and pruning with stale branches."""

from faulty import all_kinds, chain, make
from framework import TIME, Notes, main
from test_framework.blocktools import create_block, create_coinbase
from test_framework.messages import CBlockHeader, CTxOut
from test_framework.script import OP_RETURN, CScript
from test_framework.test_framework import BitcoinTestFramework


class Scenario(Notes, BitcoinTestFramework):
    node_options = ("-prune=1", "-fastprune")

    # The framework wants to see it in the class itself.
    set_test_params = Notes.set_test_params

    def run_test(self):
        self.begin(130)
        self.faults()
        self.forks()
        self.questions()
        self.pruning()

    def submit(self, block):
        self.ask("submitblock", block.serialize().hex())

    def faults(self):
        for call in ("submitblock", "submitheader"):
            for arguments in ([], [1], ["x"], ["zz"], ["00" * 80], [""]):
                self.ask(call, *arguments)
        for name, block in all_kinds(self.node, self.wallet, TIME):
            self.note("kind", name)
            self.submit(block)
            self.ask("getblockheader", block.hash_hex)
            self.submit(block)
            self.ask("getblocktemplate", {"mode": "proposal", "rules": ["segwit"], "data": block.serialize().hex()})
            self.ask("getchaintips")

    def forks(self):
        tip, height = self.node.getbestblockhash(), self.node.getblockcount()
        branch = chain(self.node, self.node.getblockhash(height - 3), height - 3, 5, TIME + 500)
        for block in branch:
            self.submit(block)
            self.ask("getbestblockhash")
        for call, block in (("invalidateblock", branch[-1].hash_hex), ("preciousblock", tip), ("reconsiderblock", branch[-1].hash_hex)):
            self.ask(call, block)
            self.ask("getchaintips")
        header = make(self.node, time=TIME + 900)
        self.ask("submitheader", CBlockHeader(header).serialize().hex())
        for call in ("getblock", "getblockheader"):
            self.ask(call, header.hash_hex)
        for call in ("invalidateblock", "reconsiderblock", "preciousblock"):
            for block in ("zz", "00" * 32, "x" * 64, self.node.getblockhash(0)):
                self.ask(call, block)
        self.ask("getchaintips")

    def questions(self):
        for call, cases in {
            "getchaintxstats": ([], [0], [-1], ["x"], [10, "zz"], [10, "00" * 32], [10**9], [5]),
            "gettxoutsetinfo": (["none"], ["muhash"], ["hash_serialized_3"], ["x"], ["muhash", 5], ["none", 5], [], ["muhash", None, False]),
            "verifychain": ([0], [], [5], [4, 3], [0, 0], [-1], ["x"]),
            "getblockstats": ([1], [1, ["x"]], ["zz"], [10**6], [-1], [130], [130, ["txs", "avgfee", "height"]]),
            "getblockhash": ([0], [-1], [10**6], ["x"], [1.5]),
            "getdeploymentinfo": ([], ["zz"], ["00" * 32]),
            "getmininginfo": ([],), "getdifficulty": ([],), "getnetworkhashps": ([], [5, 10], [-1], [0], [5, 10**6]),
        }.items():
            for arguments in cases:
                self.ask(call, *arguments, left_out=("disk_size",))
        self.ask("getblockchaininfo", left_out=("size_on_disk",))

    def pruning(self):
        """Branches that were left behind lie in files that go."""
        self.node.setmocktime(TIME + 10_000)

        def branch(parent, height, count, salt):
            blocks = []
            for number in range(count):
                block = create_block(int(parent, 16), create_coinbase(height + 1 + number), ntime=TIME + 1000 + height + number + salt)
                block.vtx[0].vout.append(CTxOut(0, CScript([OP_RETURN] + [bytes([salt]) * 500] * 4)))
                block.hashMerkleRoot = block.calc_merkle_root()
                block.solve()
                blocks.append(block)
                parent = block.hash_hex
            return blocks

        base, height = self.node.getbestblockhash(), self.node.getblockcount()
        trunk = branch(base, height, 700, 0)
        stale = [branch(trunk[at].hash_hex, height + at + 1, 12, salt) for at, salt in ((9, 1), (390, 2))]
        for number, block in enumerate(trunk):
            self.node.submitblock(block.serialize().hex())
            for late, blocks in zip((25, 420), stale):
                if number == late:
                    for block in blocks[:8]:
                        self.submit(block)

        def look():
            self.ask("getchaintips")
            self.ask("getblockchaininfo", left_out=("size_on_disk",))
            for block in [trunk[at] for at in (0, 9, 10, 100, 390, 410, 699)] + [blocks[at] for blocks in stale for at in (0, 7, 8)]:
                self.ask("getblock", block.hash_hex)
                self.ask("getblockheader", block.hash_hex)
                self.ask("getblockstats", block.hash_hex, ["txs"])

        look()
        for target in (-1, 0, 1, 50, height + 100, height + 411, height + 412, height + 413, 10**9, TIME, TIME + 1100, TIME + 10**6, "x"):
            self.ask("pruneblockchain", target)
            self.ask("getblockchaininfo", left_out=("size_on_disk",))
        look()
        for block in [blocks[at] for blocks in stale for at in (0, 7, 8, 9)] + [trunk[0], trunk[50], trunk[600]]:
            self.submit(block)
            self.ask("getchaintips")
        for block in stale[1][8:]:
            self.ask("submitheader", CBlockHeader(block).serialize().hex())
        look()
        self.restart_node(0)
        self.node.setmocktime(TIME + 10_000)
        look()
        for arguments in ([], [0, 10], [4, 0], [3, 5]):
            self.ask("verifychain", *arguments)


if __name__ == "__main__":
    main(Scenario, __file__)
