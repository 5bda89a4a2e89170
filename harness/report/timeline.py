"""When which machine lived and what it tested: positions in percent, to be drawn. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from harness.model import Life, Status
from harness.report.consoles import Log
from harness.report.results import Result, Results, severity

_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_MOST_TICKS = 7
# In percent: what is written further right would be cut off.
_LAST = 93.0


@dataclass(frozen=True)
class Bar:
    """Something that lasted.

    Attributes:
        left: where it begins, in percent of the whole.
        width: how much of the whole it takes, in percent.
        status: of the test; "boot" or "end" where none runs.
        what: the name of the test, or what else the machine does.
        seconds: how long it took.
    """

    left: float
    width: float
    status: str
    what: str
    seconds: float


@dataclass(frozen=True)
class Lane:
    """One machine."""

    name: str
    variant: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Timeline:
    """All machines, and marks below them: where, in percent, and what they say."""

    lanes: tuple[Lane, ...]
    ticks: tuple[tuple[float, str], ...]


def draw(found: Results, logs: Mapping[str, Log]) -> Timeline | None:
    """The timeline of a run; None if nobody knows when its machines lived."""
    lives = [(kernel.variant, life) for kernel in found.kernels for life in kernel.machines]
    if not lives:
        return None
    begin = min(life.started for _, life in lives)
    length = max(max(life.ended for _, life in lives) - begin, 1.0)
    scale = _Scale(begin, length)
    lanes = tuple(
        Lane(life.console, variant, _bars(life, _inside(found, variant, life, logs), scale))
        for variant, life in lives
    )
    return Timeline(lanes, _ticks(length))


@dataclass(frozen=True)
class _Scale:
    begin: float
    length: float

    def bar(self, start: float, end: float, status: str, what: str) -> Bar:
        end = max(start, end)
        left = 100 * (start - self.begin) / self.length
        width = 100 * (end - start) / self.length
        left = min(max(left, 0.0), 100.0)
        width = min(max(width, 0.0), 100.0 - left)
        return Bar(round(left, 3), round(width, 3), status, what, end - start)


def _inside(
    found: Results, variant: str, life: Life, logs: Mapping[str, Log]
) -> dict[str, list[Result]]:
    """The tests that ran in a machine, with their items, in the order of their beginning."""
    log = logs.get(life.console)
    tests: dict[str, list[Result]] = {}
    for item in sorted(found.of(variant), key=lambda item: item.started):
        known = log is None or item.test in log.tests
        if known and life.started <= item.started <= life.ended:
            tests.setdefault(item.test, []).append(item)
    return tests


def _bars(life: Life, tests: Mapping[str, list[Result]], scale: _Scale) -> tuple[Bar, ...]:
    whole = scale.bar(life.started, life.ended, "machine", "machine")
    up = life.ready or life.ended
    boot = scale.bar(life.started, up, "boot", "boot" if life.ready else "did not boot")
    bars = [whole, boot]
    for name, items in tests.items():
        end = max(item.started + item.seconds for item in items)
        worst = min((item.status for item in items), key=_worst)
        bars.append(scale.bar(items[0].started, min(end, life.ended), worst.value, name))
    return tuple(bars)


def _worst(status: Status) -> int:
    return severity(status)


def _ticks(length: float) -> tuple[tuple[float, str], ...]:
    step = next((each for each in _TICKS if length / each <= _MOST_TICKS), _TICKS[-1])
    count = int(length // step)
    ticks = [(round(100 * n * step / length, 3), _clock(n * step)) for n in range(count + 1)]
    return tuple((at, word) for at, word in ticks if at < _LAST)


def _clock(seconds: int) -> str:
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
