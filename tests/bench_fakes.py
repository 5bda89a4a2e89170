"""Figures for the tests of `make bench`, made up on purpose."""

from harness.bench import plan
from harness.bench.record import Case, Measured, Record

CALLS = 16
MANIFEST = {"base": {"version": "6.12.7"}, "series": {"hash": "abcd"}}


def figure(cost: float, spread: float = 0) -> Case:
    """A figure of so many instructions per call."""
    least = round(cost * CALLS)
    median = least + round(spread * CALLS)
    return Case({"calls": CALLS, "min": least, "median": median, "max": median + 900})


def link(ns: int, executed: int | None = None) -> Case:
    """A change of a link that takes so long."""
    values = {"ns": ns, "ns_min": ns - 5, "ns_max": ns + 5}
    return Case({**values, "executed_median": ns if executed is None else executed})


def kernel(variant: str, cases: dict[str, Case], problems: tuple[str, ...] = ()) -> Measured:
    """A kernel that was measured."""
    return Measured(variant, MANIFEST, {"text": 1000, "data": 500}, cases, problems)


def record(*kernels: Measured) -> Record:
    """A run over these kernels."""
    return Record("2026-01-02T03:04:05+00:00", "QEMU emulator version 7", kernels)


def mprotect(idle: float, first: float, further: float) -> dict[str, Case]:
    """mprotect in the states that goals speak of."""
    return {
        "mprotect/idle": figure(idle),
        "mprotect/loaded": figure(idle),
        **{
            f"mprotect/noop-{number}": figure(idle + first + (number - 1) * further)
            for number in plan.PROGRAMS
        },
    }


NONE = kernel("none", {"mprotect/idle": figure(1000), "mprotect/noop-1": Case({}, "no hooks")})
UPSTREAM = kernel(
    "upstream",
    {
        **mprotect(1008, 182, 105),
        "links/1/attach": link(5_000_000, 4_000_000),
        "links/1/update": Case({}, "Invalid argument"),
    },
)
KRSI = kernel(
    "krsi",
    {
        **mprotect(1001, 60, 13),
        "crossed/mprotect": Case({"file_mprotect": 1}),
        "links/1/attach": link(50_000),
        "links/1/update": link(60_000),
        "links/1/detach": link(300_000),
    },
)
