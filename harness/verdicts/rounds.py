"""What several rounds over the same items say together: did anything differ? Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence

from harness.model import Status
from harness.run.selftests import Item
from harness.verdicts.verdict import FINE, Verdict

Round = Mapping[Item, Verdict]
"""The verdicts that one round has reached."""


def flakes(rounds: Sequence[Round]) -> dict[Item, tuple[Status, dict[int, Status]]]:
    """The items that did not fare alike: how mostly, and how in the other rounds, from 1."""
    found = {}
    for item in dict.fromkeys(item for each in rounds for item in each):
        seen = {n: each[item].status for n, each in enumerate(rounds, 1) if item in each}
        # Of two that are as frequent the one that came first.
        usual = Counter(seen.values()).most_common(1)[0][0]
        others = {number: status for number, status in seen.items() if status is not usual}
        if others:
            found[item] = (usual, others)
    return found


def summary(rounds: Sequence[Round]) -> list[str]:
    """A line that says whether anything differed, and a line for each item that did."""
    differing = flakes(rounds)
    count = f"{len(rounds)} round{'' if len(rounds) == 1 else 's'}"
    if differing:
        lines = [f"{count}: {len(differing)} differed"]
        for item, (usual, others) in differing.items():
            odd = ", ".join(f"{status.value} in round {n}" for n, status in others.items())
            lines.append(f"  {item.name}: {usual.value}, but {odd}")
        return lines
    failed = [item.name for item, reached in rounds[0].items() if reached.status not in FINE]
    if failed:
        return [f"{count}: no flake; what failed did so in every round"]
    return [f"{count}: no flake"]
