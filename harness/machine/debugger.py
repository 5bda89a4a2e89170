"""gdb and the machine joined: the machine waits for gdb before its first instruction.

Without a terminal the tests run as always, after somebody has connected by the command that is
printed. On a terminal gdb has it, and the tests run in a process of their own; its output follows.
"""

import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness import packages, proc
from harness.errors import InfraError
from harness.model import ROOT, VARIANTS, BuildPaths
from harness.progress import say
from harness.run.options import Options

FOREVER = 7 * 24 * 3600.0
"""Seconds that somebody who steps through code may take."""

_SOCKET = "KRSI_GDB_SOCKET"
_PATIENCE = 120.0


def argv(variant: str, socket: Path, build: Path = ROOT / "build") -> list[str]:
    """The command line of gdb with the kernel, its sources and the machine. Pure."""
    whole = VARIANTS[variant].series == "all"
    sources = build / ("tree" if whole else f"src-{variant}")
    vmlinux = BuildPaths.of(variant, build).vmlinux
    return ["gdb", "-q", f"--directory={sources}", str(vmlinux), "-ex", f"target remote {socket}"]


def socket_of(environ: Mapping[str, str]) -> Path:
    """Where the machine waits: where the process in front of us looks, or a new place."""
    given = environ.get(_SOCKET)
    return Path(given) if given else Path(tempfile.mkdtemp(prefix="krsi-")) / "gdb"


def run(options: Options, words: Sequence[str]) -> int:
    """Give the terminal to gdb, and run the tests meanwhile. Returns their exit status.

    Args:
        options: what `words` mean.
        words: the command line of run_tests.py.
    """
    packages.ensure(packages.DEBUGGER, say)
    with tempfile.TemporaryDirectory(prefix="krsi-") as folder:
        socket, log = Path(folder, "gdb"), Path(folder, "log")
        command = [sys.executable, str(ROOT / "run_tests.py"), *words]
        with proc.spawn(command, env={_SOCKET: str(socket)}, log=log) as tests:
            stop = time.monotonic() + _PATIENCE
            while not socket.exists() and tests.poll() is None and time.monotonic() < stop:
                time.sleep(0.1)
            if tests.poll() is None and socket.exists():
                say("'hbreak FUNCTION', 'continue'; after 'detach' and 'quit' the tests run on")
                proc.interact(argv(options.variants[0], socket), env=dict(os.environ))
                tests.wait()
            sys.stdout.write(log.read_text("utf-8", "replace"))
            if tests.poll() is None:
                raise InfraError(f"the machine does not wait for gdb after {_PATIENCE:.0f} s")
            return int(tests.returncode)
