"""A scenario written with the test framework of Core's suite, run once against Bitcoin Core and once against bitcoin-node. What it
notes is compared in order. With a mock time and the framework's fixed keys both make the same blocks and transactions."""

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

FUNCTIONAL = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(FUNCTIONAL))
import suite  # noqa: E402

NOTES, LIMIT = "BULKHEAD_NOTES", 900  # seconds
SHOWN = 600  # characters of a note that differs
TIME = 1_700_000_000  # where the clock stands
# Core says so of every build that is no release; whether the pool's order is the best yet depends on time spent on it.
ANY_VALUE = {"warnings", "optimal", "longpollid", "usage"}
# Signatures of the framework are random, and what follows from them.
HASHES = re.compile("[0-9a-f]{60,}")

sys.path.insert(0, str(suite.source_tree() / "test/functional"))
from test_framework.authproxy import JSONRPCException  # noqa: E402
from test_framework.wallet import MiniWallet  # noqa: E402


def comparable(value, left_out=()):
    if isinstance(value, dict):
        return {key: "*" if key in ANY_VALUE else comparable(entry, left_out) for key, entry in value.items() if key not in left_out}
    if isinstance(value, list):
        return [comparable(entry, left_out) for entry in value]
    if isinstance(value, str) and "\nArguments:\n" in value:
        return value.split("\n")[0]  # help, in our own words
    return value


class Notes:
    """Beside BitcoinTestFramework among the bases of a scenario; `node_options` are those of the only node."""

    node_options = ()

    def set_test_params(self):
        self.num_nodes = 1
        self.setup_clean_chain = True
        self.extra_args = [list(self.node_options)]
        self.notes = []

    def begin(self, blocks):
        """The node, its clock stopped, and a wallet of the framework with the coins of so many blocks."""
        self.node = self.nodes[0]
        self.node.setmocktime(TIME)
        self.wallet = MiniWallet(self.node)
        self.mine(blocks)

    def mine(self, count=1):
        self.generate(self.wallet, count, sync_fun=self.no_op)
        self.wallet.rescan_utxos()

    def note(self, name, value):
        self.notes.append([name, value])

    def ask(self, method, *arguments, left_out=()):
        """Calls, notes the answer or the error, and gives the answer."""
        try:
            answer = getattr(self.nodes[0], method)(*arguments)
            noted = sorted(answer, key=lambda tip: tip["hash"]) if method == "getchaintips" else answer
        except JSONRPCException as error:
            answer, noted = None, error.error
        asked = json.dumps([method, *arguments], default=str)
        self.note(asked[:SHOWN], comparable(noted, left_out))
        return answer

    def shutdown(self):
        pathlib.Path(os.environ[NOTES]).write_text(json.dumps(self.notes, default=str))
        return super().shutdown()


def run_one(scenario, name, binaries, folder):
    build = folder / name
    config = suite.lay_out(build, suite.source_tree(), pathlib.Path(binaries))
    notes = folder / f"{name}.json"
    command = [suite.test_python(), scenario, f"--configfile={config}", f"--portseed={os.getpid() % 400 + (name == 'core')}",
               f"--tmpdir={folder / name}-run", "--nocleanup", *sys.argv[1:]]
    # Without these variables the framework looks for Core's names.
    environment = suite.environment(build) if name == "ours" else os.environ
    ended = subprocess.run(command, env={**environment, NOTES: str(notes)}, timeout=LIMIT, capture_output=True, text=True)
    if ended.returncode != 0:
        sys.exit(f"{scenario} against {name} failed:\n{ended.stdout[-4000:]}{ended.stderr[-2000:]}")
    return json.loads(notes.read_text())


def compare(scenario, random_signatures):
    binaries = {"core": pathlib.Path(os.environ["BITCOIND_REFERENCE"]).parent, "ours": os.environ["BULKHEAD_BIN"]}
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor() as both:
        running = [both.submit(run_one, scenario, name, path, pathlib.Path(folder)) for name, path in binaries.items()]
        notes = [json.dumps(one.result()) for one in running]
    if random_signatures:
        notes = [HASHES.sub("#", text) for text in notes]
    core, ours = map(json.loads, notes)
    different = [pair for pair in zip(core, ours) if json.dumps(pair[0]) != json.dumps(pair[1])]
    for left, right in different:
        print(f"DIFFERS {left[0]}\n  core: {json.dumps(left[1])[:SHOWN]}\n  ours: {json.dumps(right[1])[:SHOWN]}")
    count = len(different) + abs(len(core) - len(ours))
    print(f"{pathlib.Path(scenario).name}: {len(core)} answers compared, {count} differences")
    sys.exit(1 if count else 0)


def main(scenario, file, random_signatures=False):
    """Ends with 1 if the two programs differ."""
    if NOTES in os.environ:
        scenario(file).main()
    else:
        compare(file, random_signatures)
