"""Who runs what: tests spread over machines by how long they took, machines by memory. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.run.selftests import Item

Durations = Mapping[str, Mapping[str, float]]
"""Seconds by variant and test, of earlier runs."""

_UNKNOWN = 1.0
_OVERHEAD = 256 << 20
_SUFFIX = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True)
class Entry:
    """One item in one round on one kernel.

    Attributes:
        id: pytest's name of it.
        options: what its machine has on the kernel's command line.
    """

    id: str
    variant: str
    number: int
    item: Item
    options: tuple[str, ...]


def seconds(durations: Durations, variant: str, test: str) -> float:
    """How long a test may take: as on this kernel, or as on another, or as nobody knows."""
    if test in durations.get(variant, {}):
        return durations[variant][test]
    return max((each[test] for each in durations.values() if test in each), default=_UNKNOWN)


def units(entries: Sequence[Entry], durations: Durations) -> dict[str, list[str]]:
    """Group items that one machine has to run one after the other, in the order of handing out.

    Kernels come one after the other and so do rounds, since changing the kernel costs a boot;
    within one the longest test is first, so that the machines end at about the same time.

    Returns:
        pytest's names by the name of the unit.
    """
    variants = list(dict.fromkeys(entry.variant for entry in entries))

    def order(entry: Entry) -> tuple[object, ...]:
        took = seconds(durations, entry.variant, entry.item.test)
        rank = (entry.number, bool(entry.options), entry.options, -took, entry.item.test)
        return (variants.index(entry.variant), *rank)

    found: dict[str, list[str]] = {}
    for entry in sorted(entries, key=order):  # stable: a test's items stay in their order
        found.setdefault(f"{entry.item.test}[{entry.variant}#{entry.number}]", []).append(entry.id)
    return found


def bins(entries: Sequence[Entry], durations: Durations, count: int) -> dict[str, list[str]]:
    """Spread tests over `count` machines beforehand, a test's kernels in the same machine.

    For a suite that compares kernels: the verdict on one needs the outcome on the other.
    """
    load = [0.0] * count
    cost: dict[str, float] = {}
    for test, variant in dict.fromkeys((entry.item.test, entry.variant) for entry in entries):
        cost[test] = cost.get(test, 0.0) + seconds(durations, variant, test)
    place = {}
    for test in sorted(cost, key=lambda test: -cost[test]):
        place[test] = load.index(min(load))
        load[place[test]] += cost[test]
    found: dict[str, list[str]] = {}
    for entry in entries:
        found.setdefault(f"machine {place[entry.item.test] + 1}", []).append(entry.id)
    return found


def in_bytes(memory: str) -> int:
    """What QEMU's notation (2G, 512M) means in bytes; a bare number is in MiB."""
    number, suffix = re.fullmatch(r"(\d+)([KMG]?)", memory).groups()  # type: ignore[union-attr]
    return int(number) * _SUFFIX[suffix or "M"]


def available(meminfo: str) -> int:
    """MemAvailable of /proc/meminfo in bytes; 0 when it is not there."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo, re.MULTILINE)
    return int(match[1]) << 10 if match else 0


def machines(wanted: int, memories: Iterable[str], free: int) -> int:
    """How many of `wanted` machines fit into `free` bytes, if each is the largest; at least one."""
    largest = max(map(in_bytes, memories), default=0) + _OVERHEAD
    return max(1, min(wanted, free // largest))


def learned(
    known: Durations, verdicts: Mapping[str, Iterable[tuple[Item, float]]]
) -> dict[str, dict[str, float]]:
    """The durations after one more run.

    Args:
        known: before.
        verdicts: by variant what ran, and its seconds.
    """
    result = {variant: dict(tests) for variant, tests in known.items()}
    for variant, reached in verdicts.items():
        fresh: dict[str, float] = {}
        whole = set()
        for item, took in reached:
            fresh[item.test] = fresh.get(item.test, 0.0) + took
            whole |= set() if item.subtest else {item.test}
        # A part of a test is not how long it takes.
        kept = {test: round(took, 3) for test, took in fresh.items() if test in whole}
        result.setdefault(variant, {}).update(kept)
    return result
