"""Where Core's functional suite comes from, and the directory that it wants to find around itself."""

import fcntl
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

PACKAGE = "py-bitcoinkernel"
VERSION = "0.1.0a5"
PYTHON_MODULES = ["pycapnp==2.2.4", "pyzmq==27.3.0"]
# Needed only to let pip look at a source distribution that builds with it.
PIP_BACKEND = ["scikit-build-core==1.1.2"]

# Binary that the suite asks for: name of ours.
BINARIES = {
    "bitcoin": "bitcoin",
    "bitcoind": "bitcoin-node",
    "bitcoin-cli": "bitcoin-cli",
    "bitcoin-tx": "bitcoin-tx",
    "bitcoin-util": "bitcoin-util",
    "bitcoin-wallet": "bitcoin-wallet",
    "bitcoin-chainstate": "bitcoin-chainstate",
}
ENVIRONMENT = {
    "BITCOIN_BIN": "bitcoin",
    "BITCOIND": "bitcoin-node",
    "BITCOINCLI": "bitcoin-cli",
    "BITCOINTX": "bitcoin-tx",
    "BITCOINUTIL": "bitcoin-util",
    "BITCOINWALLET": "bitcoin-wallet",
    "BITCOINCHAINSTATE": "bitcoin-chainstate",
}
# Component of config.ini: binary that must exist, or True when the node has it.
COMPONENTS = {
    "ENABLE_WALLET": "bitcoin-keystore",
    "ENABLE_CLI": "bitcoin-cli",
    "BUILD_BITCOIN_TX": "bitcoin-tx",
    "ENABLE_BITCOIN_UTIL": "bitcoin-util",
    "ENABLE_BITCOIN_CHAINSTATE": "bitcoin-chainstate",
    "ENABLE_WALLET_TOOL": "bitcoin-wallet",
    "ENABLE_BITCOIND": True,
    "ENABLE_ZMQ": True,
    "ENABLE_EMBEDDED_ASMAP": True,
    "ENABLE_EXTERNAL_SIGNER": False,
    "ENABLE_IPC": "bitcoin",
}


def cache_dir():
    """The folder outside the checkout that keeps downloads between runs."""
    return pathlib.Path(os.environ.get("BULKHEAD_CACHE") or pathlib.Path.home() / ".cache/bulkhead")


class Locked:
    """Only one runner at a time fills the cache."""

    def __init__(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(path, "w")

    def __enter__(self):
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *_):
        self.file.close()


def venv_python(modules, name):
    """Python of a virtual environment in the cache that holds these modules."""
    folder = cache_dir() / name
    marker = folder / ".complete"
    python = folder / "bin/python"
    wanted = "\n".join(modules)
    if marker.exists() and marker.read_text() == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *modules], check=True)
    marker.write_text(wanted)
    return python


def test_python():
    """Python that runs the entries, with the modules that some of them import."""
    with Locked(cache_dir() / "suite.lock"):
        return venv_python(PYTHON_MODULES, "functional-venv")


def source_tree():
    """Core's source tree: BITCOIN_CORE_SRC, or the copy inside the source distribution of a PyPI package."""
    named = os.environ.get("BITCOIN_CORE_SRC")
    if named:
        tree = pathlib.Path(named).resolve()
        if not (tree / "test/functional/test_runner.py").exists():
            sys.exit(f"BITCOIN_CORE_SRC={named}: no test/functional/test_runner.py in it")
        return tree
    home = cache_dir() / "suite"
    tree = home / f"{PACKAGE}-{VERSION}"
    with Locked(cache_dir() / "suite.lock"):
        if not (tree / "test/functional/test_runner.py").exists():
            download(home, tree)
    return tree


def is_of_august_2026(tree):
    """Whether the suite asks for what Core v31.99 does since August 2026. The version number says nothing: both bear the same."""
    return (tree / "test/functional/test_framework/extendedkey.py").exists()


def download(home, tree):
    print(f"fetching {PACKAGE} {VERSION} for Core's functional suite", flush=True)
    home.mkdir(parents=True, exist_ok=True)
    pip = venv_python(PIP_BACKEND, "pip-venv")
    subprocess.run(
        [pip, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation",
         "--no-binary", PACKAGE, "--dest", home, f"{PACKAGE}=={VERSION}"], check=True)
    archive = next(path for path in home.iterdir() if path.name.endswith(".tar.gz"))
    partial = home / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(archive) as tar:
        inside = [member for member in tar.getmembers() if "/depend/bitcoin/" in member.name]
        tar.extractall(partial, members=inside, filter="data")
    core = next(partial.glob("*/depend/bitcoin"))
    shutil.rmtree(tree, ignore_errors=True)
    core.rename(tree)
    shutil.rmtree(partial)


def lay_out(build, source, binaries):
    """Makes BUILDDIR: links to the suite, our binaries under the names that it looks for, and config.ini."""
    functional = build / "test/functional"
    functional.mkdir(parents=True)
    for path in (source / "test/functional").iterdir():
        if path.name != "__pycache__":
            (functional / path.name).symlink_to(path)
    for folder in ("fuzz", "lint"):
        if (source / "test" / folder).exists():
            (build / "test" / folder).symlink_to(source / "test" / folder)
    (build / "bin").mkdir()
    for path in binaries.iterdir():
        # Children are looked for beside their parent, so all of ours go in under their own names.
        if path.is_file() and os.access(path, os.X_OK) and path.name.startswith("bitcoin"):
            (build / "bin" / path.name).symlink_to(path)
    for wanted, ours in BINARIES.items():
        link = build / "bin" / wanted
        if not link.is_symlink() and (binaries / ours).exists():
            link.symlink_to(binaries / ours)
    config = build / "test/config.ini"
    lines = [
        "[environment]", "CLIENT_NAME=Bulkhead", "CLIENT_BUGREPORT=https://github.com/bulkhead/bulkhead/issues",
        f"SRCDIR={source}", f"BUILDDIR={build}", "EXEEXT=", f"RPCAUTH={source}/share/rpcauth/rpcauth.py",
        "", "[components]",
    ]
    for component, needed in COMPONENTS.items():
        if needed is True or (needed and (binaries / needed).exists()):
            lines.append(f"{component}=true")
    config.write_text("\n".join(lines) + "\n")
    return config


def environment(build):
    """Environment variables that the suite reads, on top of ours."""
    env = dict(os.environ, PYTHON_GIL="1", PYTHONDONTWRITEBYTECODE="1")
    for variable, name in ENVIRONMENT.items():
        env[variable] = str(build / "bin" / name)
    return env
