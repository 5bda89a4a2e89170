"""The end of a run: compare it, write its report, and tell whoever asked for it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.model import ROOT
from harness.report import compare, figures, github, store, tap
from harness.report.options import Wishes
from harness.report.results import Results


@dataclass(frozen=True)
class Baseline:
    """An older run to compare with.

    Attributes:
        path: what the user called it.
        results: what it says.
    """

    path: Path
    results: Results


def baseline(wishes: Wishes) -> Baseline | None:
    """The older run that the user named. Raises UsageError when it cannot be read."""
    if wishes.baseline is None:
        return None
    return Baseline(wishes.baseline, store.load(wishes.baseline))


@dataclass(frozen=True)
class Finished:
    """A run that is over.

    Attributes:
        exit_code: in view of the baseline.
        lines: what a person reads.
        ktap: the results once more, for who wants them on standard output.
    """

    exit_code: int
    lines: tuple[str, ...]
    ktap: str


def finish(
    folder: Path,
    found: Results,
    wishes: Wishes,
    old: Baseline | None,
    *,
    whole: bool,
    environ: Mapping[str, str] = os.environ,
) -> Finished:
    """Write the report of a run.

    Args:
        folder: of the report; the logs are there.
        found: its results.
        wishes: of the user.
        old: what to compare with.
        whole: all that there is to test was to be tested.
        environ: says whether GitHub listens.
    """
    figures.adopt(folder, found)
    comparison = None
    lines: list[str] = []
    if old is not None:
        comparison = compare.compare(
            old.results,
            found,
            baseline=str(old.path),
            whole=whole,
            bench=(figures.beside(old.path), figures.beside(folder)),
        )
        code = compare.exit_code(found.exit_code, comparison, new_only=wishes.new_only)
        lines += compare.says(comparison)
        if code != found.exit_code:
            lines.append("no failure is new: the exit status is 0")
        found = replace(found, exit_code=code)
    store.leave(folder, found, comparison)
    if environ.get("GITHUB_ACTIONS") == "true":
        lines += github.annotations(found, lambda file: (ROOT / file).is_file())
        if environ.get("GITHUB_STEP_SUMMARY"):
            with Path(environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as file:
                file.write(github.summary(found, comparison))
    return Finished(found.exit_code, tuple(lines), tap.render(found))
