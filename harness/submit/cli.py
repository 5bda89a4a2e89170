"""The command line of `make submit`."""

import argparse
import os
import re

from harness.errors import UsageError
from harness.submit.compose import Request
from harness.submit.run import run

_EPILOG = """\
examples:
  make submit                              mails, checks, a table; nothing is sent
  make submit VERSION=2                    with a range-diff against build/outgoing/v1
  make submit ALLOW=series-check           although not every patch was built and booted
  make submit SEND=1                       asks, then sends by your own git send-email

The same commits give the same bytes: mails are dated by the latest commit, --date or
SOURCE_DATE_EPOCH; git send-email puts in the true date when it sends them.

exit status, besides those of every command:
  1  a check failed: the mails are only a draft
"""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the others."""
    parser = commands.add_parser(
        "submit",
        help="write the mails of the series, and check them as a maintainer's bot would",
        description="Write a ready mbox to build/outgoing/v<N>/: signed off by you, addressed by "
        "get_maintainer.pl, one thread, with base, diffstat, changelog and range-diff; and check "
        "all that a bot would complain of before a person reads it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", type=_positive, default=1, metavar="N", help="default: 1")
    parser.add_argument(
        "--to", default="", metavar="ADDRESS,…", help="who gets every mail, besides the lists"
    )
    parser.add_argument(
        "--prefix", default="", metavar="TEXT", help="default: what policy/submit.toml says"
    )
    parser.add_argument(
        "--date", type=int, metavar="SECONDS", help="of the first mail, since 1970 (UTC)"
    )
    parser.add_argument(
        "--prerequisites",
        type=int,
        default=0,
        metavar="N",
        help="the first N patches are on the list already: name them, do not send them",
    )
    parser.add_argument(
        "--allow", default="", metavar="CHECK,…", help="checks that may fail, as the table has them"
    )
    parser.add_argument("--send", action="store_true", help="ask, then send")
    parser.add_argument(
        "--kernel-src",
        default="",
        metavar="PATH",
        help="as for kernel; a git tree names its commit",
    )
    parser.set_defaults(command=_submit)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("versions are counted from 1")
    return number


def _submit(args: argparse.Namespace) -> int:
    request = Request(
        version=args.version,
        to=tuple(_words(args.to)),
        prefix=args.prefix,
        epoch=_epoch(args.date),
        prerequisites=args.prerequisites,
        allow=frozenset(_words(args.allow)),
        send=args.send,
        kernel_src=args.kernel_src or None,
    )
    return 0 if run(request) else 1


def _words(text: str) -> list[str]:
    return [word.strip() for word in re.split(r",", text) if word.strip()]


def _epoch(given: int | None) -> int | None:
    """The date that the user or the environment sets.

    Raises:
        UsageError: the environment sets none that is a number.
    """
    said = os.environ.get("SOURCE_DATE_EPOCH", "")
    if given is not None or not said:
        return given
    if not said.isdecimal():
        raise UsageError(f"SOURCE_DATE_EPOCH={said} is no number of seconds.")
    return int(said)
