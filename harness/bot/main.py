"""`./run_tests.py --mbox …`: the command line, and from an input to a report for each series."""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from harness import packages, proc, report
from harness.bot import intake, letter, mail, sandbox, threads, workshop
from harness.bot.answer import Answer, worst
from harness.bot.disk import Disk, mounted
from harness.bot.guest import MACHINE
from harness.bot.limits import GIB
from harness.bot.sandbox import Sandbox
from harness.bot.steps import Steps
from harness.bot.threads import Series
from harness.errors import KrsiError, UsageError
from harness.kernel import build
from harness.machine import accel, vm
from harness.model import ROOT, VARIANTS
from harness.progress import say
from harness.verdicts import files

#: The variant that a series is laid on, by what --on says.
PLACES = {"base": VARIANTS["upstream"], "krsi": VARIANTS["krsi"]}
#: A copy of the sources and of what was built takes 4 GiB.
DISK = 10 * GIB
_SPARE = 2 * GIB
_LOG_LIMIT = 1 << 20
_MOST_LOGS = 1000
_INSIDE = "KRSI_BOT_NAMESPACE"

_EPILOG = """\
SOURCE is an mbox, a maildir, a folder of .patch or .eml files, or - for standard input. Of each
series in it the last version is taken; answers to it and other mails are left aside.

What the series brings runs in a sandbox alone: no network, no files of yours, a disk of fixed size,
limits on time, memory and processes. That wants root and bubblewrap. `make kernel` comes first, for
--on base with VARIANT=upstream.

examples:
  ./run_tests.py --mbox series.mbx             somebody's series on Linux 6.12
  ./run_tests.py --mbox - --on krsi <mail      on ours
  ./run_tests.py --git v1..HEAD                commits of the repository you are in

exit status:
  0 all is well, 1 a check or a test failed, 2 wrong usage or no series in the input, 3 it does not
  apply or build, 4 we failed, 130 interrupted; of several series the worst
"""


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        source: a file, a folder or "-"; or
        git: a range of commits.
        on: base or krsi.
        output: where the reports go; None for a new folder.
        accel: who executes the machines.
        build: what `make kernel` left.
        disk: how much a series may write, in bytes.
    """

    source: str = ""
    git: str = ""
    on: str = "base"
    output: Path | None = None
    accel: str = "auto"
    build: Path = ROOT / "build"
    disk: int = DISK


def parse(argv: Sequence[str]) -> Request:
    """Read the command line; argparse itself exits with 2."""
    parser = argparse.ArgumentParser(
        prog="run_tests.py",
        description="Check, build, boot and test somebody's series, and answer it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--mbox", metavar="SOURCE", help="mails: a file, a folder, or -")
    source.add_argument("--series", metavar="DIR", help="a folder, as git format-patch leaves it")
    source.add_argument("--git", metavar="RANGE", help="commits of the repository you are in")
    parser.add_argument(
        "--on", choices=tuple(PLACES), default="base", help="what it goes on top of (default: base)"
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="for report.txt, report.json and the logs"
    )
    accel.add_option(parser)
    args = parser.parse_args(argv)
    if args.series is not None and not Path(args.series).is_dir():
        raise UsageError(f"--series {args.series}: not a folder; --mbox takes a file.")
    return Request(
        source=args.mbox or args.series or "",
        git=args.git or "",
        on=args.on,
        output=args.output.resolve() if args.output is not None else None,
        accel=args.accel,
    )


def main(argv: Sequence[str]) -> int:
    """Do what the command line says. Returns the exit status; raises KrsiError."""
    request = parse(argv)
    if os.geteuid() == 0 and _INSIDE not in os.environ:
        # The disk is mounted for us alone, and gone with us.
        words = ("unshare", "--mount", "--propagation", "private", "--")
        tried = proc.run((*words, "true"), timeout=30, check=None)
        if not tried.ok:
            raise sandbox.refused("a disk", tried.why)
        sys.stdout.flush()
        command = [*words, sys.executable, *sys.orig_argv[1:]]
        os.execvpe("unshare", command, {**os.environ, _INSIDE: "1"})  # noqa: S606 - no shell is meant
    return run(request)


def run(request: Request) -> int:
    """Answer every series of the input. Returns the exit status.

    Raises:
        UsageError: the input is no series, or too large.
        BuildError: `make kernel` has left nothing to lay it on.
        InfraError: there can be no sandbox.
    """
    found = threads.plan(mail.read(_chunks(request)))
    packages.ensure((*packages.KERNEL, *packages.VM, *packages.BOT), say)
    sandbox.require()
    folder = request.output or report.new_folder(request.build / "bot")
    base = workshop.base_of(PLACES[request.on], request.build)
    codes = []
    for number, series in enumerate(found, 1):
        place = folder / str(number) if len(found) > 1 else folder
        place.mkdir(parents=True, exist_ok=True)
        say(f"{series.head.subject} ({len(series.patches)} patches), on {base}")
        codes.append(_one(request, series, base, place))
    return worst(codes)


def _chunks(request: Request) -> Iterable[bytes]:
    if not request.git:
        return intake.of_source(request.source)
    with tempfile.TemporaryDirectory() as scratch:
        return list(intake.of_range(request.git, Path.cwd(), Path(scratch)))


def _one(request: Request, series: Series, base: workshop.Base, place: Path) -> int:
    """Check one series and leave its report, whatever comes in between."""
    started = time.monotonic()
    if (place / "report.json").exists():
        shutil.rmtree(place / "logs", ignore_errors=True)
    answer = Answer.to(series, request.on)
    answer.base = str(base)
    answer.bounds = _bounds(request.disk)
    try:
        build.require_room(place, request.disk + _SPARE)
        with mounted(place, request.disk) as disk:
            try:
                _look(request, answer, base, disk)
            finally:
                _keep_logs(disk, place / "logs")
    except KrsiError as error:
        answer.error = str(error)
    except OSError as error:
        answer.error = f"{error.filename or place}: {error.strerror}."
    except KeyboardInterrupt:
        answer.error = "it was interrupted."
        raise
    finally:
        answer.seconds = time.monotonic() - started
        write(answer, place)
    say(f"exit status {answer.exit_code}; report: {place}")
    return answer.exit_code


def _look(request: Request, answer: Answer, base: workshop.Base, disk: Disk) -> None:
    shop = workshop.Workshop(base, Sandbox(disk, sandbox.free_user()))

    def who() -> vm.Accel:
        chosen = accel.choose(request.accel, shop.base_image)
        say(f"accelerator: {chosen}")
        return chosen.accel

    Steps(answer, shop, who).run()


def write(answer: Answer, place: Path) -> None:
    """Leave report.txt and report.json."""
    place.mkdir(parents=True, exist_ok=True)
    said = letter.text(answer, str(place / "logs"), datetime.now().astimezone())
    (place / "report.txt").write_text(said, encoding="utf-8", errors="replace")
    report.write(place / "report.json", letter.content(answer))


def _bounds(disk: int) -> tuple[str, ...]:
    """What the code of a series may take, a line each."""
    phases = {
        "checkpatch": workshop.STYLE,
        "git am": workshop.APPLY,
        "each kernel": workshop.COMPILE,
        "tools and selftests": workshop.TOOLS,
        "all machines": MACHINE,
    }
    times = ", ".join(f"{name} {limits.seconds:.0f} s" for name, limits in phases.items())
    return (
        (
            f"Bounds: no network, no files but copies, a disk of {disk / GIB:.3g} GiB; "
            f"{workshop.COMPILE.sizes}; {times}."
        ),
    )


def _keep_logs(disk: Disk, place: Path) -> None:
    """Copy the logs from the disk, of large ones the two ends."""
    place.mkdir(parents=True, exist_ok=True)
    for folder in ("log", "boot", "control", "guest"):
        for log in sorted((disk.path / folder).glob("*.log"))[:_MOST_LOGS]:
            text = files.text(files.read(log, _LOG_LIMIT).data)
            (place / log.name).write_text(text, encoding="utf-8")
