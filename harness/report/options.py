"""What the command line of ./run_tests.py has for reports."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.report import shards
from harness.report.folder import REPORTS


@dataclass(frozen=True)
class Wishes:
    """What is wanted of the report.

    Attributes:
        shard: which part of the whole is run, of how many; None for the whole.
        baseline: an older results.json to compare with.
        new_only: failures that the baseline has do not fail the run.
        tap: standard output is KTAP, and everything else goes to standard error.
        reports: the folder in which each run leaves a folder of its own.
    """

    shard: tuple[int, int] | None = None
    baseline: Path | None = None
    new_only: bool = False
    tap: bool = False
    reports: Path = REPORTS


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    group = parser.add_argument_group("reports")
    group.add_argument(
        "--shard",
        metavar="I/N",
        help="run the I-th of N parts; `python3 -m harness report merge` joins their reports",
    )
    group.add_argument(
        "--baseline",
        metavar="RESULTS.JSON",
        type=Path,
        help="compare with an older run: new failures, fixed, flaky, slower, costlier",
    )
    group.add_argument(
        "--new-failures-only",
        action="store_true",
        help="with --baseline: only what failed anew fails the run",
    )
    group.add_argument(
        "--tap", action="store_true", help="KTAP on standard output, the rest on standard error"
    )
    group.add_argument(
        "--reports",
        metavar="DIR",
        type=Path,
        default=REPORTS,
        help="where reports go, and --last-failed looks for them (default: build/reports)",
    )


def read(args: argparse.Namespace) -> Wishes:
    """What the command line says.

    Raises:
        UsageError: the options do not go together.
    """
    if args.new_failures_only and args.baseline is None:
        raise UsageError("--new-failures-only needs --baseline RESULTS.JSON: new since when?")
    if args.shard and args.k:
        raise UsageError("--shard deals out tests by NAME: leave out -k")
    return Wishes(
        shard=shards.parse(args.shard) if args.shard else None,
        baseline=args.baseline,
        new_only=args.new_failures_only,
        tap=args.tap,
        reports=args.reports.absolute(),
    )
