#!/usr/bin/env python3
"""Wallets as files and containers: options of createwallet and loadwallet, flags, encryption, key pools, backups, HD keys."""

from keys import base58, checked, master, public, wif
from pair import Both, run

NOW = 1_700_000_000
PATHS = (("pkh", 44), ("sh(wpkh", 49), ("wpkh", 84), ("tr", 86))
STATE = ("getwalletinfo", "getbalances", "listdescriptors", "listlabels", "listunspent", "listtransactions", "gethdkeys",
    "listaddressgroupings", "listlockunspent")


def filled(pair, name, seed, *options):
    """A wallet whose eight descriptors come from a fixed seed."""
    pair.same("createwallet", name, False, True, *options)
    key, requests = master(seed), []
    for function, purpose in PATHS:
        for internal in (0, 1):
            text = f"{function}({key}/{purpose}h/1h/0h/{internal}/*)" + (")" if "(" in function else "")
            requests.append({"desc": checked(text), "active": True, "internal": internal == 1, "timestamp": "now"})
    pair.same("importdescriptors", requests, wallet=name)


def creation(pair):
    pair.each(
        "createwallet", (), 5, "", "a/../b", "../x", "/", ("w1", "no"), ("w1", False, "no"), ("w2", True), ("w3", False, True), ("w4", True,
            True),
        ("w5", False, False, "pass"), ("w6", False, True, "pass"), ("w7", True, False, "pass"), ("w8", False, False, ""), ("w9", False,
            False, 5), ("w10", False, False, "", True),
        ("w11", False, False, "", False, False), ("w12", False, False, "", False, True, True), ("w13", False, False, "", False, True, False,
            True), ("w14", False, False, None, None, None, None, None),
        ("w2",), ("w15", False, False, "p", False, True, False, False, 1), ("w16", False, False, "", "x"), mask=("",),
    )
    for name in ("x" * 300, "a\0b"):
        pair.same("createwallet", name, known="names that no file can have are refused before the file system says so in its words")
    for name in ("w2", "w3", "w4", "w6", "w10", "w7", "nowhere"):
        for method in STATE:
            pair.same(method, wallet=name, mask=("xpub", "desc") if name == "w10" else ())
        for method in ("getnewaddress", "getrawchangeaddress", "keypoolrefill"):
            pair.same(method, wallet=name, mask=("",) if name in ("w10",) else ())
        pair.same("getnewaddress", "l", "bech32m", wallet=name, mask=("",))
        pair.same("getnewaddress", "l", "legacy", wallet=name, mask=("",))
        pair.same("getnewaddress", "l", "bogus", wallet=name)
        pair.same("getrawchangeaddress", "bogus", wallet=name)
        pair.same("getnewaddress", 5, wallet=name)
        pair.same("getnewaddress", "*", wallet=name)
        pair.each("keypoolrefill", -1, 0, 5, 2000, "x", 1.5, wallet=name)
        pair.each("setwalletflag", "avoid_reuse", ("avoid_reuse", True), ("avoid_reuse", False), "descriptor_wallet",
            "disable_private_keys", "key_origin_metadata", "last_hardened_xpub_cached", "blank", "external_signer", "bogus", 5, (),
            ("avoid_reuse", "x"), wallet=name)
        pair.each("createwalletdescriptor", "bech32", "bogus", ("bech32", {"internal": True}), ("bech32m", {"hdkey": "x"}), ("legacy",
            {"hdkey": public(pair.nodes[0], master(b"no"))}), ("bech32", {"x": 1}), (), wallet=name, mask=("desc", "descs"))
        pair.each("gethdkeys", {}, {"private": True}, {"active_only": True}, {"private": "x"}, {"bogus": 1}, 5, wallet=name, mask=("xpub",
            "xprv", "desc"))
        pair.each("addhdkey", "x", 5, master(b"m", "0488ade4"), public(pair.nodes[0], master(b"m")), wif(b"\5" * 32), wallet=name)
        pair.each("listdescriptors", True, False, "x", (True, 1), wallet=name, mask=("desc",))
        pair.each("walletpassphrase", (), "pass", ("pass", -1), ("", 5), ("pass", "x"), ("bad", 5), wallet=name)
        pair.each("walletpassphrasechange", (), ("pass",), ("pass", ""), ("", "x"), ("bad", "x"), wallet=name)
        pair.same("walletlock", wallet=name)
        pair.same("abortrescan", wallet=name)
        pair.each("backupwallet", (), 5, "/nonexistent/place", wallet=name)
    pair.same("getwalletinfo")
    pair.same("getbalances")
    pair.same("listwallets")
    pair.same("listwalletdir", mask=("name", "wallets"))
    for name in ("w2", "w3", "nowhere", "", 5, None):
        pair.same("unloadwallet", name)
    pair.each("unloadwallet", (), ("w4", "x"), wallet="w4")
    pair.same("unloadwallet", "w6", wallet="w7")
    pair.each("loadwallet", (), "w2", "w2", "nowhere", "../x", 5, ("w3", "x"), ("w3", True), ("w3", True, 1), mask=("",))
    pair.each("restorewallet", (), "r", ("r", "/nonexistent"), ("w2", "/etc/hostname"), ("r", "/etc/hostname"), ("r", 5), ("r", ""), ("r",
        "/nonexistent", "x"))
    pair.each("migratewallet", "w2", "nowhere", 5, ("w2", "pass"), ())
    for name in pair.nodes[0].call("listwallets"):
        pair.same("unloadwallet", name)


def encryption(pair):
    filled(pair, "e", b"encrypted")
    pair.same("createwallet", "watching", True, True)
    pair.each("encryptwallet", (), "", 5, ("p", 1), wallet="e")
    pair.same("encryptwallet", "p", wallet="watching")
    for method in ("walletlock",):
        pair.same(method, wallet="e")
    pair.same("walletpassphrase", "p", 5, wallet="e")
    pair.same("walletpassphrasechange", "p", "q", wallet="e")
    pair.same("encryptwallet", "p", wallet="e")
    pair.same("encryptwallet", "p", wallet="e")
    pair.same("getwalletinfo", wallet="e")
    key = master(b"other")
    given = checked(f"wpkh({key}/0/*)")
    address = pair.same("getnewaddress", wallet="e")
    locked = (
        ("listdescriptors", True), ("gethdkeys", {"private": True}), ("importdescriptors", [{"desc": given, "timestamp": "now"}]),
            ("keypoolrefill", 20), ("getnewaddress",),
        ("signmessage", address, "m"), ("createwalletdescriptor", "bech32"), ("addhdkey", key), ("walletcreatefundedpsbt", [],
            [{address: 1}]), ("sendtoaddress", address, 1), ("gethdkeys",), ("listdescriptors",),
        ("setwalletflag", "avoid_reuse"), ("signrawtransactionwithwallet", "00"), ("walletpassphrasechange", "x", "y"), ("walletlock",),
            ("send", [{address: 1}]), ("sendall", [address]), ("bumpfee", "00" * 32),
    )
    for call in locked:
        pair.same(*call, wallet="e")
    pair.each("walletpassphrase", (), "p", ("p", -1), ("q", 5), ("", 5), ("p", 0), ("p", "x"), ("p", 1.5), ("p\0q", 5), ("p", 10**12),
        wallet="e")
    pair.same("getwalletinfo", wallet="e", mask=("unlocked_until",))
    pair.same("walletpassphrase", "p", 1000, wallet="e")
    for call in (("getwalletinfo",), ("listdescriptors", True), ("gethdkeys", {"private": True}), ("signmessage", address, "m"),
        ("signmessage", base58(b"\x6f" + bytes(20)), "m"), ("signmessage", "x", "m")):
        pair.same(*call, wallet="e", mask=("unlocked_until",))
    legacy = pair.same("getnewaddress", "", "legacy", wallet="e")
    pair.same("signmessage", legacy, "m", wallet="e")
    pair.same("importdescriptors", [{"desc": given, "timestamp": "now", "range": 2}], wallet="e")
    pair.same("walletlock", wallet="e")
    pair.same("signmessage", legacy, "m", wallet="e")
    pair.each("walletpassphrasechange", ("p", ""), ("p", "new"), ("p", "newer"), wallet="e")
    pair.each("walletpassphrase", ("p", 5), ("new", 1000), wallet="e")
    pair.same("getwalletinfo", wallet="e", mask=("unlocked_until",))
    pair.same("unloadwallet", "e")
    pair.same("loadwallet", "e")
    pair.same("getwalletinfo", wallet="e")


def hd_keys(pair):
    core = pair.nodes[0]
    filled(pair, "hd", b"hd")
    pair.each("gethdkeys", {}, {"private": True}, {"active_only": True}, {"active_only": True, "private": True}, wallet="hd")
    pair.each("createwalletdescriptor", "bech32", ("bech32", {"internal": False}), ("bech32", {"hdkey": public(core, master(b"hd"))}),
        ("bech32", {"hdkey": master(b"hd")}), "bech32m", "p2sh-segwit", "legacy", wallet="hd")
    pair.each("addhdkey", master(b"added"), master(b"added"), master(b"hd"), wallet="hd")
    pair.each("gethdkeys", {}, {"private": True}, {"active_only": True}, wallet="hd")
    pair.each("createwalletdescriptor", "bech32", ("bech32", {"hdkey": public(core, master(b"added"))}), ("bech32m", {"hdkey": public(core,
        master(b"added")), "internal": True}), ("bech32m", {"hdkey": public(core, master(b"added"))}), wallet="hd")
    for method in STATE:
        pair.same(method, wallet="hd")
    pair.same("listdescriptors", True, wallet="hd")
    pair.each("importdescriptors", [], 5, [5], [{}], [{"desc": 5}], [{"desc": "x", "timestamp": "now"}], [{"desc": "wpkh()",
        "timestamp": "now"}], [{"desc": "raw(51)#8lvh9jxk"}], [{"desc": "raw(51)#8lvh9jxk", "timestamp": "x"}],
              [{"desc": "raw(51)#8lvh9jxk", "timestamp": 0}], [{"desc": "raw(51)#8lvh9jxk", "timestamp": -5}], [{"desc": "raw(51)",
                  "timestamp": "now"}], [{"desc": "raw(51)#8lvh9jxk", "timestamp": "now", "bogus": 1}], wallet="hd")
    pair.same("createwallet", "watch", True, True)
    xpub = public(core, master(b"hd"))

    plain, ranged, private = checked(f"wpkh({xpub}/0)"), checked(f"wpkh({xpub}/5/*)"), checked(f"wpkh({master(b'hd')}/5/*)")
    more = [{"label": "l", "range": 5}, {"label": "l"}, {"internal": True}, {"internal": True, "label": "l"}, {"active": True},
        {"active": True, "range": 5}, {"active": True, "range": [3, 7], "next_index": 4}, {"range": 3}, {"range": [0, 20]}, {"range": [5,
        30]},
            {"next_index": 5}, {"next_index": 500}, {"next_index": -1}, {"next_index": "x"}, {"range": "x"}, {"range": [5]}, {"range": [7,
                3]}, {"range": -1}, {"range": [0, 2000000]}, {"range": 2**31}, {"active": "x"}, {"internal": 5}, {"label": 5},
                {"label": "*"}, {"active": False}, {"active": True, "internal": True}, {"active": True, "label": "l"}]
    for desc in (plain, ranged, private):
        for extra in more:
            for wallet in ("watch", "hd"):
                pair.same("importdescriptors", [{"desc": desc, "timestamp": "now", **extra}], wallet=wallet)
    for wallet in ("watch", "hd"):
        for method in STATE:
            pair.same(method, wallet=wallet)
        pair.same("listdescriptors", True, wallet=wallet)


def backup(pair):
    """A copy from an early backup sees payments to addresses that only the other handed out later."""
    core = pair.nodes[0]
    filled(pair, "early", b"early")
    places = [str(node.folder / "early.bak") for node in pair.nodes]
    pair.same("backupwallet", Both(*places), wallet="early")
    addresses = [pair.same("getnewaddress", f"l{index}", kind, wallet="early") for kind in ("legacy", "p2sh-segwit", "bech32",
        "bech32m") for index in range(14)]
    pair.same("generatetoaddress", 1, addresses[12])
    pair.same("generatetoaddress", 2, addresses[40])
    pair.same("generatetoaddress", 101, base58(b"\x6f" + bytes(20)))
    pair.each("getwalletinfo", (), wallet="early")
    pair.same("restorewallet", "late", Both(*places))
    pair.same("restorewallet", "late", Both(*places), mask=("",))
    pair.same("restorewallet", "late", Both(*places), True, mask=("",))
    for name in ("early", "late"):
        for method in STATE:
            pair.same(method, wallet=name)
        for kind in ("legacy", "p2sh-segwit", "bech32", "bech32m"):
            pair.same("getnewaddress", "", kind, wallet=name)
    for address in addresses:
        pair.same("getaddressinfo", address, wallet="late")
    pair.same("keypoolrefill", 30, wallet="late")
    pair.same("getwalletinfo", wallet="late")
    # A payment that arrives while the copy is loaded, at the end of its pool and beyond.
    for index in (9, 13, 25, 45):
        address = core.call("deriveaddresses", core.call("listdescriptors", wallet="early")["descriptors"][6]["desc"], [index, index])[0]
        pair.same("getaddressinfo", address, wallet="late")
        pair.same("generatetoaddress", 1, address)
        for method in ("getwalletinfo", "listdescriptors", "getbalances", "listreceivedbyaddress", "listreceivedbylabel"):
            pair.same(method, wallet="late")
    pair.each("rescanblockchain", (), 0, 50, (50, 60), (60, 50), -1, 1000, (0, 1000), "x", (0, -1), wallet="late")
    pair.each("listreceivedbyaddress", (0, True), (1, False, False), (0, False, True, addresses[12]), (0, False, True, "x"), (1, True, True,
        addresses[0], True), "x", -1, wallet="late")
    pair.each("listreceivedbylabel", (0, True), (0, True, True, True), "x", wallet="early")
    pair.each("getaddressesbylabel", "l0", "bogus", 5, "", wallet="early")
    pair.each("listlabels", (), "send", "receive", "bogus", wallet="early")
    pair.each("getreceivedbylabel", "l12", "bogus", ("l12", 0), ("l12", 1, True), "*", wallet="early")
    pair.each("getreceivedbyaddress", addresses[12], (addresses[12], 500), (addresses[12], 1, True), base58(b"\x6f" + b"\1" * 20),
        wallet="early")
    pair.each("setlabel", (addresses[0], "new"), (addresses[0], ""), (base58(b"\x6f" + b"\1" * 20), "other"), ("x", "l"), (addresses[0],
        "*"), wallet="early")
    pair.each("listlabels", (), "send", "receive", wallet="early")


def scenario(pair):
    pair.time(NOW)
    creation(pair)
    encryption(pair)
    hd_keys(pair)
    backup(pair)


if __name__ == "__main__":
    run(scenario)
