#!/usr/bin/env python3
"""Runs entries of Bitcoin Core's own functional suite, unmodified, against our binaries.

The suite comes from BITCOIN_CORE_SRC when that is set, else from the source distribution of the PyPI package
py-bitcoinkernel (downloaded once into BULKHEAD_CACHE, by default ~/.cache/bulkhead).

  run.py                              the entries of must-pass.txt
  run.py rpc_uptime "rpc_bind --ipv4" these entries (a name without options runs every variant that the suite lists)
  run.py --list my.txt -j 2           the entries of a file, two at a time
  run.py --all                        every entry that the suite runs by default
  run.py --keep rpc_uptime            keep the files of failed entries (the path is printed)

Entries named in the exam file are never run: the file is BULKHEAD_EXAM, or shared/exam.txt beside the checkout.
One line per entry; the last line is `N passed, N failed, N skipped`; the exit code is 1 when an entry failed.
"""

import argparse
import concurrent.futures
import fcntl
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import suite

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SKIPPED = 77
# Ports are a function of the seed; above this number of seeds they would leave the suite's range of 5000.
SEEDS = 400
PRINT = threading.Lock()
# Bytes that must be free in the memory that is used as a disk: entries that prune need gigabytes.
MEMORY_DISK, ROOM = pathlib.Path("/dev/shm"), 8 << 30
# What the suite prints after every failure; the reason stands before it.
BOILERPLATE = re.compile(
    r"TestFramework \(ERROR\): *(Hint|If this failure|https:|Test failed|$)|Not cleaning up dir|Not stopping nodes|leftover process")


# Behind an entry of a list: it asks for what Core does since then and fails with an older suite, see DECISIONS.md.
NEWER = "@2026-08"


def read_list(path):
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [normal(line) for line in lines if line]


def fit_for(source, wanted):
    """The entries of a list that this suite can have, without their marks."""
    newer = suite.is_of_august_2026(source)
    left_out = [entry.removesuffix(NEWER).strip() for entry in wanted if entry.endswith(NEWER) and not newer]
    if left_out:
        print(f"not run with this older suite, because they need that of v31.99 of August 2026 (BITCOIN_CORE_SRC): "
              f"{', '.join(left_out)}", flush=True)
    entries = [entry.removesuffix(NEWER).strip() for entry in wanted]
    return [entry for entry in entries if entry not in left_out]


def normal(entry):
    """`rpc_bind --ipv4` and `rpc_bind.py --ipv4` are the same entry."""
    script, *options = entry.split()
    return " ".join([script if script.endswith(".py") else script + ".py", *options])


def exam_entries():
    named = os.environ.get("BULKHEAD_EXAM")
    path = pathlib.Path(named) if named else ROOT.parent / "shared/exam.txt"
    return set(read_list(path)) if path.exists() else set()


def all_entries(source):
    """What the suite's own runner would run by default, read from its lists without running it."""
    text = (source / "test/functional/test_runner.py").read_text()
    base = text[text.index("BASE_SCRIPTS = ["):]
    base = base[: base.index("\n]")]
    return [found for found in re.findall(r"^\s*'([a-z0-9_]+\.py[^']*)'", base, re.M)]


def expand(wanted, listed):
    entries = []
    for entry in wanted:
        variants = [known for known in listed if known == entry or known.startswith(entry + " ")]
        entries += [entry] if entry in listed or not variants else variants
    return list(dict.fromkeys(entries))


def working_place():
    """Where nodes write: memory, as the suite's own README advises. Where it is a disk, nodes wait for each other's journal, and
    an entry that kills a node without waiting for its end removes folders in which the node is still making a file."""
    try:
        if shutil.disk_usage(MEMORY_DISK).free >= ROOM:
            return MEMORY_DISK
    except OSError:
        pass
    return pathlib.Path(tempfile.gettempdir())


class PortSeed:
    """A range of ports that no other runner on this machine uses at the same time."""

    def __enter__(self):
        folder = suite.cache_dir() / "ports"
        folder.mkdir(parents=True, exist_ok=True)
        for attempt in range(SEEDS):
            self.number = 1 + (os.getpid() + attempt) % SEEDS
            self.file = open(folder / str(self.number), "w")
            try:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return self.number
            except BlockingIOError:
                self.file.close()
        sys.exit("no free range of ports: too many runners at once")

    def __exit__(self, *_):
        self.file.close()


class Runner:
    def __init__(self, args, python, build, config, work):
        self.args, self.python, self.build, self.config, self.work = args, python, build, config, work
        self.env = suite.environment(build)
        self.cache = work / "cache"
        self.failures = []

    def command(self, script, options, folder, seed):
        return [str(self.python), str(self.build / "test/functional" / script), *options, f"--cachedir={self.cache}",
                f"--configfile={self.config}", f"--portseed={seed}", f"--tmpdir={folder}", *self.args.option]

    def run(self, entry):
        """Runs one entry. Returns (outcome, seconds, output)."""
        script, *options = entry.split()
        folder = self.work / re.sub(r"[^a-z0-9]+", "_", entry.removesuffix(".py"))
        started = time.monotonic()
        with PortSeed() as seed:
            process = subprocess.Popen(self.command(script, options, folder, seed), env=self.env, text=True,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       start_new_session=True)
            try:
                out, err = process.communicate(timeout=self.args.timeout)
                code = process.returncode
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                out, err = process.communicate()
                code = f"no end within {self.args.timeout} s"
        seconds = time.monotonic() - started
        if code == SKIPPED:
            return "skipped", seconds, out
        # The suite's own rule: success is exit code 0 and nothing on stderr.
        if code == 0 and not err:
            return "passed", seconds, out
        return "failed", seconds, f"{out}\n{err}\nexit: {code}\nfiles: {folder}"

    def report(self, entry):
        outcome, seconds, output = self.run(entry)
        with PRINT:
            reason = ""
            if outcome == "skipped":
                reason = " (" + (re.findall(r"Test Skipped: (.*)", output) or ["?"])[-1] + ")"
            print(f"{outcome:7} {seconds:6.1f} s  {entry}{reason}", flush=True)
            if outcome == "failed":
                self.failures.append((entry, self.reason(output)))
                if not self.args.quiet:
                    print("\n".join(self.failures[-1][1]), flush=True)
        return outcome

    def reason(self, output):
        lines = [line for line in output.splitlines() if line.strip() and not BOILERPLATE.search(line)]
        return ["    | " + line[:400] for line in lines[-self.args.lines:]]

    def repeat_failures(self):
        """Who reads only the end of a long log finds the failed entries there, too."""
        for entry, reason in self.failures:
            print("\n".join([f"failed  {entry}", *([] if self.args.quiet else reason)]), flush=True)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("entries", nargs="*", help="names of entries, quoted together with their options")
    parser.add_argument("--list", type=pathlib.Path, help="file with one entry per line")
    parser.add_argument("--all", action="store_true", help="every entry that the suite runs by default")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="entries that run at once (default: 2)")
    parser.add_argument("--timeout", type=int, default=600, help="seconds for one entry (default: 600)")
    parser.add_argument("--bin", type=pathlib.Path, help="folder of our binaries (default: release folder of the target "
                        "directory: CARGO_TARGET_DIR, else BULKHEAD_CACHE/target)")
    parser.add_argument("--keep", action="store_true", help="keep the working folder")
    parser.add_argument("--quiet", action="store_true", help="one line per entry also for failures")
    parser.add_argument("--lines", type=int, default=30, help="lines shown of a failed entry (default: 30)")
    parser.add_argument("--option", action="append", default=[], help="passed on to each entry (--option=--timeout-factor=2)")
    parser.add_argument("--work", type=pathlib.Path, default=working_place(),
                        help="parent of the working folder (default: %(default)s)")
    return parser.parse_args()


def main():
    args = parse_arguments()
    target = os.environ.get("CARGO_TARGET_DIR") or suite.cache_dir() / "target"
    binaries = (args.bin or pathlib.Path(target) / "release").resolve()
    if not (binaries / "bitcoin-node").exists():
        sys.exit(f"no bitcoin-node in {binaries}: build with `cargo build --release`, or name the folder with --bin")
    source = suite.source_tree()
    python = suite.test_python()
    listed = all_entries(source)
    if args.entries:
        wanted = [normal(entry) for entry in args.entries]
    elif args.all:
        wanted = listed
    else:
        wanted = fit_for(source, read_list(args.list or HERE / "must-pass.txt"))
    exam = exam_entries()
    entries = [entry for entry in expand(wanted, listed) if entry not in exam]
    unknown = [entry for entry in entries if not (source / "test/functional" / entry.split()[0]).exists()]
    if unknown:
        sys.exit("not in the suite: " + ", ".join(unknown))

    # The suite's own runner puts such characters into every path, to find code that can't stand them.
    work = pathlib.Path(tempfile.mkdtemp(prefix="functional_₿_🏃_", dir=args.work))
    config = suite.lay_out(work / "build", source, binaries)
    runner = Runner(args, python, work / "build", config, work)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    try:
        if len(entries) > 1 and args.jobs > 1:
            outcome, _, output = runner.run("create_cache.py")
            if outcome == "failed":
                print("the cached chain could not be made; entries make their own\n" + output[-2000:], flush=True)
                shutil.rmtree(runner.cache, ignore_errors=True)
        with concurrent.futures.ThreadPoolExecutor(max_workers=args.jobs) as pool:
            for outcome in pool.map(runner.report, entries):
                counts[outcome] += 1
    finally:
        if args.keep:
            print(f"files: {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)
    runner.repeat_failures()
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
