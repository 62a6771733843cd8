#!/usr/bin/env python3
"""History of a wallet through reorganisations and double spends: listsinceblock, gettransaction, listtransactions, balances."""

from keys import base58, segwit
from pair import run
from wallets import filled

NOW = 1_700_000_000
OTHER = base58(b"\x6f" + bytes(20))
THIRD = segwit("bcrt", 0, bytes(range(20)))
ELSE = segwit("bcrt", 0, bytes(range(32)))


class History:
    def __init__(self, pair):
        self.pair, self.transactions = pair, []

    def ask(self, *call, **named):
        return self.pair.same(*call, wallet="own", **named)

    def look(self, block=None):
        """Everything that the wallet tells of its past and its money."""
        self.ask("getbalances")
        self.ask("getwalletinfo")
        self.ask("listunspent", 0)
        self.ask("listtransactions", "*", 100)
        self.ask("listreceivedbyaddress", 0, True)
        for txid in self.transactions:
            self.ask("gettransaction", txid, True, True)
        self.ask("listsinceblock")
        if block:
            self.ask("listsinceblock", block)
            self.ask("listsinceblock", block, 3)
            self.ask("listsinceblock", block, 1, False, False)
            self.ask("listsinceblock", block, 1, False, True, True)
            self.ask("listsinceblock", block, 1, False, True, False, "label")

    def spend(self, coin, outputs, fee=0.0001, sequence=4294967293):
        """A signed transaction that spends a coin of the wallet."""
        change = round(float(coin["amount"]) - sum(amount for output in outputs for amount in output.values()) - fee, 8)
        if change > 0:
            outputs = [*outputs, {self.change: change}]
        raw = self.pair.same("createrawtransaction", [{"txid": coin["txid"], "vout": coin["vout"], "sequence": sequence}], outputs)
        return self.ask("signrawtransactionwithwallet", raw)["hex"]

    def send(self, text):
        txid = self.pair.same("sendrawtransaction", text)
        if isinstance(txid, str):
            self.transactions.append(txid)
        return txid


def arguments(history, block):
    """What listsinceblock and its kin refuse."""
    ask, tip = history.ask, history.pair.same("getbestblockhash")
    for call in (("",), ("00",), ("x" * 64,), ("00" * 32,), (5,), (None,), (block, 0), (block, -1), (block, 1000), (block, "x"), (block, 1,
        "x"), (block, 1, False, "x"), (block, 1, False, True, "x"), (block, 1, False, True, False, 5), (block, 1, False, True, False,
        "none"), (block, 1, False, True, False, "*"), (block, 1, False, True, False, ""), (tip,), (tip, 5), (tip.upper(),), (block, 1,
        True), (block, 1, False, True, False, "label", 1)):
        ask("listsinceblock", *call)
    for call in (("*", 0), ("*", -1), ("*", 5, -1), ("*", 2, 3), ("*", 100, 2), ("label",), ("none",), ("",), (5,), ("*", "x"), ("*", 5,
        "x"), ("*", 5, 0, "x"), ("*", 5, 0, True, 1)):
        ask("listtransactions", *call)
    for call in ((), ("x",), ("00" * 32,), (5,), (history.transactions[0], "x"), (history.transactions[0], True, "x"),
        (history.transactions[0].upper(),), (history.transactions[0], False, False)):
        ask("gettransaction", *call)
    for call in ((), ("*",), ("*", 0), ("*", 6), ("x",), ("*", "x"), ("*", 1, "x"), ("*", 1, False, True), ("*", -1), ("*", 500)):
        ask("getbalance", *call)
    for call in ((), (0,), (1, 5), (5, 1), (-1,), ("x",), (0, 999, [OTHER]), (0, 999, [OTHER, OTHER]), (0, 999, ["x"]), (0, 999, [5]), (0,
        999, [], "x"), (0, 999, [], False), (0, 999, [], True, {"minimumAmount": 10}), (0, 999, [], True, {"maximumAmount": 10}), (0, 999,
        [], True, {"include_immature_coinbase": True}), (0, 999, [], True, {"x": 1}), (0, 999, [], True, {"minimumAmount": "x"}), (0, 999,
        [], True, {"minimumAmount": -1})):
        ask("listunspent", *call)


def locks(history):
    coin = history.ask("listunspent")[0]
    here = {"txid": coin["txid"], "vout": coin["vout"]}
    for call in ((False, [here]), (False, [here]), (False, [here], True), (True, [here]), (True, [here]), (True,), (False,), (False, []),
        (False, [{}]), (False, [{"txid": "x", "vout": 0}]), (False, [{"txid": coin["txid"], "vout": 9}]), (False, [{"txid": coin["txid"],
        "vout": -1}]), (False, [{"txid": "00" * 32, "vout": 0}]), (False, [{**here, "x": 1}]), ("x",), (False, 5), (False, [here, here]),
        (False, [here], True), (True, [here], True), (False, [here], "x")):
        history.ask("lockunspent", *call)
        history.ask("listlockunspent")
    history.ask("lockunspent", True)


def replaced_blocks(history, start):
    """A payment, its block taken back with invalidateblock, a double spend in the new branch."""
    pair, ask = history.pair, history.ask
    coins = ask("listunspent")
    payment, rival = history.spend(coins[0], [{OTHER: 5}]), history.spend(coins[0], [{THIRD: 7}], 0.0005)
    received = history.spend(coins[1], [{ask("getnewaddress", "label"): 3}, {OTHER: 1}])
    for text in (payment, received):
        history.send(text)
    child = history.send(history.spend({"txid": history.transactions[1], "vout": 0, "amount": 3}, [{ELSE: 1}]))
    history.look(start)
    pair.same("sendrawtransaction", rival)  # pays more: replaces the payment
    pair.same("gettxspendingprevout", [{"txid": coins[0]["txid"], "vout": coins[0]["vout"]}])
    history.transactions.append(pair.same("decoderawtransaction", rival)["txid"])
    history.look(start)
    block = pair.same("generatetoaddress", 1, OTHER)[0]
    history.look(start)
    history.look(block)
    pair.same("generatetoaddress", 2, OTHER)
    history.look(block)
    pair.same("invalidateblock", block)
    history.look(start)
    history.look(block)
    # The other branch mines the payment instead.
    pair.same("generateblock", THIRD, [payment])
    history.look(start)
    history.look(block)
    pair.same("generatetoaddress", 3, THIRD)
    history.look(block)
    for txid in history.transactions:
        ask("abandontransaction", txid)
    history.look(block)
    # Back to the first branch, which is made longer.
    pair.same("reconsiderblock", block)
    history.look(block)
    tip = pair.same("getbestblockhash")
    pair.same("invalidateblock", tip)
    pair.same("reconsiderblock", tip)
    history.look(block)
    return child


def longer_branch(history, start):
    """Blocks that another node made replace ours: an own coinbase and a payment are taken back."""
    pair, ask = history.pair, history.ask
    height = pair.same("getblockcount")
    mine = ask("getnewaddress", "mined")
    blocks = pair.same("generatetoaddress", 2, mine)
    coin = ask("listunspent")[0]
    rival = history.spend(coin, [{ELSE: 2}], 0.0003)
    history.send(history.spend(coin, [{OTHER: 2}]))
    coinbase = pair.same("getblock", blocks[0])["tx"][0]
    history.transactions.append(coinbase)
    blocks += pair.same("generatetoaddress", 1, OTHER)
    history.look(start)
    # The longer branch is made here, kept as text, and taken away again.
    fork = pair.same("getblockhash", height + 1)
    pair.same("invalidateblock", fork)
    pair.time(NOW + 300_000)
    branch = [pair.same("generateblock", THIRD, [rival])["hash"], *pair.same("generatetoaddress", 3, THIRD)]
    texts = [pair.same("getblock", block, 0) for block in branch]
    history.look(start)
    pair.same("invalidateblock", branch[0])
    pair.same("reconsiderblock", fork)
    history.look(start)
    pair.same("reconsiderblock", branch[0])
    history.look(start)
    for text in texts:
        pair.same("submitblock", text)
    history.look(blocks[1])
    for identity in (blocks[0], blocks[2], branch[1]):
        history.look(identity)
    ask("abandontransaction", coinbase)
    ask("rescanblockchain", height - 5)
    history.look(start)


def foreign_double_spend(history, start):
    """Somebody else pays the wallet, and takes it back."""
    pair, ask = history.pair, history.ask
    filled(pair, "payer", b"payer")
    pair.same("generatetoaddress", 1, pair.same("getnewaddress", wallet="payer"))
    pair.same("generatetoaddress", 100, OTHER)
    coin = pair.same("listunspent", wallet="payer")[0]
    address = ask("getnewaddress", "label")

    def signed(outputs):
        raw = pair.same("createrawtransaction", [{"txid": coin["txid"], "vout": coin["vout"], "sequence": 4294967293}], outputs)
        return pair.same("signrawtransactionwithwallet", raw, wallet="payer")["hex"]

    gift, taken = signed([{address: 40}, {OTHER: 9.999}]), signed([{OTHER: 49.99}])
    txid = history.send(gift)
    for wallet in ("own", "payer"):
        pair.same("getbalances", wallet=wallet)
        pair.same("listunspent", 0, wallet=wallet)
        pair.same("gettransaction", txid, wallet=wallet)
    dependent = history.send(history.spend({"txid": txid, "vout": 0, "amount": 40}, [{ELSE: 1}]))
    history.look(start)
    replacing = pair.same("sendrawtransaction", taken)
    history.look(start)
    pair.same("getrawmempool")
    pair.same("generatetoaddress", 1, OTHER)
    history.look(start)
    for identity in (txid, dependent, replacing):
        for wallet in ("own", "payer"):
            pair.same("gettransaction", identity, True, True, wallet=wallet)
    pair.same("listsinceblock", start, wallet="payer")
    pair.same("getbalances", wallet="payer")


def scenario(pair):
    pair.time(NOW)
    filled(pair, "own", b"own")
    history = History(pair)
    pair.same("generatetoaddress", 4, history.ask("getnewaddress", "coins"))
    history.change = history.ask("getrawchangeaddress")
    history.look()
    start = pair.same("generatetoaddress", 100, OTHER)[-1]
    history.look(start)
    pair.time(NOW + 100_000)
    replaced_blocks(history, start)
    arguments(history, start)
    locks(history)
    longer_branch(history, start)
    foreign_double_spend(history, start)
    # What a restart keeps.
    pair.same("unloadwallet", "own")
    pair.same("loadwallet", "own")
    history.look(start)


if __name__ == "__main__":
    run(scenario)
