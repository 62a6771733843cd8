#!/usr/bin/env python3
"""validateaddress and its kin: addresses of all kinds and networks, and texts that are none."""

import random

from keys import BECH32, BECH32M, base58, bech32, groups_of_five, public, segwit, wif
from pair import run

HASH = bytes(range(20))
PROGRAM = bytes(range(32))
PREFIXES = ("bcrt", "bc", "tb")


def right():
    for version in (0, 5, 111, 196, 48, 50, 128, 239):
        yield base58(bytes([version]) + HASH)
    for prefix in (*PREFIXES, "ltc", "bc1", "b", "bcrtx"):
        for version, program in ((0, HASH), (0, PROGRAM), (1, PROGRAM), (2, PROGRAM), (16, b"\1\2"), (1, bytes.fromhex("4e73"))):
            yield segwit(prefix, version, program)


def wrong_segwit():
    for version in (0, 1, 2, 16, 17, 31):
        for length in (0, 1, 2, 19, 20, 21, 31, 32, 33, 40, 41):
            for constant in (BECH32, BECH32M):
                yield segwit("bcrt", version, bytes(range(length)), constant)
    for version in (0, 1):
        yield segwit("bcrt", version, bytes(range(32)), padding=1)
        yield segwit("bcrt", version, bytes(range(32)), padding=15)
        yield bech32("bcrt", [version] + groups_of_five(PROGRAM) + [0], BECH32M if version else BECH32)
        yield bech32("bcrt", [version] + groups_of_five(PROGRAM)[:-1], BECH32M if version else BECH32)
        yield segwit("bcrt", version, bytes(range(60)))
        yield segwit("bcrt", version, bytes(range(40)) + bytes(20))
    for constant in (BECH32, BECH32M, 5):
        yield bech32("bcrt", [], constant)
        yield bech32("bcrt", [0], constant)
        yield bech32("bcrt", [1], constant)
        yield segwit("bcrt", 0, HASH, constant)


def damaged():
    rng = random.Random(1)
    for good in (segwit("bcrt", 0, HASH), segwit("bcrt", 1, PROGRAM), segwit("bcrt", 0, PROGRAM), segwit("bc", 1, PROGRAM)):
        for errors in (1, 1, 1, 2, 2, 2, 3, 4):
            text = list(good)
            for place in rng.sample(range(len(good)), errors):
                text[place] = rng.choice("qpzry9x8gf2tvdw0s3jn54khce6mua7lbio1!")
            yield "".join(text)
        yield good.upper()
        yield good[:10] + good[10:].upper()
        yield good.capitalize()
        yield good[:20] + good[21:]
        yield good[:20] + good[20] + good[20:]
        yield good[:20] + good[21] + good[20] + good[22:]
        yield good.replace("1", "", 1)
        yield good[good.index("1") :]
        yield good + "q"
        yield good[:-1]
        yield " " + good
        yield good + " "
        yield good[:20] + "é" + good[21:]
        yield good[:20] + "\x7f" + good[21:]
        yield good[:20] + "\n" + good[21:]
    for payload in (HASH, b"\x6f" + HASH[:19], b"\x6f" + HASH + b"\0", b"\xc4" + HASH[:10], b"\x6f", b"", b"\x6f" + HASH + HASH):
        yield base58(payload)
    good = base58(b"\x6f" + HASH)
    for place in (0, 5, len(good) - 1):
        yield good[:place] + "2" + good[place + 1 :]
        yield good[:place] + "0" + good[place + 1 :]
        yield good[:place] + "l" + good[place + 1 :]
    yield good[:-1]
    yield good + "1"
    yield " " + good
    yield good + " "
    yield good[:5] + " " + good[5:]
    yield wif(bytes([7]) * 32)


OTHER = (
    "", " ", "1", "11", "bcrt", "bcrt1", "1bcrt", "bcrt1q", "bcrt1qqqqqq", "bcrt1bbbbbbbb", "tb1", "bc1", "BC1", "asdf", "not an address",
    "q" * 90, "q" * 91, "bcrt1" + "q" * 85, "bcrt1" + "q" * 86, "bcrt1" + "q" * 200, "1" * 30, "2" * 100, "1" * 1000, "ü", "\0", "bc\x001",
    "m", "n", "bcrt1p", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7k", "bcrt1pfeessrawgf", "pfeessrawgf",
        "0014751e76e8199196d454941c45d1b3a323f1433bd6",
    None, 5, True, ["a"], {"a": 1},
)


def scenario(pair):
    strings = [*right(), *wrong_segwit(), *damaged(), *OTHER]
    pair.each("validateaddress", *strings)
    pair.same("validateaddress")
    pair.same("validateaddress", "a", "b")
    pair.same("validateaddress", address=strings[0])
    pair.same("validateaddress", addres=strings[0])
    pair.same("createwallet", "w", True, True)
    sample = [*right(), *strings[len(strings) // 3 :: 7], *OTHER]
    pair.each("getaddressinfo", *sample, wallet="w")
    pair.each("listunspent", *((0, 9, [text]) for text in sample), wallet="w")
    pair.each("getreceivedbyaddress", *sample, wallet="w")
    pair.each("setlabel", *((text, "l") for text in sample), wallet="w")
    pair.each("generatetoaddress", *((0, text) for text in sample))
    pair.each("createrawtransaction", *(([], [{text: 1}]) for text in sample if isinstance(text, str)))
    pair.each("scantxoutset", *(("start", [f"addr({text})"]) for text in sample if isinstance(text, str)))
    pair.each("getdescriptorinfo", *(f"addr({text})" for text in sample if isinstance(text, str)))
    key = wif(bytes([7]) * 32)
    for text in sample:
        pair.same("signmessagewithprivkey", text, "m")
        pair.same("verifymessage", text, "IA==", "m")
    pair.each("signmessagewithprivkey", (key, ""), (key, "m"), (key, "ü" * 200), (wif(bytes([7]) * 32, False), "m"), (wif(bytes(32)), "m"),
              (wif(bytes([255]) * 32), "m"), (wif(bytes([7]) * 31), "m"), (wif(bytes([7]) * 32, version=128), "m"), (key,), (key, 5))
    signature = pair.same("signmessagewithprivkey", key, "m")
    owner = pair.same("deriveaddresses", pair.same("getdescriptorinfo", f"pkh({public(pair.nodes[0], key)})")["descriptor"])[0]
    pair.each("verifymessage", (owner, signature, "m"), (owner, signature, "n"), (owner, signature[:-4], "m"), (owner, "", "m"),
              (owner, signature[4:], "m"), (owner, signature[:-1], "m"), (owner, "!" + signature[1:], "m"), (owner, "A" * 88, "m"),
              (segwit("bcrt", 0, HASH), signature, "m"), (base58(b"\xc4" + HASH), signature, "m"), (base58(b"\x6f" + HASH), signature, "m"),
              (owner, 5, "m"), (owner, signature), (base58(b"\0" + HASH), signature, "m"))


run(scenario)
