#!/usr/bin/env python3
"""getdescriptorinfo, deriveaddresses and importdescriptors: descriptors of every function, and texts that are none."""

from keys import base58, checked, master, public, wif
from pair import run

MINISCRIPTS = (
    "pk(A)", "and_v(v:pk(A),pk(B))", "and_v(v:pk(A),older(10))", "and_v(v:pk(A),after(10))", "and_v(v:pk(A),older(0))",
        "and_v(v:pk(A),after(0))",
    "and_v(v:pk(A),older(2147483648))", "and_v(v:pk(A),after(2147483648))", "and_v(v:pk(A),older(4194305))", "or_d(pk(A),pkh(B))",
    "or_b(pk(A),s:pk(B))", "andor(pk(A),older(5),pk(B))", "thresh(2,pk(A),s:pk(B),s:pk(C))", "thresh(2,pk(A),s:pk(B),sln:older(12960))",
    "thresh(0,pk(A))", "thresh(3,pk(A),s:pk(B))", "thresh(2,pk(A),pk(B))", "multi(2,A,B)", "multi(3,A,B)", "multi(0,A)", "multi_a(2,A,B)",
    "and_v(pk(A),pk(B))", "and_v(v:pk(A),pk(A))", "or_i(pk(A),pk(B))", "t:or_c(pk(A),v:pk(B))", "or_c(pk(A),v:pk(B))", "older(10)",
        "after(1)",
    "and_b(pk(A),a:pk(B))", "and_v(v:older(10),older(20))", "and_v(v:pk(A),and_v(v:older(4194305),older(10)))", "0", "1",
        "and_n(pk(A),pk(B))",
    "and_v(v:pk(A),sha256(" + "ab" * 32 + "))", "and_v(v:pk(A),hash256(" + "ab" * 32 + "))", "and_v(v:pk(A),ripemd160(" + "ab" * 20 + "))",
    "and_v(v:pk(A),hash160(" + "ab" * 20 + "))", "and_v(v:pk(A),sha256(" + "ab" * 31 + "))", "and_v(v:pk(A),sha256(xx))", "j:pk(A)",
        "x:pk(A)", "v:pk(A)",
    "pk_k(A)", "c:pk_k(A)", "pk_h(A)", "c:pk_h(A)", "dv:older(144)", "andor(pk(A),pk(B),pk(C)", "andor(pk(A),pk(B))", "pk()", "pk",
        "foo(A)", "", "pk(A)x",
    "and_v(v:pk(A),older(-1))", "and_v(v:pk(A),older(a))", "and_v(v:pk(A),older(01))", "and_v(v:pk(A),older(1 ))",
        "or_d(multi(1,A),or_b(multi(3,B,C,D),su:after(500000)))",
    "u:0", "l:0", "or_i(0,0)", "or_i(1,pk(A))", "thresh(1,pk(A),s:pk(B),a:pkh(A))", "and_v(v:pk(A/*),pk(A/*))",
        "and_v(v:pk(X/0/*),pk(X/1/*))",
    "and_v(v:pk(X/<0;1>/*),pk(Y/<0;1>/*))", "and_v(v:pk(X/<0;1>/*),pk(Y/<0;1;2>/*))", "and_v(v:pk(X/<0;1>/*),pk(A))",
        "and_v(v:pk(U),pk(B))",
    "and_v(vc:pk_h(A),older(5))", "thresh(1,pk(A))", "thresh(a,pk(A))", "multi(1," + ",".join(["A"] * 21) + ")", "multi(1,A,A)", "tv:pk(A)",
)
SCRIPTS = (
    "pk(A)", "pkh(A)", "wpkh(A)", "combo(A)", "tr(A)", "rawtr(A)", "raw(51)", "raw()", "raw(5)", "raw(xx)", "raw(51 )", "addr(ADDR)",
        "addr()", "addr(x)",
    "pk(U)", "pkh(U)", "wpkh(U)", "combo(U)", "tr(U)", "rawtr(U)", "sh(pk(U))", "wsh(pk(U))", "pk(H)", "pkh(H)", "wpkh(H)", "tr(H)",
        "rawtr(XO)", "tr(XO)", "pk(XO)", "wpkh(XO)",
    "multi(1,A)", "multi(1,A,B,C)", "multi(1,A,B,C,D)", "multi(0,A)", "multi(2,A)", "multi(-1,A)", "multi(a,A)", "multi(1)", "multi()",
        "multi(1,A,)", "multi(1,,A)",
    "sortedmulti(1,A,B)", "sortedmulti(2,B,A)", "sh(sortedmulti(2,B,A,C))", "wsh(sortedmulti(2,B,A,C))", "sh(multi(1,U,B))",
        "wsh(multi(1,U,B))", "multi_a(1,A,B)", "sortedmulti_a(1,A,B)",
    "sh(pk(A))", "sh(pkh(A))", "sh(wpkh(A))", "sh(wsh(pkh(A)))", "sh(sh(pk(A)))", "sh(tr(A))", "sh(combo(A))", "sh(addr(ADDR))",
        "sh(raw(51))", "sh(rawtr(A))", "sh()", "sh(A)",
    "wsh(pk(A))", "wsh(wpkh(A))", "wsh(wsh(pk(A)))", "wsh(sh(pk(A)))", "wsh(tr(A))", "wsh(raw(51))", "wsh(addr(ADDR))", "wsh(combo(A))",
        "wsh()", "wsh(multi_a(1,A))",
    "pk(pk(A))", "pkh(wpkh(A))", "tr(tr(A))", "foo(A)", "A", "pk(A", "pk A)", "pk(A))", "pk(A)(", "(pk(A))", "pk()", "pk( A)", "pk(A )",
        " pk(A)", "pk(A) ", "PK(A)", "", "#", "()", "pk(A,B)", "wpkh(A,B)",
    "tr(A,pk(B))", "tr(A,{pk(B),pk(C)})", "tr(A,{pk(B),{pk(C),pk(D)}})", "tr(A,{{pk(B),pk(A)},{pk(C),pk(D)}})", "tr(A,)", "tr(A,{)",
        "tr(A,{})", "tr(A,{pk(B)})", "tr(A,{pk(B),})", "tr(A,{,pk(B)})",
    "tr(A,{pk(B),pk(C)}", "tr(A,{pk(B),pk(C)}})", "tr(A,{pk(B),pk(C),pk(D)})", "tr(A,pk(B),pk(C))", "tr(A,pkh(B))", "tr(A,wpkh(B))",
        "tr(A,multi_a(2,B,C))", "tr(A,sortedmulti_a(2,C,B))", "tr(A,multi(1,B))", "tr(A,multi_a(3,B,C))",
    "tr(A,raw(51))", "tr(A,sh(pk(B)))", "tr()", "tr(,pk(B))", "tr(A,{pk(B),x})", "rawtr(A,pk(B))", "rawtr()", "tr(A,pk(U))", "tr(A,pk(XO))",
        "tr(A," + "{" * 130 + "pk(B)" + ",pk(C)}" * 130 + ")", "tr(A," + "{" * 128 + "pk(B)" + ",pk(C)}" * 128 + ")",
    "wpkh(X)", "wpkh(X/0)", "wpkh(X/*)", "wpkh(X/0/*)", "wpkh(X/0'/*)", "wpkh(X/*')", "wpkh(X/*h)", "wpkh(XPRV)", "wpkh(XPRV/0h/1'/*)",
        "wpkh(XPRV/*h)", "wpkh(XPRV/*')", "wpkh(XPRV/44h/0'/*H)", "wpkh(X/)", "wpkh(X//0)", "wpkh(X/0/)",
    "wpkh(X/a)", "wpkh(X/-1)", "wpkh(X/2147483647)", "wpkh(X/2147483648)", "wpkh(X/4294967296)", "wpkh(X/00)", "wpkh(X/0x1)", "wpkh(X/*/0)",
        "wpkh(X/**)", "wpkh(X/'0)", "wpkh(X/0'')", "wpkh(X/0'h)", "wpkh(X/*/*)", "wpkh(X/ 0)", "wpkh(/0)", "wpkh(A/0)", "wpkh(A/*)",
    "wpkh([deadbeef]A)", "wpkh([deadbeef/0]A)", "wpkh([deadbeef/0h/1'/2]X/3/*)", "wpkh([deadbee]A)", "wpkh([deadbeeff]A)",
        "wpkh([deadbeeg]A)", "wpkh([]A)", "wpkh(deadbeef]A)", "wpkh([deadbeefA)", "wpkh([deadbeef][deadbeef]A)", "wpkh([deadbeef]A])",
    "wpkh([deadbeef/a]A)", "wpkh([deadbeef/*]A)", "wpkh([deadbeef/]A)", "wpkh([deadbeef//0]A)", "wpkh([DEADBEEF/0H]A)",
        "wpkh([deadbeef/2147483648]A)", "wpkh([deadbeef/<0;1>]X)", "wpkh([deadbeef])", "wpkh([deadbeef/0] A)",
        "wpkh([deadbeef/4294967296']A)",
    "wpkh(X/<0;1>)", "wpkh(X/<0;1>/*)", "wpkh(X/<0;1;2>/*)", "wpkh(X/<0h;1h>/*)", "wpkh(XPRV/<0h;1'>/*)", "wpkh(X/<0>/*)", "wpkh(X/<>/*)",
        "wpkh(X/<0;>/*)", "wpkh(X/<;0>/*)", "wpkh(X/<0;0>/*)", "wpkh(X/<0;1/*)", "wpkh(X/0;1>/*)", "wpkh(X/<0;1>/<2;3>/*)",
    "wpkh(X/<0;a>/*)", "wpkh(X/<0;1>h/*)", "wpkh(X/<0;*>)", "wpkh(X/<0,1>)", "wpkh(X/<2147483648;1>)", "wpkh(A/<0;1>)", "wpkh(X/<<0;1>>)",
        "wsh(multi(2,X/<0;1>/*,Y/<2;3>/*))", "wsh(multi(2,X/<0;1>/*,Y/<2;3;4>/*))", "wsh(multi(2,X/<0;1>/*,Y/5/*))",
    "tr(X/<0;1>/*,pk(Y/<0;1>/*))", "tr(X/<0;1>/*,pk(Y/<0;1;2>/*))", "tr(X/<0;1>,{pk(Y/<0;1>),pk(A)})", "wsh(multi(1,X/*,A))", "wpkh(MAINX)",
        "wpkh(MAINXPRV)", "wpkh(MAINWIF)", "pkh(WIF)", "wpkh(WIF)", "pkh(WIFU)", "wpkh(WIFU)", "tr(WIF)", "tr(WIFU)", "combo(WIF)",
        "pkh(BADWIF)", "pkh(ZEROWIF)", "wpkh(Xx)",
    "multi(1,WIF,B)", "wsh(multi(2,WIF,X/0/*))", "tr(WIF,pk(B))", "tr(A,pk(XPRV/*))", "pk(03ff)", "pk(02" + "ff" * 32 + ")",
        "pk(05" + "11" * 32 + ")", "pk(" + "11" * 33 + ")", "pk(04" + "11" * 64 + ")", "tr(" + "ff" * 32 + ")", "rawtr(" + "ff" * 32 + ")",
    "musig(A,B)", "pk(musig(A,B))", "wpkh(musig(A,B))", "tr(musig(A,B))", "tr(musig(A))", "tr(musig())", "tr(musig(A,B)/0)",
        "tr(musig(A,B)/*)", "tr(musig(X,Y)/0/*)", "tr(musig(X,Y)/0h/*)", "tr(musig(X,Y)/*h)", "tr(musig(X/0,Y)/*)", "tr(musig(X/*,Y/*))",
        "tr(musig(X/*,Y)/*)", "tr(musig(X/0/*,Y/1/*)/0)",
    "tr(musig(X,Y)/<0;1>/*)", "tr(musig(X/<0;1>,Y/<0;1>))", "tr(musig(X/<0;1>,Y)/<0;1>)", "tr(musig(X/<0;1>/*,Y/<0;1;2>/*))",
        "tr(musig(A,musig(B,C)))", "tr(A,pk(musig(B,C)))", "tr(A,pk(musig(X,Y)/<0;1>/*))", "rawtr(musig(A,B))", "tr(musig(A,A))",
        "tr(musig(U,B))", "tr([deadbeef/1]musig(A,B))", "tr(musig(A,B)",
    "tr(musig(XPRV,Y)/0/*)", "tr(musig(XPRV/0h,Y)/0/*)", "tr(musig(WIF,B))", "tr(A,multi_a(1,musig(B,C),D))", "sh(wsh(musig(A,B)))",
        "tr(musig(A,B,))", "tr(musig(X,Y)x)", "tr(musig(X,Y)/)", "tr(musig([deadbeef/0]X,Y)/0/*)", "tr(musig(H,B))", "unused(A)",
        "unused(XPRV)", "unused(X/*)", "sp(A)",
    "sh(multi(1," + ",".join(["A"] * 15) + "))", "sh(multi(1," + ",".join(["A"] * 16) + "))", "wsh(multi(1," + ",".join(["A"] * 20) + "))",
        "wsh(multi(1," + ",".join(["A"] * 21) + "))", "sh(wsh(multi(20," + ",".join(["A"] * 20) + ")))",
    "tr(A,multi_a(1," + ",".join(["B"] * 30) + "))", "sh(multi(1,U,U,U,U,U,U,U,U))", "sh(multi(1,U,U,U,U,U,U,U))", "wsh(multi(1,A,B,C,D))",
        "pk(A\u00e9)", "pk(A)\n", "pk(\u20bf)",
)

# Descriptors of which we say other things, with the reason.
KNOWN = {
    "sh(wsh(musig(A,B)))": "a musig() that stands for a script is refused as a key",
    "tr(musig(X,Y)x)": "what stands behind a musig() without a slash is kept as written",
}
UNTYPED = "the miniscript library does not say which part has the wrong type"
AS_WRITTEN = "miniscript is printed as it was written; Core prints the short form"
for _inner, _reason in {
    "thresh(2,pk(A),pk(B))": UNTYPED, "and_v(pk(A),pk(B))": UNTYPED, "c:pk_k(A)": AS_WRITTEN, "c:pk_h(A)": AS_WRITTEN,
    "and_v(vc:pk_h(A),older(5))": AS_WRITTEN, "and_v(v:pk(A),older(01))": "the library refuses numbers with leading zeros",
    "u:0": "the library names l:0 and u:0 alike", "l:0": "as above", "or_i(0,0)": "as above",
}.items():
    KNOWN |= {form.format(_inner): _reason for form in ("wsh({})", "tr(A,{})", "sh({})", "{}")}


def names(node):
    """What the capital words of the descriptors stand for."""
    words = {}
    for index, word in enumerate("ABCD"):
        words[word] = public(node, wif(bytes([index + 1]) * 32))
    words["U"] = public(node, wif(b"\1" * 32, compressed=False))
    words["H"] = ("06" if int(words["U"][-1], 16) % 2 == 0 else "07") + words["U"][2:]
    words["XO"] = words["A"][2:]
    words["XPRV"], words["MAINXPRV"] = master(b"one"), master(b"one", "0488ade4")
    words["X"], words["Y"] = public(node, words["XPRV"]), public(node, master(b"two"))
    words["MAINX"] = base58(bytes.fromhex("0488b21e") + bytes(74))
    words["WIF"], words["WIFU"], words["MAINWIF"] = wif(b"\1" * 32), wif(b"\1" * 32, False), wif(b"\1" * 32, version=128)
    words["BADWIF"], words["ZEROWIF"] = words["WIF"][:-1] + "1", wif(bytes(32))
    words["ADDR"] = base58(b"\x6f" + bytes(20))
    return words


def spelled(template, words):
    parts, word = [], ""
    for character in template + "\0":
        if character.isupper():
            word += character
            continue
        parts.append(words.get(word, word))
        parts.append(character)
        word = ""
    return "".join(parts)[:-1]


def scenario(pair):
    core = pair.nodes[0]
    words = names(core)
    templates = [*SCRIPTS, *(f"wsh({inner})" for inner in MINISCRIPTS), *(f"tr(A,{inner})" for inner in MINISCRIPTS),
        *(f"sh({inner})" for inner in MINISCRIPTS[:12]), *MINISCRIPTS]
    pair.same("createwallet", "watch", True, True)
    pair.same("createwallet", "keys", False, True)
    imports = {"watch": [], "keys": []}
    for template in templates:
        descriptor = spelled(template, words)
        known = KNOWN.get(template)
        info = pair.same("getdescriptorinfo", descriptor, known=known)
        pair.same("scantxoutset", "start", [descriptor], known=known)
        given = checked(descriptor)
        for text in (descriptor, given, *([info["descriptor"]] if isinstance(info, dict) else [])):
            pair.same("deriveaddresses", text, known=known)
            pair.same("deriveaddresses", text, [0, 2], known=known)
        for request in ({"desc": given}, {"desc": given, "range": 3}, {"desc": given, "active": True}, {"desc": given, "label": "l"}):
            imports["watch"].append((request | {"timestamp": "now"}, known))
            imports["keys"].append((request | {"timestamp": "now"}, known))
    checksums(pair, spelled("wpkh(X/0/*)", words))
    ranges(pair, core.call("getdescriptorinfo", spelled("wpkh(X/0/*)", words))["descriptor"])
    for wallet, requests in imports.items():
        for request, known in requests:
            pair.same("importdescriptors", [request], wallet=wallet, known=known)
        pair.same("listdescriptors", wallet=wallet)
        pair.same("getwalletinfo", wallet=wallet)


def checksums(pair, descriptor):
    good = pair.same("getdescriptorinfo", descriptor)["checksum"]
    for ending in ("#" + good, "#" + good[:-1], "#" + good + "q", "#", "##", "#" + good + "#", "#qqqqqqqq", "#" + good.upper(), "# " + good,
        good, "#\u00e9qqqqqq"):
        for method in ("getdescriptorinfo", "deriveaddresses"):
            pair.same(method, descriptor + ending)


def ranges(pair, descriptor):
    fixed = pair.same("getdescriptorinfo", "raw(51)")["descriptor"]
    cases = (None, 0, 1, 5, -1, 2147483647, 2147483648, 4294967296, 1.5, "1", True, [], [0], [0, 0], [0, 1], [1, 0], [0, 1, 2], [-1, 1], [0,
        1000000], [0, 1000001],
             [2147483640, 2147483647], [2147483640, 2147483648], ["0", 1], [0, None], [0.5, 1], {}, [[0], 1], [3, 5])
    for case in cases:
        pair.same("deriveaddresses", descriptor, case) if case not in (2147483647, [0, 1000000]) else None
        pair.same("deriveaddresses", fixed, case)
        pair.same("scantxoutset", "start", [{"desc": descriptor, "range": case}]) if case not in (2147483647, [0, 1000000]) else None
    pair.each("deriveaddresses", (), 5, None, [descriptor], (descriptor, 1, 2))
    pair.each("scantxoutset", "start", ("start", []), ("start", [5]), ("start", [{}]), ("start", [{"desc": 5}]), ("stop", []), ("status",),
        ("abort",), ("start", "x"), ("start", [fixed, "x"]), 5)


run(scenario)
