"""Watch over all processes of one user: how many they are, and how much memory they hold.

No kernel interface that every machine has bounds what a group of processes takes together, and
control groups are not always ours to make. So the sandbox has a user of its own, and whoever goes
over a limit is killed with everything else of that user. What escapes between two looks is bounded
by the limits of each process, and by the memory that the machine must keep.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from harness.bot.disk import Disk
from harness.bot.limits import Limited, Limits

_PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PERIOD = 0.1


@dataclass(frozen=True)
class Load:
    """What a user's processes take.

    Attributes:
        processes: how many, threads included.
        memory: resident, shared pages counted for each, in bytes.
    """

    processes: int
    memory: int


def users(uid: int) -> tuple[int, ...]:
    """The processes of a user."""
    found = []
    for entry in os.scandir(_PROC):
        if entry.name.isdecimal():
            with suppress(OSError):
                if entry.stat().st_uid == uid:
                    found.append(int(entry.name))
    return tuple(found)


def running(uid: int) -> tuple[int, ...]:
    """Those of them that have not ended: a zombie has, and waits for its parent to look."""
    return tuple(number for number in users(uid) if not _zombie(number))


def load(uid: int) -> Load:
    """What a user's processes take now."""
    processes, pages = 0, 0
    for number in users(uid):
        with suppress(OSError, ValueError, IndexError):
            text = (_PROC / str(number) / "stat").read_text("ascii", "replace")
            numbers = text[text.rindex(")") + 2 :].split()
            processes += int(numbers[17])
            pages += int(numbers[21])
    return Load(processes, pages * _PAGE)


def available() -> int:
    """The memory that the machine still has, in bytes."""
    for line in (_PROC / "meminfo").read_text("ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def exceeded(now: Load, left: int, seconds: float, limits: Limits) -> Limited | None:
    """The limit that is gone over; None while all is well. Pure.

    Args:
        now: what is taken.
        left: the memory that the machine still has, in bytes.
        seconds: since the beginning.
        limits: what may be taken.
    """
    if seconds > limits.seconds:
        return Limited("time", f"ended after {limits.seconds:.0f} s")
    if now.processes >= limits.processes:
        return Limited("processes", f"ended at {now.processes} of {limits.processes}")
    if now.memory > limits.memory:
        return Limited("memory", f"ended at {now.memory >> 20} of {limits.memory >> 20} MiB")
    if left < limits.spare:
        return Limited("memory", f"ended when the machine had only {left >> 20} MiB left")
    return None


def end_all(uid: int) -> None:
    """Kill every process of a user, until none is left that runs."""
    while found := users(uid):
        for number in found:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        if not running(uid):
            return


def _zombie(number: int) -> bool:
    try:
        text = (_PROC / str(number) / "stat").read_text("ascii", "replace")
    except OSError:
        return True
    return text[text.rindex(")") + 2 :].startswith("Z")


@dataclass
class Watch:
    """What was seen.

    Attributes:
        peak: the most that was taken at a time.
        limited: the limits that were met.
    """

    peak: Load = Load(0, 0)
    limited: list[Limited] = field(default_factory=list)


@contextmanager
def watching(uid: int, limits: Limits, disk: Disk) -> Iterator[Watch]:
    """Watch a user's processes while the block runs, and end them all when it is left."""
    watch = Watch()
    done = threading.Event()

    started = time.monotonic()

    def look() -> None:
        while not done.wait(_PERIOD):
            now = load(uid)
            watch.peak = Load(
                max(watch.peak.processes, now.processes), max(watch.peak.memory, now.memory)
            )
            found = exceeded(now, available(), time.monotonic() - started, limits)
            if found and found.what not in {each.what for each in watch.limited}:
                watch.limited.append(found)
            if found:
                end_all(uid)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        done.set()
        thread.join()
        end_all(uid)
        if disk.full:
            watch.limited.append(Limited("disk", f"all of its {disk.size >> 20} MiB are used"))
