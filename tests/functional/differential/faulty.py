"""Blocks with one fault each, made with the framework of Core's suite."""

import copy

import framework  # noqa: F401, it finds the modules below
from test_framework.blocktools import add_witness_commitment, create_block, create_coinbase
from test_framework.messages import COIN, COutPoint, CTxOut, CTxWitness, uint256_from_compact
from test_framework.script import OP_0, OP_RETURN, OP_TRUE, CScript


def make(node, change=None, transactions=(), *, solve=True, parent=None, height=None, time=None):
    """A block on the tip, or on `parent` at `height`, with whatever `change` does to it."""
    parent = parent or node.getbestblockhash()
    if height is None:
        header = node.getblockheader(parent)
        height, time = header["height"] + 1, time or header["time"] + 1
    block = create_block(int(parent, 16), create_coinbase(height), ntime=time, txlist=list(transactions))
    block.hashMerkleRoot = block.calc_merkle_root()
    add_witness_commitment(block)
    if change:
        change(block)
    if solve:
        block.solve()
    return block


def chain(node, parent, height, count, time):
    """`count` blocks on a parent at `height`."""
    blocks = []
    for number in range(count):
        blocks.append(make(node, parent=parent, height=height + 1 + number, time=time + number))
        parent = blocks[-1].hash_hex
    return blocks


def without_work(node):
    block = make(node, solve=False)
    while block.hash_int <= uint256_from_compact(block.nBits):
        block.nNonce += 1
    return block


def all_kinds(node, wallet, now):
    """Name and block. Their transactions spend one coin of the wallet."""
    good = wallet.create_self_transfer(utxo_to_spend=wallet.get_utxo(mark_as_spent=False))["tx"]
    coins = [wallet.get_utxo(mark_as_spent=False, txid=coin["txid"]) for coin in wallet.get_utxos(mark_as_spent=False)[-2:]]
    others = [wallet.create_self_transfer(utxo_to_spend=coin)["tx"] for coin in coins]

    def changed(change):
        tx = copy.deepcopy(good)
        change(tx)
        return [tx]

    def coinbase(change):
        return lambda block: (change(block.vtx[0]), add_witness_commitment(block))

    def nonce(value):
        return lambda block: setattr(block.vtx[0].wit.vtxinwit[0].scriptWitness, "stack", [value])

    def rooted(change):
        return lambda block: (change(block), setattr(block, "hashMerkleRoot", block.calc_merkle_root()))

    def height_script(script):
        return coinbase(lambda tx: setattr(tx.vin[0], "scriptSig", script))

    yield from ((f"version {version}", make(node, lambda block, version=version: setattr(block, "nVersion", version))) for version in range(4))
    yield "merkle root", make(node, lambda block: setattr(block, "hashMerkleRoot", 5))
    yield "bits", make(node, lambda block: setattr(block, "nBits", 0x207ffffe))
    yield "hard bits", make(node, lambda block: setattr(block, "nBits", 0x1d00ffff), solve=False)
    yield "no work", without_work(node)
    yield "old", make(node, time=1)
    yield "new", make(node, time=now + 10**6)
    yield "reward", make(node, coinbase(lambda tx: tx.vout.__setitem__(0, CTxOut(51 * COIN, CScript([OP_TRUE])))))
    yield "two coinbases", make(node, rooted(lambda block: block.vtx.append(block.vtx[0])))
    yield "no coinbase", make(node, rooted(lambda block: block.vtx.pop(0)), [good])
    yield "empty", make(node, lambda block: (setattr(block, "vtx", []), setattr(block, "hashMerkleRoot", 0)))
    yield from ((f"height {script.hex()[:8]}", make(node, height_script(script)))
                for script in (CScript([b"x"]), CScript([OP_0]), CScript([b"x" * 99])))
    yield "missing coin", make(node, None, changed(lambda tx: setattr(tx.vin[0], "prevout", COutPoint(7, 7))))
    yield "too much", make(node, None, changed(lambda tx: setattr(tx.vout[0], "nValue", 60 * COIN)))
    yield "script", make(node, None, changed(lambda tx: setattr(tx.wit.vtxinwit[0].scriptWitness, "stack", [b""])))
    yield "no output", make(node, None, changed(lambda tx: setattr(tx, "vout", [])))
    yield "twice the input", make(node, None, changed(lambda tx: setattr(tx, "vin", tx.vin * 2)))
    yield "not final", make(node, None, changed(lambda tx: (setattr(tx, "nLockTime", 10**6), setattr(tx.vin[0], "nSequence", 0))))
    yield "signature operations", make(node, None, changed(lambda tx: setattr(tx, "vout", [CTxOut(100, CScript(b"\xac" * 80_001))])))
    yield "twice the transaction", make(node, None, [good, good])
    yield "mutated", make(node, lambda block: block.vtx.append(block.vtx[-1]), others)
    yield "no commitment", make(node, rooted(lambda block: (block.vtx[0].vout.pop(), setattr(block.vtx[0], "wit", CTxWitness()))), [good])
    yield "other nonce", make(node, nonce(b"\1" * 32))
    yield "short nonce", make(node, nonce(b"\1" * 31))
    yield "weight", make(node, coinbase(lambda tx: tx.vout.append(CTxOut(0, CScript([OP_RETURN] + [b"x" * 520] * 2000)))))
    yield "unknown parent", make(node, parent="11" * 32, height=200, time=now)
