"""The kernels' logs in a report's folder: which tests are in them, and what was said meanwhile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.report.results import Results
from harness.verdicts import files, splat

_LIMIT = 4 << 20
_LINES = 80


@dataclass(frozen=True)
class Log:
    """One kernel's log.

    Attributes:
        name: of the file.
        text: what is in it, of a very long one the two ends.
        tests: those that ran while it was written, without their subtests.
    """

    name: str
    text: str
    tests: frozenset[str]


def read(folder: Path, found: Results) -> dict[str, tuple[Log, ...]]:
    """The logs of each kernel that are there."""
    return {
        kernel.variant: tuple(
            log_of(name, files.text(files.read(folder / name, _LIMIT).data))
            for name in kernel.consoles
            if (folder / name).is_file()
        )
        for kernel in found.kernels
    }


def log_of(name: str, text: str) -> Log:
    """A log from what is in its file."""
    tests = frozenset(marker.partition("/")[0] for marker in splat.markers(text))
    return Log(name, text, tests)


def excerpt(logs: Sequence[Log], item: str, limit: int = _LINES) -> tuple[str, tuple[str, ...]]:
    """What the kernel said during an item, its last run counts: the log's name, and lines.

    Of more than `limit` lines the last ones.
    """
    for log in reversed(logs):
        lines = _during(log.text, item)
        if len(lines) > limit:
            lines = [f"[ {len(lines) - limit} lines before, see {log.name} ]", *lines[-limit:]]
        if lines:
            return log.name, tuple(lines)
    return "", ()


def _during(log: str, item: str) -> list[str]:
    """The lines of the last run of an item from its first marker on, those of subtests, too."""
    found: list[str] = []
    current, before = "", ""
    for _, line in splat.split_lines(log):
        current = splat.marker_of(line) or current
        inside = current == item or ("/" not in item and current.startswith(f"{item}/"))
        if inside and not before:
            found = []
        if inside:
            found.append(line)
        before = current if inside else ""
    return found


def by_name(logs: Mapping[str, Sequence[Log]]) -> dict[str, Log]:
    """All logs by the names of their files."""
    return {log.name: log for each in logs.values() for log in each}
