"""What run_tests.py does: from arguments to pytest, and from pytest's answer to an exit status."""

import argparse
import contextlib
import difflib
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness import accel, policy, proc, report, rounds, selftests, suites, vm
from harness.bot import main as bot
from harness.errors import InfraError, UsageError
from harness.model import ROOT, VARIANTS, BuildPaths
from harness.plugin import Plugin
from harness.report import finish, shards
from harness.report import options as report_options
from harness.report.results import Shard
from harness.selftests import Item
from harness.session import Settings, VariantSession, test_environment
from harness.splat import load_policy
from harness.verdict import parse_known

POLICY = ROOT / "policy"
INTERRUPTED = 130
_VM_DIED = 255
_MANY = 100

_EPILOG = """\
NAME is a C test (lsm_attach), one of its subtests (lsm_attach/pin), or a shell pattern.

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
  4 the infrastructure failed (no boot, a tool is missing), 130 interrupted
"""


@dataclass(frozen=True)
class Options:
    """The command line, checked."""

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
    repeat: int = 1
    until_fail: bool = False
    wishes: report_options.Wishes = field(default_factory=report_options.Wishes)


def parse(argv: Sequence[str]) -> Options:
    """Read the command line. argparse itself exits with 2; UsageError for an unknown variant."""
    parser = argparse.ArgumentParser(
        prog="run_tests.py",
        description="Boot a built kernel in a virtual machine and run the C selftests in it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to run (default: all)")
    parser.add_argument(
        "--suite",
        choices=tuple(suites.SUITES),
        default=next(iter(suites.SUITES)),
        help="krsi: the C selftests of the series (default); clients: programs of others; "
        "upstream: the C selftests that the kernel had before",
    )
    parser.add_argument(
        "--kernel",
        metavar="VARIANT[,VARIANT]",
        default="krsi",
        help=f"which kernels to test: {', '.join(VARIANTS)} (default: krsi)",
    )
    parser.add_argument(
        "-k", metavar="EXPR", default="", help="only items that match, as in pytest"
    )
    parser.add_argument("-x", action="store_true", help="stop at the first failure")
    parser.add_argument("--list", action="store_true", help="print the items and run nothing")
    accel.add_option(parser)
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=float, help="for one C test (default: 120)"
    )
    parser.add_argument(
        "--cpus",
        metavar="N",
        type=int,
        default=vm.DEFAULT_CPUS,
        help=f"how many CPUs the machine has (default: {vm.DEFAULT_CPUS})",
    )
    parser.add_argument(
        "--repeat", metavar="N", type=int, help="run everything N times, in one machine if it lasts"
    )
    parser.add_argument(
        "--until-fail",
        action="store_true",
        help=f"repeat until a round fails, {_MANY} times at most unless --repeat says how often",
    )
    parser.add_argument(
        "--shell", action="store_true", help="a root shell in the machine instead of tests"
    )
    report_options.add(parser)
    args = parser.parse_args(argv)
    if args.timeout is not None and args.timeout <= 0:
        parser.error("--timeout must be more than 0 seconds")
    if args.cpus < 1:
        parser.error("--cpus must be at least 1")
    repeat = (_MANY if args.until_fail else 1) if args.repeat is None else args.repeat
    if repeat < 1:
        parser.error("--repeat must be at least 1")
    if repeat > 1 and args.suite == suites.Upstream.name:
        parser.error("--repeat is not for the suite that compares kernels")
    return Options(
        suite=args.suite,
        variants=_variants(args.kernel),
        names=tuple(args.names),
        expression=args.k,
        stop_early=args.x,
        list_only=args.list,
        shell=args.shell,
        accel=args.accel,
        timeout=args.timeout,
        cpus=args.cpus,
        repeat=repeat,
        until_fail=args.until_fail,
        wishes=report_options.read(args),
    )


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
    if options.stop_early:
        arguments.append("-x")
    if options.expression:
        arguments += ["-k", options.expression]
    return arguments


def exit_code(answer: int, *, infra: bool, strays: bool) -> int:
    """Our exit status for pytest's. Pure."""
    if answer == pytest.ExitCode.INTERRUPTED:
        return INTERRUPTED
    if answer in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED):
        return 2
    if infra or answer == pytest.ExitCode.INTERNAL_ERROR:
        return 4
    if answer != pytest.ExitCode.OK or strays:
        return 1
    return 0


def main(argv: Sequence[str]) -> int:
    """Do what the command line says. Returns the exit status; raises KrsiError."""
    if any(word.partition("=")[0] in bot.OPTIONS for word in argv):
        return bot.main(argv)
    options = parse(argv)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    if options.shell:
        return shell(options)
    suite = suites.SUITES[options.suite]()
    items = {
        variant: selftests.choose(suite.tests, options.names)
        for variant in suite.order(options.variants)
    }
    shard = None
    if options.wishes.shard is not None:
        items, shard = shards.take(items, *options.wishes.shard)
        print(shards.says(items, shard), file=sys.stderr, flush=True)
    if options.list_only:
        plugin = Plugin(items, suite.tests, None)
        return _nothing_matched(options, _pytest(options, plugin))
    if not options.wishes.tap:
        return test(options, suite, items, shard).exit_code
    with contextlib.redirect_stdout(sys.stderr):
        done = test(options, suite, items, shard)
    print(done.ktap, end="", flush=True)
    return done.exit_code


def _pytest(options: Options, plugin: Plugin) -> int:
    return int(pytest.main(pytest_arguments(options, Path.cwd()), plugins=[plugin]))


def _nothing_matched(options: Options, answer: int) -> int:
    code = exit_code(answer, infra=False, strays=False)
    if answer == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise UsageError(f"no test matches -k '{options.expression}'; --list shows them all.")
    return code


def test(
    options: Options,
    suite: suites.Suite,
    items: dict[str, tuple[Item, ...]],
    shard: Shard | None,
) -> finish.Finished:
    """Run the items, which may be a `shard` of more, and leave a report."""
    started = datetime.now(UTC)
    begin = time.monotonic()
    baseline = finish.baseline(options.wishes)
    paths = {variant: BuildPaths.of(variant) for variant in items}
    programs = suite.programs(tuple(items))
    known = POLICY / "known-failures.txt"
    vng = vm.find_vng()
    answer = accel.choose(options.accel, paths[options.variants[0]].bzimage)
    print(f"accelerator: {answer}", flush=True)
    settings = Settings(
        vng=vng,
        accel=answer.accel,
        deadlines=vm.Deadlines.for_accel(answer.accel, options.timeout),
        policy=load_policy(POLICY),
        known=parse_known(known.read_text("utf-8", "replace"), str(known), policy.today()),
        reports=report.new_folder(),
        environment=test_environment(os.environ),
        cpus=options.cpus,
    )

    def make(variant: str, chosen: Sequence[Item]) -> VariantSession:
        patience = VARIANTS[variant].patience
        return VariantSession(
            VARIANTS[variant],
            paths[variant],
            chosen,
            suite.tests,
            settings=replace(
                settings,
                deadlines=vm.Deadlines.for_accel(answer.accel, options.timeout, patience),
            ),
            program=programs[variant],
            judge=suite.judge(variant),
            resolve=report.Resolver(paths[variant].vmlinux),
        )

    plugin = Plugin(items, suite.tests, make, repeat=options.repeat, until_fail=options.until_fail)
    try:
        outcome = _pytest(options, plugin)
    finally:
        for session in plugin.sessions.values():
            session.kill()
    if not plugin.sessions:
        shutil.rmtree(settings.reports)
        return finish.Finished(_nothing_matched(options, outcome), (), "")
    report.point_to_latest(settings.reports)
    records = plugin.records({name: report.read_manifest(paths[name]) for name in paths})
    histories = {name: session.rounds for name, session in plugin.sessions.items()}
    flaky = options.repeat > 1 and any(map(rounds.flakes, histories.values()))
    code = exit_code(
        outcome,
        infra=any(record.error for record in records),
        strays=flaky or any(record.strays for record in records),
    )
    found = report.collect(
        records,
        suite=suite.name,
        outcomes=suite.outcomes(),
        accel=str(answer),
        cpus=options.cpus,
        started=started,
        seconds=time.monotonic() - begin,
        exit_code=code,
        shard=shard,
    )
    every = {item for each in suite.tests for item in each.items}
    whole = all(every <= {*record.verdicts} for record in records)
    done = finish.finish(settings.reports, found, options.wishes, baseline, whole=whole)
    print("\n".join(suite.conclude(settings.reports)), flush=True)
    for name, history in histories.items() if options.repeat > 1 else ():
        print("\n".join(f"{name}: {line}" for line in rounds.summary(history)), flush=True)
    print("\n".join(done.lines), end="\n" if done.lines else "", flush=True)
    print(f"report: {_relative(settings.reports)}", flush=True)
    return done


def _relative(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def shell(options: Options) -> int:
    """A root shell in the machine: for a person, or for commands from standard input.

    Returns 0 to a person, and otherwise the exit status of the last command.
    """
    variant = options.variants[0]
    if len(options.variants) > 1 or options.names or options.expression:
        raise UsageError("--shell takes one --kernel and no test")
    paths = BuildPaths.of(variant)
    program = suites.SUITES[options.suite]().programs([variant])[variant]
    vng = vm.find_vng()
    answer = accel.choose(options.accel, paths.bzimage)
    folder = paths.root / "shell"
    folder.mkdir(parents=True, exist_ok=True)
    machine = vm.Machine(
        name=f"krsi-{variant}",
        bzimage=paths.bzimage,
        share=folder,
        bin=program.bin,
        console=folder / "console.log",
        accel=answer.accel,
        cpus=options.cpus,
        setup=program.setup,
        memory=VARIANTS[variant].memory,
    )
    script = folder / "sh"
    script.write_text(vm.shell_script(machine), "utf-8")
    script.chmod(0o755)
    print(f"accelerator: {answer}", file=sys.stderr, flush=True)
    if not sys.stdin.isatty():
        return _batch(vm.batch_argv(vng, machine), variant, folder)
    print(f"booting {variant}; leave with exit or Ctrl-D", file=sys.stderr, flush=True)
    argv = vm.shell_argv(vng, machine, script)
    if proc.interact(argv, cwd=ROOT, env=vm.environment(folder)) != 0:
        raise InfraError(f"the machine of '{variant}' did not end well")
    return 0


def _batch(argv: list[str], variant: str, home: Path) -> int:
    """Run the commands of standard input; returns the exit status of the last one.

    What they print passes through pipes: QEMU would truncate a file.
    """
    commands = sys.stdin.read()
    result = proc.run(argv, cwd=ROOT, env=vm.environment(home), stdin=commands, check=None)
    sys.stdout.write(result.stdout)
    sys.stderr.write(result.stderr)
    if result.returncode in (_VM_DIED, *range(-64, 0)):
        raise InfraError(f"the machine of '{variant}' ended without a result")
    return result.returncode
