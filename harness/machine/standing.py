"""A machine that outlives its test run: left up after a failure, entered later.

A keeper (`python3 -m harness.machine.standing`) holds its terminal open until the machine ends or
the keeper is terminated. build/standing.json tells `--enter` where the door is.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import termios
import time
import tty
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from harness import proc
from harness.errors import InfraError, UsageError
from harness.model import ROOT

PLACE = ROOT / "build/standing.json"
_LEAVE = b"\x1d"
_CHUNK = 4096
_PATIENCE = 30.0


@dataclass(frozen=True)
class Standing:
    """A machine that is up.

    Attributes:
        keeper: the process to terminate when it is to end.
        door: the socket of its shell.
        console: the kernel's log.
    """

    keeper: int
    door: str
    console: str

    @property
    def alive(self) -> bool:
        """Whether it is still up."""
        return Path(self.door).exists() and Path(f"/proc/{self.keeper}").exists()


def new_door() -> Path:
    """A place for a socket: a short name, since a socket's may have 107 bytes."""
    return Path(tempfile.mkdtemp(prefix="krsi-")) / "door"


def current(place: Path = PLACE) -> Standing | None:
    """The machine that is up, if there is one."""
    try:
        found = Standing(**json.loads(place.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return found if found.alive else None


def keep(terminal: int, group: int, door: Path, console: Path, place: Path = PLACE) -> Standing:
    """Hand a machine's terminal to a keeper and write down where the machine is."""
    argv = [sys.executable, "-m", "harness.machine.standing", str(terminal), str(group), str(door)]
    keeper = proc.release(argv, cwd=ROOT, keep=terminal)
    stop = time.monotonic() + _PATIENCE
    while door.parent.exists() and not _ready(door).exists():
        if time.monotonic() > stop:
            raise InfraError(f"the keeper of the machine behind {door} does not start")
        time.sleep(0.02)
    found = Standing(keeper, str(door), str(console))
    place.write_text(json.dumps(asdict(found)) + "\n", "utf-8")
    return found


def _ready(door: Path) -> Path:
    """What the keeper makes when it can be terminated."""
    return door.with_name("kept")


def refuse_another(place: Path = PLACE) -> None:
    """Raise UsageError while a machine is up: there is one door."""
    found = current(place)
    if found is not None:
        raise UsageError(
            f"a machine is still up: './run_tests.py --enter', or 'kill {found.keeper}' to end it"
        )


def enter(place: Path = PLACE) -> int:
    """Join the terminal with the shell behind the door until Ctrl-] or the machine's end.

    Raises:
        UsageError: there is no terminal, or no machine.
    """
    found = current(place)
    if found is None:
        raise UsageError(
            "no machine is up: './run_tests.py --no-teardown' leaves one after a failure"
        )
    if not sys.stdin.isatty():
        raise UsageError("--enter needs a terminal")
    print("Ctrl-] leaves the shell, the machine stays up", flush=True)
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(found.door)
        door.sendall(b"\n")
        with _raw(sys.stdin.fileno()):
            _join(sys.stdin.fileno(), sys.stdout.fileno(), door)
    still = f"still up: 'kill {found.keeper}' ends it" if found.alive else "gone"
    print(f"\nthe machine is {still}", flush=True)
    return 0


@contextlib.contextmanager
def _raw(terminal: int) -> Iterator[None]:
    before = termios.tcgetattr(terminal)
    tty.setraw(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _join(source: int, sink: int, door: socket.socket) -> None:
    while True:
        ready, _, _ = select.select([source, door.fileno()], [], [])
        if door.fileno() in ready:
            said = door.recv(_CHUNK)
            if not said:
                return
            os.write(sink, said)
        if source in ready:
            typed = os.read(source, _CHUNK)
            if not typed or _LEAVE in typed:
                return
            door.sendall(typed)


def hold(terminal: int, group: int, door: Path) -> None:
    """Hold a machine's terminal open until it ends; end it when we are terminated."""

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    try:
        _ready(door).touch()
        with contextlib.suppress(OSError):  # how a terminal says that the other end is gone
            while os.read(terminal, _CHUNK):
                pass
    except KeyboardInterrupt:
        proc.end_group(group)
    finally:
        shutil.rmtree(door.parent, ignore_errors=True)


if __name__ == "__main__":
    hold(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
