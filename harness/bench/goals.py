"""The goals, and whether they are reached. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from harness.bench import figures, plan
from harness.bench.figures import CALL, Figure, number
from harness.bench.record import Record

PRODUCT, FLOOR = "krsi", "none"
#: Virtual ns that attaching and detaching take with the LSM that Linux 6.12 has, as measured
#: before there was this series, and the share of it that is the goal.
UPSTREAM_ATTACH, UPSTREAM_DETACH, SHARE = 8_650_000, 11_080_000, 50


@dataclass(frozen=True)
class Goal:
    """One goal, and what was measured.

    Attributes:
        what: what is counted.
        limit: the most that is good, in `unit`.
        measured: what it is; None if it was not measured.
        unit: of both.
    """

    what: str
    limit: float
    measured: Figure | None
    unit: str = "instructions"

    @property
    def verdict(self) -> str:
        """One word; "not measured" is not reached."""
        if self.measured is None:
            return "not measured"
        if self.measured.value <= self.limit:
            return "reached"
        # A figure that wavers proves neither.
        return "missed" if self.measured.steady else "unclear"

    @property
    def numbers(self) -> tuple[str, str]:
        """The limit and what was measured, for people."""
        found = "–" if self.measured is None else figures.signed(self.measured)
        return f"at most {number(self.limit)}", found


def goals(record: Record) -> tuple[Goal, ...]:
    """Every goal."""
    return (*_idle(record), *_programs(record), *_links(record))


def _idle(record: Record) -> Iterable[Goal]:
    product, floor = record.kernel(PRODUCT), record.kernel(FLOOR)
    for call in plan.CALLS:
        hooks = figures.crossed(product, call)
        case = f"{call}/{plan.IDLE}"
        measured = figures.above(product, case, floor, case)
        if hooks is None:
            measured = None
        yield Goal(f"{call}, nothing attached, above {FLOOR}", hooks or 0, measured)


def _programs(record: Record) -> Iterable[Goal]:
    product = record.kernel(PRODUCT)
    first = figures.added(product, CALL, "noop-1")
    yield Goal("first no-op program on file_mprotect", 80, first)
    yield Goal("the same, the prize (below 64)", 63, first)
    yield Goal("each further one", 20, figures.further(product))
    yield Goal("38 of them", 820, figures.added(product, CALL, "noop-38"))


def _links(record: Record) -> Iterable[Goal]:
    product = record.kernel(PRODUCT)
    limits = {"attach": UPSTREAM_ATTACH / SHARE, "detach": UPSTREAM_DETACH / SHARE}
    for kind in plan.LINKS:
        times = {
            change: None if product is None else product.value(f"links/{kind}/{change}", "ns")
            for change in plan.CHANGES
        }
        for change in plan.CHANGES:
            limit = limits.get(change, times["attach"] or 0)
            found = times[change]
            measured = None if found is None else Figure(found)
            yield Goal(f"{change}, program {_place(kind)}", limit, measured, "virtual ns")


def _place(kind: str) -> str:
    number_, _, populated = kind.partition("-")
    return f"{number_}{', one on every other hook' if populated else ''}"
