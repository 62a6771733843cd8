"""Nodes in network namespaces, and what their processes use."""

import base64
import http.client
import json
import os
import pathlib
import subprocess
import time

PATIENCE = 90  # seconds
RPC_PORT = 18443
WALLET = "w"


class CallError(Exception):
    """The node answered with an error."""


class Node:
    def __init__(self, number, host, binary, folder, neighbours):
        self.number, self.host = number, host
        self.folder = pathlib.Path(folder) / f"node{number}"
        self.folder.mkdir()
        self.binary, self.neighbours = binary, neighbours
        self.process = None
        self.address = None

    def __str__(self):
        return f"node {self.number}"

    def start(self):
        self.process = self.host.run(self._spawn)

    def _spawn(self):
        stderr = open(self.folder / "stderr", "ab")
        return subprocess.Popen(
            [
                self.binary, "-regtest", f"-datadir={self.folder}", "-printtoconsole=0", "-listenonion=0", "-natpmp=0", "-dnsseed=0",
                "-fixedseeds=0", "-fallbackfee=0.0002", f"-externalip={self.host.address}", "-dbcache=16", "-checkblockindex=0",
                *(f"-addnode={address}:18444" for address in self.neighbours),
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
        )

    def wait(self):
        """Until it answers."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.call("getblockcount")
            except (OSError, CallError, http.client.HTTPException) as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{self} does not start: {error}\n{self.end_of_log()}") from error
            time.sleep(0.1)

    def end_of_log(self):
        lines = (self.folder / "regtest/debug.log").read_text(errors="replace").splitlines()[-15:]
        return "\n".join([(self.folder / "stderr").read_text(errors="replace")[-1000:], *lines])

    def call(self, method, *params, wallet=False):
        return self.host.run(self._call, method, params, f"/wallet/{WALLET}" if wallet else "/")

    def _call(self, method, params, path):
        cookie = (self.folder / "regtest/.cookie").read_bytes()
        connection = http.client.HTTPConnection("127.0.0.1", RPC_PORT, timeout=PATIENCE)
        try:
            headers = {"Authorization": "Basic " + base64.b64encode(cookie).decode()}
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
            connection.request("POST", path, body, headers)
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if answer.get("error"):
            raise CallError(f"{self}: {method}: {answer['error']}")
        return answer["result"]

    def processes(self):
        """Process ids below and of the supervisor, by name."""
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    fields = pathlib.Path(f"/proc/{entry}/stat").read_text().rpartition(")")
                except OSError:
                    continue  # it ended
                parents[int(entry)] = (int(fields[2].split()[1]), fields[0].partition("(")[2])
        found, at = [self.process.pid], 0
        while at < len(found):
            found += [pid for pid, (parent, _) in parents.items() if parent == found[at]]
            at += 1
        names = {}
        for pid in found:
            if pid in parents:
                names.setdefault(parents[pid][1], []).append(pid)
        return names


def memory(pid):
    """Bytes; a page that several processes share is divided among them. 0 when the process has ended."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
