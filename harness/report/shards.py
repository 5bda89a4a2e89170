"""One part of a test run: `--shard 2/3`. Pure.

The tests, in the order in which they are listed, are dealt out like cards; a test's subtests stay
with it, and every kernel is dealt alike. The same tests give the same shards, whoever asks.
"""

import re
from collections.abc import Mapping, Sequence

from harness.errors import UsageError
from harness.report.results import Shard
from harness.report.text import plural
from harness.run.selftests import Item

_WORD = re.compile(r"(\d+)/(\d+)")
Items = Mapping[str, Sequence[Item]]


def parse(text: str) -> tuple[int, int]:
    """The numbers in "I/N". Raises UsageError when they are none."""
    match = _WORD.fullmatch(text)
    number, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= count:
        raise UsageError(f"--shard {text}: expected I/N, as in 1/3, 2/3 and 3/3")
    return number, count


def take(items: Items, number: int, count: int) -> tuple[dict[str, tuple[Item, ...]], Shard]:
    """The items of one shard, by kernel, and the shard itself.

    Raises:
        UsageError: nothing is left for it.
    """
    tests = list(dict.fromkeys(item.test for each in items.values() for item in each))
    mine = set(tests[number - 1 :: count])
    if not mine:
        raise UsageError(
            f"--shard {number}/{count} would be empty: there is only {plural(len(tests), 'test')}"
        )
    chosen = {
        variant: tuple(item for item in each if item.test in mine)
        for variant, each in items.items()
    }
    others = {
        variant: tuple(item.name for item in each if item.test not in mine)
        for variant, each in items.items()
    }
    return chosen, Shard(number, count, others)


def says(items: Items, shard: Shard) -> str:
    """One line: which tests are in it."""
    tests = dict.fromkeys(item.test for each in items.values() for item in each)
    return f"shard {shard}: {plural(len(tests), 'test')}: {', '.join(tests)}"
