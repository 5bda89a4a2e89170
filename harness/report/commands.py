"""`python3 -m harness report …`: merge, and whatever else is done with reports that are there."""

import argparse
from pathlib import Path

from harness.progress import say
from harness.report import compare, figures, merge, store
from harness.report.folder import REPORTS, new_folder, point_to_latest

_EPILOG = """\
examples:
  python3 -m harness report merge shard-1 shard-2 shard-3   one report from three
  python3 -m harness report compare before after            what has changed
  python3 -m harness report html build/reports/latest       make report.html anew

FOLDER is a report's (build/reports/<time>, or latest in its place), or its results.json.

exit status:
  merge    the worst of its parts; 4 if a shard is missing
  compare  1 if something fails in the second run that does not in the first
  html     0
"""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `report` to those of the harness."""
    report = commands.add_parser(
        "report",
        help="merge the reports of shards, compare two, make report.html anew",
        description="Work on the reports that ./run_tests.py has left.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = report.add_subparsers(metavar="WHAT", required=True)
    joined = kinds.add_parser("merge", help="one report from several")
    joined.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    joined.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="a new folder for the report; default: one below build/reports/",
    )
    joined.set_defaults(command=_merge)
    compared = kinds.add_parser("compare", help="what differs between two runs")
    compared.add_argument("before", type=Path, metavar="BASELINE")
    compared.add_argument("after", type=Path, metavar="FOLDER")
    compared.set_defaults(command=_compare)
    page = kinds.add_parser("html", help="make report.html anew")
    page.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", default=REPORTS / "latest")
    page.set_defaults(command=_html)


def _merge(args: argparse.Namespace) -> int:
    folders = [path.parent if path.name == store.NAME else path for path in args.folders]
    parts = merge.read(folders)
    # Nothing is made before it is known that they can be joined.
    merge.join(parts)
    output = args.output or new_folder()
    found = merge.run(folders, output)
    if output.parent == REPORTS:
        point_to_latest(output)
    for line in merge.says(found, len(parts)):
        say(line)
    say(f"report: {output}")
    return found.exit_code


def _compare(args: argparse.Namespace) -> int:
    found = compare.compare(
        store.load(args.before),
        store.load(args.after),
        baseline=str(args.before),
        bench=(figures.beside(args.before), figures.beside(args.after)),
    )
    for line in compare.says(found):
        say(line)
    return 1 if found.failed else 0


def _html(args: argparse.Namespace) -> int:
    store.page(args.folder, store.load(args.folder))
    say(f"{args.folder / 'report.html'}")
    return 0
