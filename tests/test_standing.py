"""A machine that is left up: held by a keeper, found again, ended on demand."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from harness.errors import UsageError
from harness.machine import standing
from harness.machine.standing import Standing


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "standing.json"


@pytest.fixture
def door() -> Iterator[Path]:
    path = standing.new_door()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        yield path


def keep(place: Path, door: Path, command: str = "trap '' HUP; sleep 600") -> tuple[Standing, int]:
    """Let a program on a terminal outlive whoever started it; also returns its process group."""
    child = pexpect.spawn("sh", ["-c", command])
    child.closed = child.ptyproc.closed = True
    found = standing.keep(child.child_fd, child.pid, door, Path("console.log"), place)
    os.close(child.child_fd)
    return found, child.pid


def ended(keeper: int) -> bool:
    """Wait for a keeper's end; it is our child here."""
    _, status = os.waitpid(keeper, 0)
    return os.waitstatus_to_exitcode(status) == 0


def test_it_is_found_and_ended(place: Path, door: Path) -> None:
    assert standing.current(place) is None
    standing.refuse_another(place)
    found, group = keep(place, door)
    assert standing.current(place) == found
    with pytest.raises(UsageError, match=f"'kill {found.keeper}' to end it"):
        standing.refuse_another(place)
    assert os.waitpid(group, os.WNOHANG) == (0, 0), "it runs"
    os.kill(found.keeper, signal.SIGTERM)
    assert ended(found.keeper)
    assert os.waitpid(group, os.WNOHANG)[0] == group, "it is gone, though it ignores a hang-up"
    assert not door.parent.exists()
    assert standing.current(place) is None


def test_the_keeper_ends_with_the_machine(place: Path, door: Path) -> None:
    found, group = keep(place, door, "echo out of the way; exit 3")
    assert ended(found.keeper)
    os.waitpid(group, 0)
    assert not door.parent.exists()


def test_there_is_nothing_to_enter(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no machine is up"):
        standing.enter(place)
    place.write_text("{")
    assert standing.current(place) is None
    monkeypatch.setattr(standing, "current", lambda _: Standing(1, "/door", "console"))
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        with pytest.raises(UsageError, match="needs a terminal"):
            standing.enter(place)
