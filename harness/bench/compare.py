"""This run beside an older one. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from harness.bench import figures, plan
from harness.bench.goals import PRODUCT
from harness.bench.record import Measured, Record

#: By how much a time may grow before it is worse, as a share of it: grace periods are in it.
SLACK = 0.05


@dataclass(frozen=True)
class Change:
    """One figure, before and now.

    Attributes:
        variant: of which kernel.
        case: which.
        old: before, in instructions per call, or what the case counts.
        new: now.
        worse: it is a figure that a goal speaks of, and it grew.
    """

    variant: str
    case: str
    old: float
    new: float
    worse: bool


def changes(old: Record, new: Record) -> tuple[Change, ...]:
    """Every figure that both runs have and that is not the same, in the order of the new one."""
    found: list[Change] = []
    for kernel in new.kernels:
        before = old.kernel(kernel.variant)
        if before is not None:
            found += _of_kernel(before, kernel)
    return tuple(found)


def vanished(old: Record, new: Record) -> tuple[str, ...]:
    """The cases that a kernel had, and of which it now says that it has no such thing."""
    return tuple(
        f"{kernel.variant}: {case} is gone: {found.unavailable}"
        for kernel in new.kernels
        for before in (old.kernel(kernel.variant),)
        for case, found in kernel.cases.items()
        if found.unavailable and before and case in before.cases
        if not before.cases[case].unavailable
    )


def _of_kernel(before: Measured, now: Measured) -> Iterable[Change]:
    for case in now.cases:
        old, new = _figure(before, case), _figure(now, case)
        if old is not None and new is not None and old != new:
            worse = now.variant == PRODUCT and _is_worse(case, old, new, now)
            yield Change(now.variant, case, old, new, worse)


def _figure(kernel: Measured, case: str) -> float | None:
    """The number that stands for a case."""
    cost = kernel.cost(case)
    return cost if cost is not None else kernel.value(case, "ns")


def _is_worse(case: str, old: float, new: float, kernel: Measured) -> bool:
    """Whether a goal speaks of the case, and it grew by more than it wavers."""
    first, _, rest = case.partition("/")
    if first == "links":
        return new > old * (1 + SLACK)
    if rest != plan.IDLE and not (first == figures.CALL and rest.startswith("noop-")):
        return False
    call = plan.CALLS.get(first)
    slack = kernel.cases[case].spread if call and not call.unsteady else old * SLACK
    return new > old + slack
