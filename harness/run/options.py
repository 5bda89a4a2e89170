"""The command line of run_tests.py: what it takes, and what it means for pytest. No I/O in here."""

import argparse
import difflib
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import UsageError
from harness.machine import accel, vm
from harness.model import VARIANTS
from harness.report import options as report_options
from harness.run import suites

_MANY = 100
_KRSI = next(iter(suites.SUITES))

_EPILOG = """\
NAME is a C test (lsm_attach), one of its subtests (lsm_attach/pin_keeps), or a shell pattern.

examples:
  ./run_tests.py -j 2                           everything, in two machines at once
  ./run_tests.py lsm_attach 'lsm_*/denies'      a test, and a subtest of several
  ./run_tests.py --kernel krsi,upstream -k uffd
  ./run_tests.py --last-failed -x               what failed last time, up to the first failure
  ./run_tests.py --until-fail lsm_race          hunt a flake
  ./run_tests.py --no-teardown lsm_attach       a failure leaves its machine up;
  ./run_tests.py --enter                        … look around in it
  ./run_tests.py --gdb lsm_attach/pin_keeps     the machine waits for gdb before its first
                                                instruction
  ./run_tests.py --cmd 'bpftool lsm'            any command; its exit status is ours
  ./run_tests.py --append lsm=yama '*/not_in_lsm_list'   boot without our module

The suite `upstream` is what the kernel itself has for LSM programs, from the unpatched tree: what
passes on the kernel `upstream` has to pass on the others, too; policy/parity.txt lists what may
not.

One report of several parts: --shard 1/2 and --shard 2/2, then `python3 -m harness report merge`.

LSM_TEST_… of the environment reaches the C tests. What they repeat is not repeated often
unless LSM_TEST_UPDATES=100000 or LSM_TEST_ROUNDS=100000 say so; allow for it by --timeout.

--mbox FILE|DIR|-, --series DIR and --git RANGE do something else: they check, build, boot and test
somebody's series, and answer it; see --mbox=- --help.

exit status:
  0 all passed, 1 a test failed, 2 wrong usage, 3 the kernel is not built,
  4 the infrastructure failed (no boot, a tool is missing),
  130 interrupted (Ctrl-C, SIGTERM): what was done is reported, the rest is MISS;
  with --cmd the command's own
"""


@dataclass(frozen=True)
class Options:
    """The command line, checked.

    Attributes:
        jobs: how many machines at once.
        timeout: for one C test, in seconds; None leaves it to the kernel's patience.
        cpus: of a machine.
        append: to the kernel's command line, before what a test itself wants there.
        repeat: how many rounds.
        command: what to run in the machine instead of tests; "" for nothing.
    """

    suite: str
    variants: tuple[str, ...]
    names: tuple[str, ...]
    expression: str
    stop_early: bool
    list_only: bool
    shell: bool
    accel: str
    timeout: float | None
    cpus: int = vm.DEFAULT_CPUS
    append: tuple[str, ...] = ()
    repeat: int = 1
    until_fail: bool = False
    jobs: int = 1
    last_failed: bool = False
    no_teardown: bool = False
    gdb: bool = False
    enter: bool = False
    command: str = ""
    wishes: report_options.Wishes = field(default_factory=report_options.Wishes)


def parser() -> argparse.ArgumentParser:
    """The parser, for parse(), for shells that complete and for the man page."""
    made = argparse.ArgumentParser(
        prog="run_tests.py",
        description="Boot a built kernel in a virtual machine and run the C selftests in it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("names", nargs="*", metavar="NAME", help="what to run (default: all)")
    _add_choice(made)
    _add_machine(made)
    _add_rounds(made)
    _add_instead(made)
    report_options.add(made)
    return made


def _add_choice(made: argparse.ArgumentParser) -> None:
    which = made.add_argument_group("what is run")
    which.add_argument(
        "--suite",
        choices=tuple(suites.SUITES),
        default=_KRSI,
        help="krsi: the C selftests of the series (default); clients: programs of others; "
        "upstream: the C selftests that the kernel had before",
    )
    which.add_argument(
        "--kernel",
        metavar="VARIANT[,VARIANT]",
        default="",
        help=f"which kernels to test: {', '.join(VARIANTS)} (default: krsi; with --last-failed, "
        "those of that run)",
    )
    which.add_argument("-k", metavar="EXPR", default="", help="only items that match, as in pytest")
    which.add_argument(
        "--last-failed",
        action="store_true",
        help="only what was not well in the latest run of this suite that had results",
    )
    which.add_argument("--list", action="store_true", help="print the items and run nothing")


def _add_machine(made: argparse.ArgumentParser) -> None:
    machine = made.add_argument_group("the machine")
    machine.add_argument(
        "-j",
        metavar="N",
        type=int,
        default=1,
        dest="jobs",
        help="N machines at once, as far as there is memory for them (default: 1)",
    )
    accel.add_option(machine)
    machine.add_argument(
        "--cpus",
        metavar="N",
        type=int,
        default=vm.DEFAULT_CPUS,
        help=f"how many CPUs a machine has (default: {vm.DEFAULT_CPUS})",
    )
    machine.add_argument(
        "--append",
        metavar="OPTIONS",
        action="append",
        default=[],
        help="more for the kernel's command line, as in --append 'lsm=landlock,yama'; what a test "
        "itself wants there comes after it, and wins",
    )
    machine.add_argument(
        "--timeout", metavar="SECONDS", type=float, help="for one C test (default: 120)"
    )
    machine.add_argument(
        "--no-teardown",
        action="store_true",
        help="stop at the first failure, leave its machine up and say how to enter it",
    )
    machine.add_argument(
        "--gdb",
        action="store_true",
        help="let gdb, with vmlinux, control the machine from its first instruction on; there is "
        "no deadline",
    )


def _add_rounds(made: argparse.ArgumentParser) -> None:
    rounds = made.add_argument_group("when to stop")
    rounds.add_argument(
        "-x",
        action="store_true",
        help="at the first failure; with -j, what the other machines have been given is finished",
    )
    rounds.add_argument(
        "--repeat", metavar="N", type=int, help="run everything N times, in one machine if it lasts"
    )
    rounds.add_argument(
        "--until-fail",
        action="store_true",
        help=f"repeat until a round fails, {_MANY} times at most unless --repeat says how often",
    )


def _add_instead(made: argparse.ArgumentParser) -> None:
    instead = made.add_argument_group("instead of tests").add_mutually_exclusive_group()
    instead.add_argument("--shell", action="store_true", help="a root shell in a machine")
    instead.add_argument(
        "--cmd",
        metavar="COMMAND",
        default="",
        help="run a shell command in a machine; its exit status is ours",
    )
    instead.add_argument(
        "--enter",
        action="store_true",
        help="a root shell in the machine that --no-teardown has left up",
    )


def parse(argv: Sequence[str]) -> Options:
    """Read the command line. argparse itself exits with 2; UsageError for an unknown variant."""
    made = parser()
    args = made.parse_args(argv)
    if args.timeout is not None and args.timeout <= 0:
        made.error("--timeout must be more than 0 seconds")
    if args.cpus < 1:
        made.error("--cpus must be at least 1")
    if args.jobs < 1:
        made.error("-j must be at least 1")
    if args.gdb and "," in args.kernel:
        made.error("--gdb is for one kernel")
    if args.jobs > 1 and (args.gdb or args.no_teardown):
        made.error("--gdb and --no-teardown are for one machine, not for -j")
    repeat = (_MANY if args.until_fail else 1) if args.repeat is None else args.repeat
    if repeat < 1:
        made.error("--repeat must be at least 1")
    if repeat > 1 and args.suite == suites.Upstream.name:
        made.error("--repeat is not for the suite that compares kernels")
    options = Options(
        suite=args.suite,
        variants=() if args.last_failed and not args.kernel else _variants(args.kernel or "krsi"),
        names=tuple(args.names),
        expression=args.k,
        stop_early=args.x or args.no_teardown,
        list_only=args.list,
        shell=args.shell,
        accel=args.accel,
        timeout=args.timeout,
        cpus=args.cpus,
        append=tuple(" ".join(args.append).split()),
        repeat=repeat,
        until_fail=args.until_fail,
        jobs=args.jobs,
        last_failed=args.last_failed,
        no_teardown=args.no_teardown,
        gdb=args.gdb,
        enter=args.enter,
        command=args.cmd,
        wishes=report_options.read(args),
    )
    return _without_tests(options)


def _without_tests(options: Options) -> Options:
    """See that what takes no test is given none. Raises UsageError."""
    instead = {"--shell": options.shell, "--cmd": options.command, "--enter": options.enter}
    for name, wanted in instead.items():
        if wanted and (len(options.variants) > 1 or options.names or options.expression):
            raise UsageError(f"{name} takes one --kernel and no test")
    return options


def _variants(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(filter(None, text.split(","))))
    for name in names:
        if name not in VARIANTS:
            close = difflib.get_close_matches(name, VARIANTS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(VARIANTS)}."
            raise UsageError(f"no kernel variant is called '{name}'; {hint}")
    if not names:
        raise UsageError(f"--kernel needs a variant: {', '.join(VARIANTS)}")
    return names


def pytest_arguments(options: Options, cwd: Path) -> list[str]:
    """Build pytest's command line: no configuration but ours, no plugin nobody asked for."""
    arguments = ["-c", os.devnull, f"--rootdir={cwd}", "-p", "no:cacheprovider", "--no-header"]
    if options.list_only:
        arguments += ["--collect-only", "-q"]
    else:
        arguments += ["-v", "-ra"]
    if options.jobs > 1 and not options.list_only:
        arguments += [
            "-p",
            "xdist.plugin",
            "-p",
            "harness.run.worker",
            f"--numprocesses={options.jobs}",
        ]
        arguments += ["--dist=loadscope", "--no-loadscope-reorder", "--assert=plain"]
    if options.stop_early:
        arguments.append("-x")
    if options.expression:
        arguments += ["-k", options.expression]
    return arguments


def rerun(options: Options, environment: Mapping[str, str], variant: str, name: str) -> str:
    """The whole command that runs one item again as it ran. Pure.

    Args:
        options: of the run.
        environment: the variables that reached the test.
        variant: the kernel.
        name: of the item.
    """
    words = ["./run_tests.py"]
    words += ["--suite", options.suite] if options.suite != _KRSI else []
    words += ["--kernel", variant]
    words += ["--accel", options.accel] if options.accel != "auto" else []
    words += ["--cpus", str(options.cpus)] if options.cpus != vm.DEFAULT_CPUS else []
    words += ["--append", " ".join(options.append)] if options.append else []
    words += ["--timeout", f"{options.timeout:g}"] if options.timeout is not None else []
    settings = [f"{key}={shlex.quote(value)}" for key, value in sorted(environment.items())]
    return " ".join([*settings, shlex.join([*words, name])])
