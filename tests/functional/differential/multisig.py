#!/usr/bin/env python3
"""PSBTs and signing: 2 of 3 with descriptors, every PSBT call at every step, and signrawtransactionwithwallet and -withkey."""

import hashlib

from keys import base58, checked, master, public, segwit, wif
from pair import run
from wallets import filled

NOW = 1_700_000_000
OTHER = base58(b"\x6f" + bytes(20))
FORMS = {"legacy": "sh(sortedmulti(2,{}))", "nested": "sh(wsh(sortedmulti(2,{})))", "segwit": "wsh(multi(2,{}))",
    "taproot": "tr({},sortedmulti_a(2,{}))", "musig": "tr(musig({})/0/*)"}
WATCHERS = ("analyzepsbt", "decodepsbt", "finalizepsbt", "utxoupdatepsbt")


def signers(pair, form):
    """Three wallets with a key each, and one that only watches. Answers an address of theirs."""
    keys = [master(f"{form}{index}".encode()) for index in range(3)]
    shared = [public(pair.nodes[0], key) for key in keys]
    inner = "K" if form == "musig" else "K/0/*"
    for index in range(4):
        own = [inner.replace("K", keys[position] if position == index else shared[position]) for position in range(3)]
        text = FORMS[form].format(own[0], ",".join(own[1:] + own[:0])) if form == "taproot" else FORMS[form].format(",".join(own))
        name = f"{form}{index}"
        pair.same("createwallet", name, index == 3, True)
        pair.same("importdescriptors", [{"desc": checked(text), "active": True, "timestamp": "now", "range": 3}], wallet=name)
        pair.same("getwalletinfo", wallet=name)
        pair.same("listdescriptors", wallet=name)
    kind = {"legacy": "legacy", "nested": "p2sh-segwit", "segwit": "bech32"}.get(form, "bech32m")
    address = pair.same("getnewaddress", "", kind, wallet=f"{form}3")
    for index in range(4):
        pair.same("getaddressinfo", address, wallet=f"{form}{index}")
    return address


def look(pair, psbt):
    for call in WATCHERS:
        pair.same(call, psbt)
    pair.same("finalizepsbt", psbt, False)


def spend(pair, form, address):
    """From a payment to the shared address to a payment from it."""
    watcher = f"{form}3"
    coin = pair.same("listunspent", wallet=watcher)[0]
    inputs = [{"txid": coin["txid"], "vout": coin["vout"]}]
    bare = pair.same("createpsbt", inputs, [{OTHER: 1}, {address: 48.9}])
    look(pair, bare)
    pair.same("descriptorprocesspsbt", bare, [pair.nodes[0].call("getaddressinfo", address, wallet=watcher)["parent_desc"]])
    made = pair.same("walletcreatefundedpsbt", inputs, [{OTHER: 1}], 0, {"changePosition": 1, "fee_rate": 10, "changeAddress": address},
        wallet=watcher)
    funded = made["psbt"]
    look(pair, funded)
    parts = []
    for index in (3, 0, 1, 2):
        for arguments in ((funded,), (funded, False), (funded, True, "ALL"), (funded, True, "SINGLE|ANYONECANPAY"), (funded, True,
            "DEFAULT", False, False), (funded, True, "bogus")):
            pair.same("walletprocesspsbt", *arguments, wallet=f"{form}{index}")
        parts.append(pair.same("walletprocesspsbt", funded, wallet=f"{form}{index}")["psbt"])
        look(pair, parts[-1])
    chained = funded
    for index in (0, 2, 1):
        answer = pair.same("walletprocesspsbt", chained, True, "DEFAULT", True, False, wallet=f"{form}{index}")
        chained = answer["psbt"]
        look(pair, chained)
    for group in (parts[:1], parts[:2], parts[1:3], parts[::-1], [parts[1], parts[1]], [parts[1], bare], []):
        combined = pair.same("combinepsbt", group)
        if isinstance(combined, str):
            look(pair, combined)
            done = pair.same("finalizepsbt", combined)
            if isinstance(done, dict) and done.get("hex"):
                pair.same("testmempoolaccept", [done["hex"]])
                pair.same("decoderawtransaction", done["hex"])
    pair.same("joinpsbts", [bare, funded])
    pair.same("joinpsbts", [bare])
    pair.same("converttopsbt", pair.same("createrawtransaction", inputs, [{OTHER: 1}]))
    done = pair.same("finalizepsbt", pair.same("combinepsbt", parts[1:3]))
    if isinstance(done, dict) and done.get("hex"):
        pair.same("sendrawtransaction", done["hex"])
        pair.same("converttopsbt", done["hex"])
        pair.same("converttopsbt", done["hex"], True)
        for index in range(4):
            pair.same("gettransaction", pair.same("decoderawtransaction", done["hex"])["txid"], True, wallet=f"{form}{index}")
            pair.same("getbalances", wallet=f"{form}{index}")


def refusals(pair):
    good = pair.same("createpsbt", [{"txid": "11" * 32, "vout": 0}], [{OTHER: 1}])
    other = pair.same("createpsbt", [{"txid": "22" * 32, "vout": 0}], [{OTHER: 2}])
    version0 = pair.same("createpsbt", [{"txid": "11" * 32, "vout": 0}], [{OTHER: 1}], 0, True, 2, 0)
    texts = ("", "x", "cHNidP8=", "cHNidP8A", good[:-4], good + "AA==", good.lower(), "AAAA", None, 5)
    for text in texts:
        for call in (*WATCHERS, "descriptorprocesspsbt"):
            pair.same(call, text, *([[]] if call == "descriptorprocesspsbt" else []))
        for call in ("combinepsbt", "joinpsbts"):
            pair.same(call, [text])
            pair.same(call, [good, text])
        pair.same("walletprocesspsbt", text, wallet="segwit0")
        pair.same("converttopsbt", text)
    for call in ("combinepsbt", "joinpsbts"):
        for arguments in ([good, other], [good, good], [good, version0], [version0, other], "x", [], 5, [5]):
            pair.same(call, arguments, mask=("",))
    for inputs in (5, [5], [{}], [{"txid": "11" * 32}], [{"txid": "11" * 32, "vout": -1}], [{"txid": "11" * 32, "vout": 0, "sequence": -1}],
        [{"txid": "x", "vout": 0}], [{"txid": "11" * 32, "vout": 0}] * 2):
        for call in ("createpsbt", "createrawtransaction"):
            pair.same(call, inputs, [{OTHER: 1}])
    for outputs in (5, [], {}, [5], [{}], [{OTHER: 1}, {OTHER: 1}], [{OTHER: -1}], [{OTHER: "x"}], [{OTHER: 21000001}], [{"x": 1}],
        [{"data": "x"}], [{"data": "00"}, {"data": "00"}], [{OTHER: 1, "data": "00"}], {OTHER: 1, "data": "0011"}, [{"data": ""}],
        [{"data": 5}], [{OTHER: None}]):
        for call in ("createpsbt", "createrawtransaction"):
            pair.same(call, [{"txid": "11" * 32, "vout": 0}], outputs)
    for more in ((-1,), (4294967295,), (4294967296,), ("x",), (0, "x"), (500000000, True), (5, False), (0, True, 1), (0, True, 3), (0, True,
        4), (0, True, 0), (0, True, "x"), (0, True, 2, 1), (0, True, 2, 0), (0, True, 2, 5)):
        for call in ("createpsbt", "createrawtransaction"):
            pair.same(call, [{"txid": "11" * 32, "vout": 0}], [{OTHER: 1}], *more)
    for descriptors in ("x", [], [5], [{}], [{"desc": "x"}], [{"desc": "raw(51)"}], ["wpkh()"], [{"desc": "raw(51)", "range": "x"}]):
        pair.same("descriptorprocesspsbt", good, descriptors)
        pair.same("utxoupdatepsbt", good, descriptors)
    for arguments in ((good, "x"), (good, True, "x"), (good, True, 5), (good, True, "ALL", "x"), (good, True, "ALL", True, "x"), (good,
        True, "ALL", True, True, 1), ()):
        pair.same("walletprocesspsbt", *arguments, wallet="segwit0")


def raw_signing(pair):
    """signrawtransactionwithkey and -withwallet with all that they are told of the coins."""
    core = pair.nodes[0]
    keys = [wif(hashlib.sha256(bytes([index])).digest()) for index in range(3)]
    points = [public(core, key) for key in keys]
    for arguments in ((2, points), (1, points, "bech32"), (3, points, "p2sh-segwit"), (0, points), (4, points), (-1, points), (2, points,
        "bech32m"), (2, points, "x"), (2, ["x"]), (2, ["02" + "00" * 32] * 2), (1, []), (1, points * 7), (2, points[0]), ("x", points), (1,
        [public(core, wif(b"\1" * 32, False))], "bech32"), (2, points, 5), (17, points * 6)):
        pair.same("createmultisig", *arguments)
    multi = {kind: pair.same("createmultisig", 2, points, kind) for kind in ("legacy", "bech32", "p2sh-segwit")}
    for kind, made in multi.items():
        script = core.call("validateaddress", made["address"])["scriptPubKey"]
        given = {"txid": "33" * 32, "vout": 1, "scriptPubKey": script, "amount": 2}
        spending = pair.same("createrawtransaction", [{"txid": "33" * 32, "vout": 1}], [{OTHER: 1.9}])
        scripts = {"legacy": {"redeemScript": made["redeemScript"]}, "bech32": {"witnessScript": made["redeemScript"]},
            "p2sh-segwit": {"witnessScript": made["redeemScript"],
            "redeemScript": "0020" + hashlib.sha256(bytes.fromhex(made["redeemScript"])).hexdigest()}}[kind]
        wrong = "5121" + points[0] + "51ae"
        variants = [{}, scripts, {"redeemScript": made["redeemScript"]}, {"witnessScript": made["redeemScript"]}, {"redeemScript": wrong},
            {"witnessScript": wrong}, {"redeemScript": made["redeemScript"], "witnessScript": wrong}, {"redeemScript": "x"},
            {"witnessScript": "5"}, {"redeemScript": ""}, {"amount": 3, **scripts}, {"amount": -1, **scripts}, {"amount": "x", **scripts},
            {"scriptPubKey": "x"}, {"scriptPubKey": "00"}, {"vout": -1}, {"vout": 0}, {"txid": "x"}, {"txid": "44" * 32}]
        for extra in variants:
            for used in (keys, keys[:2], keys[:1], []):
                pair.same("signrawtransactionwithkey", spending, used, [given | extra])
            pair.same("signrawtransactionwithwallet", spending, [given | extra], wallet="signer")
        lacking = {key: value for key, value in given.items() if key != "amount"}
        for used in ([{key: value for key, value in given.items() if key != name} for name in given] + [lacking | scripts, {}, 5]):
            pair.same("signrawtransactionwithkey", spending, keys, [used])
            pair.same("signrawtransactionwithwallet", spending, [used], wallet="signer")
        half = pair.same("signrawtransactionwithkey", spending, keys[:1], [given | scripts])["hex"]
        rest = pair.same("signrawtransactionwithkey", half, keys[1:2], [given | scripts])["hex"]
        pair.same("signrawtransactionwithkey", rest, keys[2:], [given | scripts])
        pair.same("signrawtransactionwithkey", rest, [], [given | scripts])
        other = pair.same("signrawtransactionwithkey", spending, keys[1:2], [given | scripts])["hex"]
        pair.same("combinerawtransaction", [half, other])
        pair.same("decodescript", made["redeemScript"])
        pair.same("decodescript", script)
        for name in ("ALL", "NONE", "SINGLE", "ALL|ANYONECANPAY", "DEFAULT", "all", "", "x", 5):
            pair.same("signrawtransactionwithkey", spending, keys, [given | scripts], name)
            pair.same("signrawtransactionwithwallet", spending, [], name, wallet="signer")
    for text in ("", "x", "00", "0200", None, 5, spending + "00", spending[:-2]):
        pair.same("signrawtransactionwithkey", text, keys)
        pair.same("signrawtransactionwithwallet", text, wallet="signer")
        pair.same("decoderawtransaction", text)
        pair.same("combinerawtransaction", [text])
        pair.same("sendrawtransaction", text)
        pair.same("testmempoolaccept", [text])
    for used in (["x"], [5], "x", [keys[0][:-1]], [wif(b"\1" * 32, version=128)], None):
        pair.same("signrawtransactionwithkey", spending, used)


def scripts(pair):
    """decodescript of all kinds of scripts."""
    point = public(pair.nodes[0], wif(b"\1" * 32))
    for text in ("", "x", "5", "51", "00", "6a", "6a0474657374", "6a" * 5, "4c", "4c05", "4d", "4e00", "ff", "a9", "21" + point + "ac",
        "41" + "04" + "11" * 64 + "ac", "76a914" + "00" * 20 + "88ac", "a914" + "00" * 20 + "87", "0014" + "00" * 20, "0020" + "00" * 32,
                 "5120" + point[2:], "5120" + "ff" * 32, "51024e73", "5221" + point + "21" + point + "52ae", "5114" + "00" * 20,
                     "6028" + "00" * 40, "6029" + "00" * 41, "02e803b275", "6321" + point + "ac67" + "21" + point + "ac68", "5fb2",
                     "00" * 600, "51" * 10001, "21" + point + "ad5ab2",
                 "21" + point + "ac73640114b268", "512103" + "22" * 32 + "51ae", "20" + point[2:] + "ac", None, 5):
        pair.same("decodescript", text)


def lock_times(pair):
    """Scripts with lock times, and a wallet whose coins they are."""
    core, ask = pair.nodes[0], lambda *call: pair.same(*call, wallet="signer")
    xprv = master(b"locked")
    for text in (f"wsh(and_v(v:pk({xprv}/0),after(150)))", f"wsh(and_v(v:pk({xprv}/1),older(20)))",
        f"tr({public(core, master(b'none'))}/0,and_v(v:pk({xprv}/2),older(20)))"):
        ask("importdescriptors", [{"desc": checked(text), "timestamp": "now"}])
        address = core.call("deriveaddresses", core.call("getdescriptorinfo", text)["descriptor"])[0]
        pair.same("generatetoaddress", 1, address)
        coin = core.call("listunspent", 0, 9999, [address], True, {"include_immature_coinbase": True}, wallet="signer")[0]
        for sequence in (4294967295, 4294967294, 20, 19, 0, 2147483668):
            for lock_time in (0, 149, 150, 500000000):
                raw = pair.same("createrawtransaction", [{"txid": coin["txid"], "vout": coin["vout"], "sequence": sequence}], [{OTHER: 49}],
                    lock_time)
                signed = ask("signrawtransactionwithwallet", raw)
                if isinstance(signed, dict):
                    ask("signrawtransactionwithwallet", signed["hex"])
                    pair.same("testmempoolaccept", [signed["hex"]])


def scenario(pair):
    pair.time(NOW)
    filled(pair, "signer", b"signer")
    addresses = {form: signers(pair, form) for form in FORMS}
    for address in addresses.values():
        pair.same("generatetoaddress", 2, address)
    pair.same("generatetoaddress", 1, pair.same("getnewaddress", wallet="signer"))
    pair.same("generatetoaddress", 100, OTHER)
    pair.time(NOW + 100_000)
    refusals(pair)
    scripts(pair)
    raw_signing(pair)
    lock_times(pair)
    for form, address in addresses.items():
        if form != "musig":  # its nonces are random
            spend(pair, form, address)
    coin = pair.same("listunspent", wallet="signer")[0]
    raw = pair.same("createrawtransaction", [{"txid": coin["txid"], "vout": coin["vout"]}], [{segwit("bcrt", 1, bytes(range(32))): 49.9}])
    signed = pair.same("signrawtransactionwithwallet", raw, wallet="signer")
    pair.same("signrawtransactionwithwallet", signed["hex"], wallet="signer")
    pair.same("encryptwallet", "p", wallet="signer")
    pair.same("signrawtransactionwithwallet", raw, wallet="signer")
    pair.same("walletprocesspsbt", pair.same("converttopsbt", raw), wallet="signer")
    pair.same("walletprocesspsbt", pair.same("converttopsbt", raw), False, wallet="signer")


if __name__ == "__main__":
    run(scenario)
