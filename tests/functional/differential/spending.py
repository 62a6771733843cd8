#!/usr/bin/env python3
"""Payments: sendtoaddress, sendmany, send, sendall, fundrawtransaction, walletcreatefundedpsbt, bumpfee and their errors.

Wallets hold one coin or name their inputs, and the clock is far ahead of the chain, so that nothing is left to chance."""

from keys import base58, master, segwit
from pair import run
from wallets import filled

NOW = 1_700_000_000
OTHER = base58(b"\x6f" + bytes(20))
THIRD = segwit("bcrt", 0, bytes(range(20)))
FOURTH = segwit("bcrt", 1, bytes.fromhex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"))


RICH = [f"rich{index}" for index in range(40)]


def funded(pair, name, blocks=1):
    filled(pair, name, name.encode())
    address = pair.same("getnewaddress", "", "bech32", wallet=name)
    pair.same("generatetoaddress", blocks, address)
    return address


BAD_TARGETS = ({"conf_target": 0}, {"conf_target": -1}, {"conf_target": 1009}, {"conf_target": 6, "estimate_mode": "bogus"},
    {"conf_target": 6, "fee_rate": 5}, {"fee_rate": 5, "estimate_mode": "unset"},
               {"fee_rate": 0}, {"fee_rate": -1}, {"fee_rate": 0.0001}, {"fee_rate": "x"}, {"fee_rate": 1e9}, {"fee_rate": 0.1},
                   {"fee_rate": 100000}, {"fee_rate": {}}, {"conf_target": "x"}, {"estimate_mode": 5}, {"fee_rate": "5.001"},
                   {"fee_rate": "5.0011"})


def refused(pair):
    """Calls that mostly send nothing; after one that did, the next wallet takes its place."""
    wallets = list(RICH)

    def ask(*call, **named):
        answer = pair.same(*call, wallet=wallets[0], mask=("", "txid", "changepos") if "fundrawtransaction" in call else ("", "txid"),
            **named)
        if not pair.nodes[0].call("listunspent", 1, 999, [], False, wallet=wallets[0]):
            wallets.pop(0)
        return answer

    for amount in (0, -1, "x", 1e-9, 21e6 + 1, 1000, 50, 49.9999999, 0.00000001, 0.00000293, True, None, {}, "1e3", "", 1.123456789):
        ask("sendtoaddress", OTHER, amount) if amount not in (49.9999999,) else None
        ask("sendmany", "", {OTHER: amount})
        ask("send", {OTHER: amount})
        ask("sendall", [{OTHER: amount}, THIRD]) if amount not in (49.9999999,) else None
        ask("walletcreatefundedpsbt", [], [{OTHER: amount}]) if amount not in (49.9999999,) else None
    for address in ("", "x", segwit("bc", 0, bytes(20)), base58(b"\0" + bytes(20)), OTHER + "1"):
        ask("sendtoaddress", address, 1)
        ask("sendmany", "", {address: 1})
        ask("send", {address: 1})
        ask("sendall", [address])
        ask("sendall", [{address: 1}])
        ask("walletcreatefundedpsbt", [], [{address: 1}])
    for options in BAD_TARGETS:
        ask("sendtoaddress", address=OTHER, amount=1, **options)
        ask("sendmany", dummy="", amounts={OTHER: 1}, **options)
        ask("send", [{OTHER: 1}], options=options)
        ask("send", [{OTHER: 1}], **options)
        ask("sendall", [OTHER], options=options)
        ask("sendall", [OTHER], **options)
        ask("walletcreatefundedpsbt", [], [{OTHER: 60}], 0, options)
        ask("fundrawtransaction", "02000000000000000000", options)
    for arguments in ((), ("",), ("x", {OTHER: 1}), (5, {OTHER: 1}), ("", {}), ("", []), ("", 5), ("", {OTHER: 1}, "x"), ("", {OTHER: 1}, 1,
        5), ("", {OTHER: 1}, 1, "c", "x"), ("", {OTHER: 1}, 1, "c", ["x"]), ("", {OTHER: 1}, 1, "c", [5]),
                      ("", {OTHER: 1}, 1, "c", [OTHER, OTHER]), ("", {OTHER: 1}, 1, "c", [THIRD]), ("", {OTHER: 1}, 1, "c", [], "x"), ("",
                          {OTHER: 1}, 1, "c", [], True, "x"), ("", {OTHER: 1}, 1, "c", [], True, 6, 5), ("", {OTHER: 1}, 1, "c", [], True,
                          6, "unset", 5), ("", {OTHER: 1}, 1, "c", [], True, None, "unset", None, "x"),
                      ("", {OTHER: 1}, 1, "c", [], True, None, "unset", None, True, 1), ("", {OTHER: 60}, 1, "c", [OTHER]), ("", {OTHER: 30,
                          THIRD: 30}), ("", {OTHER: 0.000001, THIRD: 1}, 1, "", [OTHER], None, None, "unset", 1000), ("", {OTHER: 1,
                          OTHER + " ": 1}), ("", {OTHER: 49.99}, 500)):
        ask("sendmany", *arguments)
    for arguments in ((), (OTHER,), (OTHER, 1, 5), (OTHER, 1, "c", 5), (OTHER, 1, "c", "t", "x"), (OTHER, 1, "", "", False, "x"), (OTHER, 1,
        "", "", False, True, "x"), (OTHER, 1, "", "", False, True, None, 5), (OTHER, 1, "", "", False, True, None, "unset", "x"), (OTHER, 1,
        "", "", False, True, None, "unset", False, None, "x"),
                      (OTHER, 50, "", "", False), (OTHER, 0.000001, "", "", True, True, None, "unset", False, 5000), (5, 1)):
        ask("sendtoaddress", *arguments)
    sendall_refusals(ask)
    funding_refusals(pair, ask)


def place(coin):
    return {"txid": coin["txid"], "vout": coin["vout"]}


def sendall_refusals(ask):
    here = place(ask("listunspent")[0])
    coin = here
    for recipients in ((), [], 5, "x", [5], [{}], [[]], [OTHER, OTHER], [{OTHER: 1}], [{OTHER: 1}, {THIRD: 1}], [{OTHER: 1}, {OTHER: 2},
        THIRD], [{OTHER: 1, THIRD: 2}], [OTHER, {OTHER: 1}], [{OTHER: 60}, THIRD], [{OTHER: 50}, THIRD], [{OTHER: 49.99999}, THIRD],
        [{OTHER: 0.00000001}, THIRD], [{"data": "00"}, THIRD], [{"data": "00"}], [None]):
        ask("sendall", *((recipients,) if recipients != () else ()))
    for options in ({"bogus": 1}, {"inputs": [], "send_max": True}, {"inputs": [here], "send_max": True}, {"inputs": 5}, {"inputs": [5]},
        {"inputs": [{}]}, {"inputs": [{"txid": "x", "vout": 0}]}, {"inputs": [{"txid": coin["txid"]}]}, {"inputs": [{"txid": coin["txid"],
        "vout": -1}]}, {"inputs": [{"txid": coin["txid"], "vout": 7}]},
                    {"inputs": [{"txid": "00" * 32, "vout": 0}]}, {"inputs": [here, here]}, {"inputs": [here], "minconf": 1},
                        {"inputs": [here], "maxconf": 5}, {"minconf": 500}, {"maxconf": 5}, {"minconf": -1}, {"maxconf": -1}, {"minconf": 5,
                        "maxconf": 3}, {"minconf": "x"}, {"send_max": "x"}, {"fee_rate": 2000000},
                    {"fee_rate": 1, "add_to_wallet": "x"}, {"psbt": "x"}, {"locktime": -1}, {"locktime": "x"}, {"locktime": 4294967296},
                        {"lock_unspents": "x"}, {"change_position": 0}, {"subtract_fee_from_outputs": [0]}, {"add_inputs": True},
                        {"feeRate": 1}, {"solving_data": 5}, {"solving_data": {"descriptors": ["x"]}}, {"include_watching": True},
                    {"version": 1}, {"version": 3}, {"version": 5}, {"replaceable": 5}, {"inputs": [{**here, "sequence": 5}],
                        "add_to_wallet": False}, {"inputs": [{**here, "sequence": -1}]}, {"inputs": [{**here, "weight": 10}]},
                        {"inputs": [{**here, "bogus": 10}], "add_to_wallet": False}):
        # The coin of the wallet that is in place now.
        here.update(place(ask("listunspent")[0]))
        ask("sendall", [OTHER], options=options)
    ask("sendall", [OTHER], 6, "economical", 5)
    ask("sendall", [OTHER], None, "unset", 5, {"fee_rate": 6})
    ask("sendall", [OTHER], None, None, None, {"add_to_wallet": False, "fee_rate": 3, "locktime": 5})


def funding_refusals(pair, ask):
    coin = ask("listunspent")[0]
    here = place(coin)
    unknown = {"txid": "11" * 32, "vout": 1}
    for options in ({"bogus": 1}, {"add_inputs": False}, {"add_inputs": "x"}, {"inputs": [here]}, {"changeAddress": "x"},
        {"change_address": "x"}, {"changeAddress": OTHER, "change_type": "bech32"}, {"change_type": "bogus"}, {"change_type": ""},
        {"change_type": 5}, {"changePosition": 5}, {"changePosition": -1}, {"change_position": 2}, {"change_position": "x"},
                    {"lockUnspents": "x"}, {"subtractFeeFromOutputs": [0]}, {"subtractFeeFromOutputs": [1]},
                        {"subtractFeeFromOutputs": [-1]}, {"subtractFeeFromOutputs": [0, 0]}, {"subtractFeeFromOutputs": 5},
                        {"subtractFeeFromOutputs": ["x"]}, {"subtract_fee_from_outputs": [5]}, {"subtract_fee_from_outputs": ["x"]},
                        {"feeRate": 0.1, "fee_rate": 5}, {"feeRate": "x"}, {"feeRate": -1}, {"feeRate": 0}, {"feeRate": 1,
                        "conf_target": 6}, {"feeRate": 1, "estimate_mode": "unset"}, {"includeWatching": "x"}, {"include_unsafe": "x"},
                    {"minconf": 500}, {"maxconf": 1}, {"minconf": -1}, {"maxconf": -1}, {"minconf": 5, "maxconf": 3}, {"max_tx_weight": 5},
                        {"max_tx_weight": 400001}, {"max_tx_weight": -1}, {"max_tx_weight": 300}, {"solving_data": {"pubkeys": ["x"]}},
                        {"solving_data": {"scripts": ["x"]}}, {"solving_data": {"descriptors": ["x"]}},
                        {"solving_data": {"descriptors": ["raw(51"]}}, {"solving_data": {"pubkeys": ["02" + "00" * 32]}},
                    {"input_weights": [{**here, "weight": 5}]}, {"input_weights": [{**here}]}, {"input_weights": [{**here,
                        "weight": 500000}]}, {"input_weights": [{"txid": "x", "vout": 1, "weight": 200}]},
                        {"input_weights": [{"txid": coin["txid"], "vout": -1, "weight": 200}]}, {"input_weights": [{"txid": coin["txid"],
                        "weight": 200}]}, {"input_weights": 5}, {"replaceable": "x"}, {"psbt": True, "add_to_wallet": "x"},
                        {"locktime": -1}, {"version": 5}, {"version": 3, "max_tx_weight": 50000}):
        raw = pair.nodes[0].call("createrawtransaction", [], [{OTHER: 5}])
        ask("fundrawtransaction", raw, options)
        ask("walletcreatefundedpsbt", [], [{OTHER: 5}], 0, {"change_position": 1,
            **options} if "changePosition" not in options else options)
        ask("send", [{OTHER: 50}], options=options)
    for inputs in (5, [5], [{}], [here, here], [unknown], [{**here, "sequence": -1}], [{**here, "sequence": 5000000000}], [{**here,
        "weight": 1}], [{**here, "weight": 400001}], [{"txid": "x", "vout": 0}], [{"txid": coin["txid"], "vout": "x"}], [{**here,
        "sequence": 5, "weight": 300}]):
        ask("walletcreatefundedpsbt", inputs, [{OTHER: 5}], 0, {"changePosition": 1})
        ask("walletcreatefundedpsbt", inputs, [{OTHER: 5}], 0, {"changePosition": 1, "add_inputs": True})
        ask("send", [{OTHER: 50}], options={"inputs": inputs})
    for outputs in (5, [], {}, [{}], [{OTHER: 1, THIRD: 2}], {OTHER: 1, THIRD: 2}, [{OTHER: 1}, {OTHER: 2}], [{"data": "00"}],
        [{"data": "x"}], [{"data": "00"}, {"data": "01"}], [{"data": ""}], [{OTHER: 1}, {"data": "aa" * 80}], [{OTHER: 49.99999999}], [5]):
        ask("walletcreatefundedpsbt", [here], outputs, 0, {"changePosition": 0})
    ask("walletcreatefundedpsbt", [here], [{OTHER: 1}], 5, {"changePosition": 1, "fee_rate": 3})
    ask("walletcreatefundedpsbt", [here], [{OTHER: 1}], -1)
    ask("walletcreatefundedpsbt", [here], [{OTHER: 1}], "x")
    ask("walletcreatefundedpsbt", [here], [{OTHER: 1}], 0, {"changePosition": 0}, False)
    ask("walletcreatefundedpsbt", [here], [{OTHER: 1}], 0, {"changePosition": 0}, True, 3)
    ask("walletcreatefundedpsbt", [here], [{OTHER: 1}], 0, {"changePosition": 0}, True, 2, 0)
    for kind in ("legacy", "p2sh-segwit", "bech32", "bech32m"):
        ask("walletcreatefundedpsbt", [here], [{OTHER: 1}], 0, {"changePosition": 0, "change_type": kind, "fee_rate": 7})
        ask("walletcreatefundedpsbt", [here], [{OTHER: 1}], 0, {"changePosition": 0, "changeAddress": FOURTH,
            "subtractFeeFromOutputs": [0]})
    for text in ("", "x", "00", "0200000000", "02000000000000000000", 5, "02000000000100000000000000000000000000"):
        ask("fundrawtransaction", text)
        ask("fundrawtransaction", text, {}, True)
        ask("fundrawtransaction", text, {}, False)


def paid(pair):
    """Payments that go out, one after another, each by the only coin."""
    ask = lambda *call, **named: pair.same(*call, wallet="poor", **named)  # noqa: E731

    def look(txid):
        ask("gettransaction", txid, True, True)
        ask("getbalances")
        ask("listunspent", 0)
        ask("listtransactions", "*", 20)
        pair.same("getmempoolentry", txid)

    def step(*call, **named):
        answer = ask(*call, **named)
        txid = answer if isinstance(answer, str) else answer["txid"] if isinstance(answer, dict) and "txid" in answer else None
        if txid:
            look(txid)
        pair.same("generatetoaddress", 1, OTHER)
        return txid

    step("sendall", [ask("getnewaddress")], options={"fee_rate": 2})
    step("sendtoaddress", address=ask("getnewaddress"), amount=ask("getbalance"), subtractfeefromamount=True, fee_rate=3, comment="c",
        comment_to="t")
    step("sendtoaddress", address=ask("getnewaddress"), amount=ask("getbalance"), subtractfeefromamount=True, verbose=True,
        replaceable=False)
    half = float(ask("getbalance")) / 2
    mine = ask("getnewaddress", "mine", "legacy")
    step("sendmany", "", {mine: round(half, 8), ask("getnewaddress", "taproot", "bech32m"): round(float(ask("getbalance")) - round(half, 8),
        8)}, 1, "comment", [mine], True, None, "unset", 4, True)
    ask("listunspent")
    step("sendall", [{OTHER: 1}, ask("getnewaddress")], options={"fee_rate": 9, "locktime": 3, "inputs": [{key: ask("listunspent", 1, 999,
        [mine])[0][key] for key in ("txid", "vout")}]})
    step("send", [{OTHER: 1}], options={"inputs": [{key: coin[key] for key in ("txid", "vout")} for coin in ask("listunspent")[:1]],
        "change_position": 1, "fee_rate": 2, "replaceable": True, "locktime": 7, "add_to_wallet": False})
    step("send", [{OTHER: 1}], options={"inputs": [{key: coin[key] for key in ("txid", "vout")} for coin in ask("listunspent")[:1]],
        "change_position": 0, "fee_rate": 2, "psbt": True})
    step("send", [{OTHER: 1}], options={"inputs": [{key: coin[key] for key in ("txid", "vout")} for coin in ask("listunspent")[:1]],
        "change_position": 0, "fee_rate": 2})
    step("sendall", [FOURTH], options={"fee_rate": 2, "psbt": True, "add_to_wallet": False, "inputs": [{key: ask("listunspent",
        0)[0][key] for key in ("txid", "vout")}]})


def bumped(pair):
    """Where the change stands after a bump is random: the transactions are asked for by what each side calls them."""
    names = ("txid", "wtxid", "walletconflicts", "mempoolconflicts", "replaced_by_txid", "replaces_txid", "vout", "hex", "decoded", "psbt",
        "message", "blockhash")

    def ask(*call, mask=names, **named):
        return pair.same(*call, wallet="bumps", mask=mask, **named)

    coin = ask("listunspent", mask=())[0]
    raw = pair.same("createrawtransaction", [{**place(coin), "sequence": 4294967293}], [{OTHER: 20}, {ask("getrawchangeaddress",
        mask=()): 29.9999}])
    txid = pair.same("sendrawtransaction", ask("signrawtransactionwithwallet", raw, mask=())["hex"])
    ask("gettransaction", txid, mask=())
    for call in ("bumpfee", "psbtbumpfee"):
        for arguments in ((), ("x",), (5,), ("00" * 32,), (txid, 5), (txid, {"bogus": 1}), (txid, {"fee_rate": 0}), (txid,
            {"fee_rate": -1}), (txid, {"fee_rate": "x"}), (txid, {"fee_rate": 1}), (txid, {"fee_rate": 100000000}), (txid, {"fee_rate": 5,
            "conf_target": 6}), (txid, {"conf_target": 0}), (txid, {"estimate_mode": "x"}), (txid, {"estimate_mode": "economical",
            "fee_rate": 5}),
                          (txid, {"replaceable": "x"}), (txid, {"outputs": []}), (txid, {"outputs": [{"x": 1}]}), (txid,
                              {"outputs": [{OTHER: -1}]}), (txid, {"outputs": [{OTHER: 60}]}), (txid, {"outputs": [{OTHER: 1},
                              {OTHER: 1}]}), (txid, {"outputs": 5}), (txid, {"original_change_index": 5}), (txid,
                              {"original_change_index": -1}), (txid, {"original_change_index": "x"}), (txid, {"outputs": [{OTHER: 1}],
                              "original_change_index": 0}), (coin["txid"],), (txid, {}, 5)):
            ask(call, *arguments, mask=())
    for options in ({"fee_rate": 100}, {"original_change_index": 0, "fee_rate": 120}, {"outputs": [{THIRD: 3}], "fee_rate": 90}):
        ask("psbtbumpfee", txid, options)
    bump = ask("bumpfee", txid, {"fee_rate": 150})
    # Which output is the change is told to the next ones only by the wallet itself.
    again = ask("bumpfee", bump["txid"], {"fee_rate": 300, "replaceable": False})
    third = ask("bumpfee", again["txid"], {"fee_rate": 600, "outputs": [{THIRD: 3}]})
    for _ in range(2):
        for identity in (txid, bump["txid"], again["txid"], third["txid"]):
            ask("gettransaction", identity)
            ask("abandontransaction", identity, mask=())
            ask("bumpfee", identity, {"fee_rate": 700}) if _ else None
        ask("getbalances", mask=names + ("lastprocessedblock",))
        pair.same("generatetoaddress", 1, OTHER, mask=("",))
    for arguments in (("x",), ("00" * 32,), (), (5,)):
        ask("abandontransaction", *arguments)


def empty(pair):
    filled(pair, "empty", b"empty")
    ask = lambda *call, **named: pair.same(*call, wallet="empty", **named)  # noqa: E731
    for call in (("sendall", [OTHER]), ("sendall", [OTHER], None, None, None, {"send_max": True}), ("sendtoaddress", OTHER, 1), ("sendmany",
        "", {OTHER: 1}), ("send", [{OTHER: 1}]), ("walletcreatefundedpsbt", [], [{OTHER: 1}]), ("sendall", [OTHER], None, None, 5,
        {"inputs": []})):
        ask(*call)
    pair.same("createwallet", "watch", True, True)
    pair.same("createwallet", "bare", False, True)
    for wallet in ("watch", "bare"):
        for call in (("sendall", [OTHER]), ("sendtoaddress", OTHER, 1), ("sendmany", "", {OTHER: 1}), ("send", [{OTHER: 1}]),
            ("walletcreatefundedpsbt", [], [{OTHER: 1}]), ("bumpfee", "00" * 32), ("psbtbumpfee", "00" * 32), ("fundrawtransaction",
            "02000000000100e1f505000000000000000000"), ("signrawtransactionwithwallet", "00"), ("getnewaddress",),
            ("getrawchangeaddress",)):
            pair.same(*call, wallet=wallet)


def scenario(pair):
    pair.time(NOW)
    for name in (*RICH, "poor", "bumps"):
        funded(pair, name)
    pair.same("generatetoaddress", 100, OTHER)
    pair.time(NOW + 100_000)
    empty(pair)
    refused(pair)
    paid(pair)
    bumped(pair)  # last: blocks differ from here on


if __name__ == "__main__":
    run(scenario)
