"""One sequence of calls, asked of Bitcoin Core and of bitcoin-node: every answer and every error is compared, fields in their order
and numbers as they are written. A scenario uses fixed keys and mock times, so that both programs make the same transactions."""

import contextlib
import json
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from reference import Node  # noqa: E402

SHOWN = 600  # characters of an answer that differs
# Calls whose lists are in an order that Core leaves to chance.
ANY_ORDER = ("listunspent", "listsinceblock", "listlockunspent")
ANY_ORDER_WITHIN = ("listreceivedbyaddress",)


class Number(str):
    """A number with a fraction as it stands in an answer: 1.0 is not 1.00."""

    def __repr__(self):
        return str(self)


class Both:
    """What only one side calls by this name: a value that is random on each."""

    def __init__(self, core, ours):
        self.sides = (core, ours)

    def __getitem__(self, key):
        core, ours = (value[key] for value in self.sides)
        return core if core == ours else Both(core, ours)


def side(value, index):
    """`value` as the side of this index knows it."""
    if isinstance(value, Both):
        return value.sides[index]
    if isinstance(value, dict):
        return {key: side(entry, index) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [side(entry, index) for entry in value]
    return float(value) if isinstance(value, Number) else value


def masked(value, names):
    if isinstance(value, dict):
        return {key: "*" if key in names else masked(entry, names) for key, entry in value.items()}
    if isinstance(value, list):
        return [masked(entry, names) for entry in value]
    return "*" if "" in names and isinstance(value, str) else value


def sorted_lists(value):
    """For answers in the order of a hash table with a random salt."""
    if isinstance(value, dict):
        return {key: sorted_lists(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return sorted(map(sorted_lists, value), key=json.dumps)
    return value


def difference(core, ours, place=""):
    """The first place where two answers differ, as (place, core's, ours)."""
    if isinstance(core, dict) and isinstance(ours, dict) and list(core) == list(ours):
        pairs = [(f"{place}.{key}", core[key], ours[key]) for key in core]
    elif isinstance(core, list) and isinstance(ours, list) and len(core) == len(ours):
        pairs = [(f"{place}[{index}]", *both) for index, both in enumerate(zip(core, ours))]
    else:
        return place, core, ours
    return next(difference(left, right, where) for where, left, right in pairs if json.dumps(left) != json.dumps(right))


def shown(value):
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


class Pair:
    def __init__(self, *options):
        self.stack = contextlib.ExitStack()
        self.compared = self.differences = self.known = 0
        self.nodes = []
        binaries = (os.environ["BITCOIND_REFERENCE"], os.path.join(os.environ["BULKHEAD_BIN"], "bitcoin-node"))
        for binary in binaries:
            self.nodes.append(Node(binary, self.stack.enter_context(tempfile.TemporaryDirectory()), *options))
            self.stack.callback(self.nodes[-1].end)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    def same(self, method, *arguments, wallet=None, mask=(), known=None, **named):
        """Asks both and compares; fields named in `mask` may differ, "" stands for an answer that is a text, `known` says why the
        answers differ. Returns the answer, or both if they differ, or None for an error."""
        answers = []
        for index, node in enumerate(self.nodes):
            params = side({"args": arguments, **named} if named else arguments, index)
            try:
                status, text = node.answer(method, params, side(wallet, index))
            except TimeoutError as error:
                raise RuntimeError(f"{('Core', 'bitcoin-node')[index]} does not answer {method} {params}") from error
            answer = json.loads(text.replace(str(node.folder), "FOLDER"), parse_float=Number)
            error = answer["error"]
            if error and error["code"] == -1 and "\n" in error["message"]:
                error["message"] = error["message"].split("\n")[0]  # help, in our own words
            result = answer["result"]
            if method in ANY_ORDER:
                result = sorted_lists(result)
            elif method in ANY_ORDER_WITHIN and result:
                result = [sorted_lists(entry) for entry in result]
            answers.append((status, error, result))
        self.compared += 1
        texts = [json.dumps([*answer[:2], masked(answer[2], mask)]) for answer in answers]
        if known:
            self.known += 1
            if texts[0] == texts[1]:
                print(f"DIFFERS NO LONGER {method} {shown(json.dumps(side(arguments, 0)))}: {known}")
        elif texts[0] != texts[1]:
            self.differences += 1
            asked = json.dumps(side([arguments, named], 0))
            print(f"DIFFERS {method} {shown(asked)} {wallet or ''}")
            place, *values = difference(*(answer[1] or masked(answer[2], mask) for answer in answers))
            for name, value in zip(("core", "ours"), values):
                print(f"  {name}: {place} {shown(value)}")
        results = [answer[2] for answer in answers]
        return results[0] if results[0] == results[1] else Both(*results)

    def each(self, method, *cases, **options):
        """One call for each case, which is a tuple of arguments or the only argument."""
        for case in cases:
            self.same(method, *(case if isinstance(case, tuple) else (case,)), **options)

    def time(self, seconds):
        for node in self.nodes:
            node.call("setmocktime", seconds)


def run(scenario, *options):
    """Runs a scenario and ends with 1 if anything differs."""
    if not os.environ.get("BITCOIND_REFERENCE"):
        sys.exit("BITCOIND_REFERENCE must name Bitcoin Core's bitcoind")
    with Pair(*options) as pair:
        scenario(pair)
    print(f"{pathlib.Path(sys.argv[0]).name}: {pair.compared} answers compared, {pair.differences} differences, {pair.known} known ones")
    sys.exit(1 if pair.differences else 0)
