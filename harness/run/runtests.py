"""What run_tests.py does: from arguments to pytest, and from pytest's answer to an exit status."""

import contextlib
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from harness import proc, report
from harness.errors import INTERRUPTED, UsageError
from harness.machine import accel, debugger, shell, standing, vm
from harness.model import ROOT, VARIANTS, BuildPaths
from harness.report import VariantRecord, finish, shards
from harness.report.results import Shard
from harness.run import balance, durations, failed, selftests, suites
from harness.run.options import Options, parse, pytest_arguments, rerun
from harness.run.parity import Column
from harness.run.plan import Plan, entries
from harness.run.selftests import Item
from harness.run.testrun import Settings, test_environment
from harness.verdicts import files, policy, rounds
from harness.verdicts.splat import load_policy
from harness.verdicts.verdict import FINE, parse_known

POLICY = ROOT / "policy"
SERIES = ("--mbox", "--series", "--git")
"""The options with which we are a bot."""

_MEMINFO = Path("/proc/meminfo")
#: pytest.ExitCode, which would take pytest to load.
_INTERRUPTED, _INTERNAL, _USAGE, _NO_TESTS = 2, 3, 4, 5


class Crew(Protocol):
    """A plugin of pytest that runs a plan and knows what became of it.

    Attributes:
        ran: whether there was anything to run.
    """

    @property
    def ran(self) -> bool: ...  # noqa: D102 - see above

    def kill(self) -> None:
        """End every machine at once."""

    def outcomes(self) -> Iterator[Mapping[str, Column]]:
        """What the suites of other processes have found out besides verdicts."""

    def rounds(self) -> dict[str, tuple[rounds.Round, ...]]:
        """What every round has reached, by kernel."""

    def records(self, manifests: Mapping[str, Mapping[str, Any]]) -> list[VariantRecord]:
        """What is to be reported of each kernel. What never got a verdict is MISS."""


def exit_code(answer: int, *, infra: bool, strays: bool) -> int:
    """Our exit status for pytest's. Pure."""
    if answer == _INTERRUPTED:
        return INTERRUPTED
    if answer in (_USAGE, _NO_TESTS):
        return 2
    if infra or answer == _INTERNAL:
        return 4
    return 1 if answer or strays else 0


def main(argv: Sequence[str]) -> int:
    """Do what the command line says. Returns the exit status; raises KrsiError."""
    if any(word.partition("=")[0] in SERIES for word in argv):
        from harness.bot import main as bot  # noqa: PLC0415 - takes long to load

        return bot.main(argv)
    options = parse(argv)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    status = _instead(options, argv)
    if status is not None:
        return status
    suite = suites.SUITES[options.suite]()
    suite.tests = selftests.booted_with(suite.tests, options.append)
    items = _items(options, suite)
    shard = None
    if options.wishes.shard is not None:
        items, shard = shards.take(items, *options.wishes.shard)
        print(shards.says(items, shard), file=sys.stderr, flush=True)
    if options.list_only:
        return _list(options, suite, items)
    if not items:
        if options.wishes.tap:
            print("KTAP version 1\n1..0", flush=True)
        return 0
    if not options.wishes.tap:
        return test(options, suite, items, shard).exit_code
    with contextlib.redirect_stdout(sys.stderr):
        done = test(options, suite, items, shard)
    print(done.ktap, end="", flush=True)
    return done.exit_code


def _instead(options: Options, argv: Sequence[str]) -> int | None:
    """Do what is done without tests of our own, and return its exit status; None if it is tests."""
    if options.enter:
        return standing.enter()
    if options.shell or options.command:
        return shell.run(options)
    if options.no_teardown:
        standing.refuse_another()
    if options.gdb and sys.stdin.isatty():
        return debugger.run(options, argv)
    return None


def _items(options: Options, suite: suites.Suite) -> dict[str, tuple[Item, ...]]:
    """What is wanted of each kernel."""
    chosen = selftests.choose(suite.tests, options.names)
    if not options.last_failed:
        return dict.fromkeys(suite.order(options.variants), chosen)
    last = failed.latest(options.wishes.reports, suite.name)
    items = failed.only(last, options.variants, chosen)
    # Standard output belongs to the results where these are asked for.
    print(last.say(items), file=sys.stderr if options.wishes.tap else sys.stdout, flush=True)
    return {variant: items[variant] for variant in suite.order(tuple(items))}


def _list(options: Options, suite: suites.Suite, items: Mapping[str, Sequence[Item]]) -> int:
    """Print what would run; only an expression needs pytest for it, which takes a while to load."""
    tests = {test.name: test.options for test in suite.tests}
    names = [entry.id for entry in entries(items, 1, tests)]
    if options.expression:
        return _nothing_matched(options, _pytest(options, _plugin(items, suite)))
    print("\n".join((*names, "", f"{len(names)} items")))
    return 0


def _plugin(items: Mapping[str, Sequence[Item]], suite: suites.Suite) -> object:
    from harness.run.plugin import Plugin  # noqa: PLC0415 - brings pytest

    return Plugin(items, suite.tests, None)


def _pytest(options: Options, *plugins: object) -> int:
    import pytest  # noqa: PLC0415 - takes longer to load than all else

    return int(pytest.main(pytest_arguments(options, Path.cwd()), plugins=plugins))


def _showing(folder: Path) -> contextlib.AbstractContextManager[Sequence[object]]:
    """The live view, or nothing where nobody looks."""
    from harness.run import live  # noqa: PLC0415 - brings pytest

    return live.showing(folder)


def _nothing_matched(options: Options, answer: int) -> int:
    if answer == _NO_TESTS:
        raise UsageError(f"no test matches -k '{options.expression}'; --list shows them all.")
    return exit_code(answer, infra=False, strays=False)


def prepare(options: Options, suite: suites.Suite, items: Mapping[str, Sequence[Item]]) -> Plan:
    """Find out all that a process needs to know to run the items."""
    programs = suite.programs(tuple(items))
    known = POLICY / "known-failures.txt"
    vng = vm.find_vng()
    answer = accel.choose(options.accel, BuildPaths.of(next(iter(items))).bzimage)
    print(f"accelerator: {answer}", flush=True)
    socket = debugger.socket_of(os.environ) if options.gdb else None
    if socket is not None:
        print(f"waits for: {shlex.join(debugger.argv(next(iter(items)), socket))}", flush=True)
    settings = Settings(
        vng=vng,
        accel=answer.accel,
        deadlines=vm.Deadlines.for_accel(answer.accel, options.timeout),
        policy=load_policy(POLICY),
        known=parse_known(known.read_text("utf-8", "replace"), str(known), policy.today()),
        reports=report.new_folder(options.wishes.reports),
        environment=test_environment(os.environ),
        cpus=options.cpus,
        leave=options.no_teardown,
        debugger=socket,
        again=partial(rerun, options, test_environment(os.environ)),
    )
    timeout = debugger.FOREVER if options.gdb else options.timeout
    return Plan(suite, items, programs, settings, str(answer), timeout, options.repeat)


def test(
    options: Options,
    suite: suites.Suite,
    items: Mapping[str, Sequence[Item]],
    shard: Shard | None,
) -> finish.Finished:
    """Run the items, which may be a `shard` of more, and leave a report."""
    started = datetime.now(UTC)
    begin = time.monotonic()
    baseline = finish.baseline(options.wishes)
    plan = prepare(options, suite, items)
    folder = plan.settings.reports
    options = _fitting(options, plan)
    crew = recruit(options, plan)
    try:
        with _showing(folder) as viewers:
            outcome = _pytest(options, crew, *viewers)
    except KeyboardInterrupt:
        # While the machines were being ended: what they have done is reported all the same.
        outcome = _INTERRUPTED
    finally:
        crew.kill()
    with proc.holding():
        if not crew.ran:
            shutil.rmtree(folder)
            return finish.Finished(_nothing_matched(options, outcome), (), "")
        for outcomes in crew.outcomes():
            suite.learn(outcomes)
        report.point_to_latest(folder)
        records = crew.records({name: report.read_manifest(BuildPaths.of(name)) for name in items})
        histories = crew.rounds()
        flaky = options.repeat > 1 and any(map(rounds.flakes, histories.values()))
        code = exit_code(
            outcome,
            infra=any(record.error for record in records),
            strays=flaky or any(record.strays for record in records) or _incomplete(records),
        )
        found = report.collect(
            records,
            suite=suite.name,
            outcomes=suite.outcomes(),
            accel=plan.accelerator,
            cpus=options.cpus,
            options=options.append,
            started=started,
            seconds=time.monotonic() - begin,
            exit_code=code,
            shard=shard,
        )
        every = {item for each in suite.tests for item in each.items}
        whole = all(every <= {*record.verdicts} for record in records)
        done = finish.finish(folder, found, options.wishes, baseline, whole=whole)
        durations.learn(records)
        print("\n".join(suite.conclude(folder)), flush=True)
        for name, history in histories.items() if options.repeat > 1 else ():
            print("\n".join(f"{name}: {line}" for line in rounds.summary(history)), flush=True)
        print("\n".join(done.lines), end="\n" if done.lines else "", flush=True)
        print(f"report: {files.shown(folder)}", flush=True)
        return done


def recruit(options: Options, plan: Plan) -> Crew:
    """Who runs the plan: this process with one machine, or workers with one each."""
    if options.jobs == 1:
        from harness.run.plugin import Plugin  # noqa: PLC0415 - brings pytest

        return Plugin(
            plan.items,
            plan.suite.tests,
            plan.session,
            repeat=options.repeat,
            until_fail=options.until_fail,
        )
    from harness.run.fleet import Fleet  # noqa: PLC0415 - brings xdist

    every = plan.entries()
    took = durations.known()
    compares = options.suite == suites.Upstream.name and len(plan.items) > 1
    units = balance.bins(every, took, options.jobs) if compares else balance.units(every, took)
    order = tuple(name for names in units.values() for name in names)
    return Fleet(replace(plan, order=order), units, until_fail=options.until_fail)


def _fitting(options: Options, plan: Plan) -> Options:
    """As many machines as there is work and memory for; says so when it is for want of memory."""
    tests = {(variant, item.test) for variant, items in plan.items.items() for item in items}
    options = replace(options, jobs=min(options.jobs, len(tests) * plan.repeat))
    if options.jobs == 1:
        return options
    free = balance.available(_MEMINFO.read_text("utf-8"))
    memories = [VARIANTS[variant].memory for variant in plan.items]
    jobs = balance.machines(options.jobs, memories, free)
    if jobs < options.jobs:
        largest = max(memories, key=balance.in_bytes)
        print(
            f"-j {jobs} instead of {options.jobs}: a machine takes {largest}, and "
            f"{free / (1 << 30):.1f} GiB of memory are free",
            flush=True,
        )
    return replace(options, jobs=jobs)


def _incomplete(records: Sequence[VariantRecord]) -> bool:
    """Whether a result is missing, though pytest has seen no failure."""
    every = (each.values() for record in records for each in (*record.earlier, record.verdicts))
    return any(verdict.status not in FINE for verdicts in every for verdict in verdicts)
