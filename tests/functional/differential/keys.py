"""Addresses and keys as text, right and wrong ones: bech32 and base58 with any content."""

import hashlib

CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BECH32, BECH32M = 1, 0x2BC830A3


def polymod(values):
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= term if top >> bit & 1 else 0
    return check


def bech32(prefix, values, constant):
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    check = polymod(expanded + values + [0] * 6) ^ constant
    return prefix + "1" + "".join(CHARSET[v] for v in values + [check >> 5 * (5 - i) & 31 for i in range(6)])


def groups_of_five(data, padding=0):
    bits = "".join(f"{byte:08b}" for byte in data)
    missing = -len(bits) % 5
    bits += f"{padding:0{missing}b}" if missing else ""
    return [int(bits[i : i + 5], 2) for i in range(0, len(bits), 5)]


def segwit(prefix, version, program, constant=None, padding=0):
    constant = constant or (BECH32 if version == 0 else BECH32M)
    return bech32(prefix, [version] + groups_of_five(program, padding), constant)


def base58(payload):
    data = payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        text = BASE58[rest] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def wif(secret, compressed=True, version=239):
    return base58(bytes([version]) + secret + (b"\1" if compressed else b""))


def checked(text):
    """A descriptor with its checksum (BIP380)."""
    kinds = "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~ijklmnopqrstuvwxyzABCDEFGH`#\"\\ "
    symbols, groups = [], []
    for character in text:
        if character not in kinds:
            return text + "#qqqqqqqq"
        position = kinds.index(character)
        symbols.append(position & 31)
        groups.append(position >> 5)
        if len(groups) == 3:
            symbols.append(groups[0] * 9 + groups[1] * 3 + groups[2])
            groups = []
    if groups:
        symbols.append(groups[0] if len(groups) == 1 else groups[0] * 3 + groups[1])
    check = 1
    for symbol in symbols + [0] * 8:
        top = check >> 35
        check = (check & 0x7FFFFFFFF) << 5 ^ symbol
        for bit, term in enumerate((0xF5DEE51989, 0xA9FDCA3312, 0x1BAB10E32D, 0x3706B1677A, 0x644D626FFD)):
            check ^= term if top >> bit & 1 else 0
    check ^= 1
    return text + "#" + "".join(CHARSET[check >> 5 * (7 - i) & 31] for i in range(8))


def master(seed, version="04358394"):
    """A master key whose secret and chain code are hashes of `seed`."""
    secret, chain = (hashlib.sha256(seed + part).digest() for part in (b"secret", b"chain"))
    return base58(bytes.fromhex(version) + bytes(9) + chain + b"\0" + secret)


def public(node, key):
    """The public part of a key in WIF or of an extended key, which the node tells."""
    return node.call("getdescriptorinfo", f"pkh({key})")["descriptor"][4:].split(")")[0]
