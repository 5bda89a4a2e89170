"""What was not well in the last run: `--last-failed`."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness import report
from harness.errors import UsageError
from harness.report import Results
from harness.run.selftests import Item


@dataclass(frozen=True)
class Last:
    """The last run that had results.

    Attributes:
        folder: of its report.
        names: of the items that were not well, by kernel.
    """

    folder: Path
    names: Mapping[str, frozenset[str]]

    def say(self, items: Mapping[str, Sequence[Item]]) -> str:
        """One line for the person who waits."""
        count = sum(map(len, items.values()))
        what = f"{count} item{'s' if count != 1 else ''}" if count else "nothing"
        return f"not well in {self.folder.name}: {what}"


def latest(reports: Path, suite: str) -> Last:
    """The latest run of a suite below the folder of reports; one that was not finished is none.

    Raises:
        UsageError: there is none.
    """
    folders = sorted((path for path in reports.glob("*") if not path.is_symlink()), reverse=True)
    for folder in folders:
        with suppress(UsageError):
            results = report.load(folder)
            if results.suite == suite and results.items:
                return Last(folder, of_results(results))
    raise UsageError(f"--last-failed: no run of the suite '{suite}' has left results in {reports}")


def of_results(results: Results) -> dict[str, frozenset[str]]:
    """The names of what was not well in any round, by kernel. Pure."""
    found: dict[str, set[str]] = {}
    for item in results.items:
        names = found.setdefault(item.variant, set())
        if not item.fine:
            names.add(item.name)
    return {variant: frozenset(names) for variant, names in found.items()}


def only(
    last: Last, variants: Sequence[str], chosen: Sequence[Item]
) -> dict[str, tuple[Item, ...]]:
    """Of the chosen items those that were not well; no variant means all of that run. Pure."""
    wanted = {
        variant: tuple(item for item in chosen if item.name in last.names.get(variant, ()))
        for variant in variants or last.names
    }
    return {variant: items for variant, items in wanted.items() if items}
