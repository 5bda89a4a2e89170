"""What a person sees while machines run: a few lines at the bottom of the terminal.

Everything shown is read from what is written anyway: the kernels' logs, and pytest's reports. Where
there is no terminal, or NO_COLOR or CI is set, there is nothing but pytest's own lines.
"""

import io
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import pytest
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from harness.verdicts import files, splat

_CONSOLE = re.compile(r"console-(?P<variant>[a-z]+)(?:-(?P<worker>gw\d+))?(?:-\d+)?\.log")
_TAIL = 1 << 16
_PER_SECOND = 2
_ENDED = "reboot: Power down"


@dataclass(frozen=True)
class Sight:
    """What is known of one machine.

    Attributes:
        name: kernel and, with several machines, worker.
        phase: the test that runs, or what the machine does instead.
        line: what the kernel said last.
    """

    name: str
    phase: str
    line: str


def look(name: str, log: str, before: str) -> Sight:
    """What the end of a kernel's log tells; `before` is the phase it had, if it tells none."""
    lines = [line for _, line in splat.split_lines(log) if line]
    phase = before or "boots"
    for line in lines:
        marker = splat.marker_of(line)
        if marker is not None:
            phase = "between tests" if line.startswith("krsi: end") else marker
    last = next((line for line in reversed(lines) if splat.marker_of(line) is None), "")
    return Sight(name, "ended" if last == _ENDED else phase, last)


def newest(consoles: Sequence[tuple[Path, float]]) -> dict[str, Path]:
    """Each machine's log, by kernel and worker; of a worker's machines the latest. Pure.

    Args:
        consoles: files and the times of their last change, in seconds.
    """
    found: dict[str, tuple[float, str, Path]] = {}
    for path, changed in consoles:
        match = _CONSOLE.fullmatch(path.name)
        if match is None:
            continue
        worker = match["worker"] or ""
        name = " ".join(filter(None, (match["variant"], worker)))
        if worker not in found or changed >= found[worker][0]:
            found[worker] = (changed, name, path)
    return {name: path for _, (_, name, path) in sorted(found.items())}


@dataclass
class View:
    """Counts pytest's reports, looks at the logs in `folder`, and draws both.

    Attributes:
        folder: of the report.
        total: how many items there are to run.
        done: how many have a result.
        failed: how many of them are not well.
    """

    folder: Path
    total: int = 0
    done: int = 0
    failed: int = 0
    _started: float = field(default_factory=time.monotonic)
    _phases: dict[Path, tuple[str, float]] = field(default_factory=dict)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """One machine: now it is known how many there are."""
        self.total = len(session.items) or self.total

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Several machines: likewise."""
        self.total = len(ids)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a result."""
        if report.when not in ("setup", "teardown"):
            self.done += 1
            self.failed += report.failed

    def sights(self) -> list[tuple[Sight, float]]:
        """Every machine as it is now, and for how many seconds it has been in its phase."""
        logs = self.folder.glob("console-*.log")
        found = newest([(log, log.stat().st_mtime) for log in logs])
        return [self._sight(name, log) for name, log in found.items()]

    def _sight(self, name: str, log: Path) -> tuple[Sight, float]:
        offset = max(0, files.size(log) - _TAIL)
        before, since = self._phases.get(log, ("", 0.0))
        sight = look(name, files.text(files.read(log, _TAIL, offset).data), before)
        now = time.monotonic()
        if sight.phase != before:
            since = now
            self._phases[log] = (sight.phase, since)
        return sight, now - since

    def __rich__(self) -> RenderableType:
        """Draw: a line for all, a line for each machine, none wider than the terminal."""
        count = f"{self.done} of {self.total}" if self.total else "collecting"
        count += f", {self.failed} failed" if self.failed else ""
        rows = [("all", count, clock(time.monotonic() - self._started), "")]
        rows += [(each.name, each.phase, clock(took), each.line) for each, took in self.sights()]
        name, phase, took = (max(len(row[column]) for row in rows) for column in range(3))
        drawn = [
            Text(f"{row[0]:<{name}}  {row[1]:<{phase}}  {row[2]:>{took}}", no_wrap=True)
            for row in rows
        ]
        for text, row in zip(drawn, rows, strict=True):
            text.overflow = "ellipsis"
            text.append(f"  {row[3]}", style="dim")
        drawn[0].stylize("bold red" if self.failed else "bold")
        return Group(*drawn)


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


class Above(io.TextIOBase):
    """A file whose lines appear above what is live; the rest of a line waits for its end."""

    def __init__(self, console: Console, below: TextIO) -> None:
        """`console` draws; `below` is the terminal that pytest asks for its properties."""
        self._console = console
        self._below = below
        self._rest = ""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """As the terminal's."""
        return self._below.encoding

    def isatty(self) -> bool:
        """Colours are welcome."""
        return True

    def fileno(self) -> int:
        """The terminal's."""
        return self._below.fileno()

    def write(self, text: str) -> int:
        """Show the lines that have ended."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._print(line)
        return len(text)

    def finish(self) -> None:
        """Show what has no end."""
        if self._rest:
            self._print(self._rest)
            self._rest = ""

    def _print(self, line: str) -> None:
        self._console.print(Text.from_ansi(line), soft_wrap=True)


def wanted(environ: Mapping[str, str], *, terminal: bool) -> bool:
    """Whether there is somebody to look. Pure."""
    plain = environ.get("NO_COLOR") or environ.get("CI") or environ.get("TERM") == "dumb"
    return terminal and not plain


@contextmanager
def showing(folder: Path) -> Iterator[list[View]]:
    """Show what happens in the folder of a report, and what is printed meanwhile above it.

    Yields:
        The plugin that pytest needs for it; none where nobody looks.
    """
    if not wanted(os.environ, terminal=sys.stdout.isatty()):
        yield []
        return
    view = View(folder)
    before = sys.stdout
    before.flush()
    # pytest takes file 1 away from us while a test runs.
    with os.fdopen(os.dup(before.fileno()), "w", encoding="utf-8") as terminal:
        console = Console(file=terminal, force_terminal=True, highlight=False)
        above = Above(console, before)
        sys.stdout = above
        try:
            with Live(
                get_renderable=view.__rich__,
                console=console,
                refresh_per_second=_PER_SECOND,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            ):
                yield [view]
                above.finish()
        finally:
            sys.stdout = before
