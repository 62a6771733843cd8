#!/usr/bin/env python3
"""Sums up what `coverage.sh` measured: coverage.py FILE.lcov [UNCOVERED-LINES-OF-FILE...].

Lines of the code that takes bytes from outside (DECODERS) and of the code that answers calls of other processes (HANDLERS), and
methods of the edges that a server was asked for: the code that Cap'n Proto generates for the schemas has one line for each. The
exit code is 1 when there is less of one of them than GOALS says.
"""

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Percent of the lines; of the methods all.
GOALS = {"decoders": 90, "handlers": 90}
DECODERS = """
schema/src/decode.rs schema/control/src/message/*.rs schema/keystore/src/r*.rs schema/keystore/src/frame.rs
node/wire/src/*.rs node/wire/src/v2/*.rs
node/asmap/src/lib.rs node/addrman/src/file.rs node/addrman/src/bans.rs
node/net/src/process/chain_answers.rs node/net/src/process/resolve.rs node/notify/src/frame.rs
node/rpc/src/http/parse.rs node/rpc/src/body.rs node/rpc/src/jsonrpc.rs node/rpc/src/arguments.rs
node/config/src/conf.rs node/config/src/settings_file.rs
node/store/src/codec.rs node/store/src/coin.rs node/store/src/undo.rs node/store/src/block_index.rs node/store/src/tx_position.rs
node/store/src/snapshot.rs node/chain/src/mempool_accept/persist.rs
node/rpc-util/src/codec.rs node/rpc-util/src/bech32.rs node/rpc-util/src/address.rs node/rpc-util/src/amount.rs
node/rpc-util/src/psbt/*.rs node/rpc-util/src/descriptor/*.rs
wallet/core/src/codec.rs wallet/core/src/record/*.rs node/descriptor/src/*.rs wallet/spend-policy/src/text.rs
"""
HANDLERS = """
schema/link/src/*.rs node/chain/src/serve/*.rs node/net/src/process/chain.rs node/net/src/process/events.rs
node/net/src/process/front_door.rs node/rpc/src/ipc/*.rs node/rpc/src/gui.rs node/rpc/src/zmq/mod.rs node/rpc/src/owners.rs
wallet/app/src/ipc/chain.rs wallet/app/src/ipc/events.rs wallet/app/src/ipc/serve.rs wallet/keystore/src/service/*.rs
"""
METHOD = re.compile(r"\d+ => .*<_T as Server>::(\w+)\(")


def read(path):
    """Executions of each line, by file."""
    files, lines = {}, {}
    for record in Path(path).read_text().splitlines():
        if record.startswith("SF:"):
            # One file may be compiled from several places.
            lines = files.setdefault(os.path.normpath(record[3:]), {})
        elif record.startswith("DA:"):
            line, count = record[3:].split(",")[:2]
            lines[int(line)] = max(lines.get(int(line), 0), int(count))
    return files


def share(covered, lines):
    return 100 * covered / max(lines, 1)


def of_kind(kind, patterns, files):
    """Prints the files of one kind, the worst first; answers whether the goal is reached."""
    rows = []
    for pattern in patterns.split():
        found = [path for path in sorted(ROOT.glob(pattern)) if str(path) in files]
        if not found:
            sys.exit(f"{pattern}: no such file was compiled")
        for path in found:
            lines = files[str(path)].values()
            rows.append((str(path.relative_to(ROOT)), sum(count > 0 for count in lines), len(lines)))
    rows.sort(key=lambda row: share(row[1], row[2]))
    for name, covered, lines in rows:
        print(f"{name:55} {covered:5} of {lines:5} {share(covered, lines):6.1f} %")
    covered, lines = (sum(row[at] for row in rows) for at in (1, 2))
    print(f"{kind + ', all':55} {covered:5} of {lines:5} {share(covered, lines):6.1f} %, goal {GOALS[kind]} %\n")
    return share(covered, lines) >= GOALS[kind]


def methods(files):
    """Prints the methods that no server was asked for; answers whether there are none."""
    asked, missing = 0, []
    for path in sorted(path for path in files if path.endswith("_capnp.rs")):
        for number, line in enumerate(Path(path).read_text().splitlines(), 1):
            if match := METHOD.search(line):
                if files[path].get(number, 0) > 0:
                    asked += 1
                else:
                    missing.append(f"{Path(path).stem.removesuffix('_capnp')}:{number} {match[1]}")
    print(f"methods of the edges: {asked} of {asked + len(missing)}")
    for method in missing:
        print(f"  no server was asked for {method}")
    return asked > 0 and not missing


def main(lcov, *shown):
    files = read(lcov)
    for name in shown:
        missing = [line for line, count in sorted(files[str(ROOT / name)].items()) if count == 0]
        text = (ROOT / name).read_text().splitlines()
        print("\n".join(f"{name}:{line}: {text[line - 1]}" for line in missing))
    if shown:
        return 0
    reached = [of_kind("decoders", DECODERS, files), of_kind("handlers", HANDLERS, files), methods(files)]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
