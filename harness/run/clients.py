"""Client tests: programs of others that use a BPF LSM, unmodified, on our kernel.

Each is a Python file of clients/ that runs in the guest; its functions test_* are the subtests.
What they run are Debian's packages, which the guest sees with the host's root. The scan is pure.
"""

import ast
import shutil
from collections.abc import Sequence
from pathlib import Path

from harness import packages, proc
from harness.errors import BuildError, InfraError, UsageError
from harness.model import ROOT, BuildPaths
from harness.run.selftests import Selftest

SOURCES = ROOT / "clients"

#: What is taken from Debian 13, whose systemd is built with BPF: extracted, not installed.
DEBIAN_13 = ROOT / "build/debian-13"
_FROM_DEBIAN_13 = "base-files,coreutils,libbpf1,systemd"
_RELEASE = "trixie"

_PREFIX = "test_"
_OPTIONS = "KERNEL_OPTIONS"
_TIMEOUT = 300.0


def scan(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The subtests of a source, in order, and the kernel options that it needs to boot with."""
    subtests = []
    options: tuple[str, ...] = ()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith(_PREFIX):
            subtests.append(node.name.removeprefix(_PREFIX))
        elif isinstance(node, ast.Assign) and _OPTIONS in map(ast.unparse, node.targets):
            options = tuple(ast.literal_eval(node.value).split())
    return tuple(subtests), options


def discover(folder: Path = SOURCES) -> tuple[Selftest, ...]:
    """Every client_*.py below `folder`; those that boot alike are neighbours.

    Raises UsageError when there is none: an empty suite would always pass.
    """
    found = []
    for path in folder.glob("client_*.py"):
        subtests, options = scan(path.read_text("utf-8"))
        found.append(Selftest(path.stem, subtests, path, options))
    if not found:
        raise UsageError(f"no client test (client_*.py) lies in {folder}")
    return tuple(sorted(found, key=lambda test: (test.options, test.name)))


def artifacts(paths: BuildPaths) -> Path:
    """Where a variant's compiled parts lie."""
    return paths.root / "clients"


def runner(paths: BuildPaths) -> tuple[str, ...]:
    """The command in the guest that runs client tests as `lsm_tests` runs C tests."""
    where = (f"--build={artifacts(paths)}", f"--debian-13={DEBIAN_13}")
    return ("/usr/bin/python3", str(SOURCES / "runner.py"), *where)


def prepare(paths: Sequence[BuildPaths], say: packages.Say) -> None:
    """Install what the tests use, and compile their parts for each variant.

    A package that cannot be installed costs the tests that use it: they are skipped in the guest,
    where it is missing.

    Raises:
        BuildError: a part does not compile.
    """
    for need in packages.CLIENTS:
        try:
            packages.ensure([need], say)
        except InfraError as error:
            say(f"client tests: {error}")
    _extract_debian_13(say)
    if packages.lacking(packages.CLIENT_PARTS):
        return
    for each in paths:
        _compile(each)


def _extract_debian_13(say: packages.Say) -> None:
    """Make `DEBIAN_13`, once; without it the tests that need it are skipped."""
    if DEBIAN_13.exists() or proc.which("mmdebstrap") is None:
        return
    say("extracting systemd from Debian 13 (once)")
    fresh = DEBIAN_13.with_name(DEBIAN_13.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    options = ("--variant=extract", f"--include={_FROM_DEBIAN_13}")
    done = proc.run(["mmdebstrap", *options, _RELEASE, fresh], timeout=_TIMEOUT, check=None)
    if done.ok:
        fresh.rename(DEBIAN_13)
    else:
        say(f"client tests: no systemd from Debian 13: {done.stderr.strip().splitlines()[-1:]}")


def _compile(paths: BuildPaths) -> None:
    log = artifacts(paths) / "make.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("", "utf-8")
    where = (f"OUT={artifacts(paths)}", f"BTF={paths.btf}")
    command = ["make", "--no-print-directory", f"--directory={SOURCES}", *where]
    done = proc.run(command, log=log, timeout=_TIMEOUT, check=None)
    if not done.ok:
        raise BuildError(f"the client tests' parts did not build: see {log}")
