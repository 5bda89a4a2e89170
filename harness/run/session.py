"""Run C selftests in a virtual machine, one machine at a time, and collect evidence.

The machine of a variant is booted once. After a crash or a hang it is replaced, and what has not
run yet is run in the new one. Nothing that has run is ever run again.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import InfraError
from harness.machine import standing
from harness.machine.console import GuestGoneError
from harness.machine.vm import DEFAULT_CPUS, Accel, BootError, Machine, Vm
from harness.model import BuildPaths, Life, Status, Variant
from harness.run import testrun
from harness.run.selftests import Item, Selftest
from harness.run.testrun import Settings, TestRun
from harness.verdicts import failure, files, splat, verdict
from harness.verdicts.splat import Splat
from harness.verdicts.verdict import Ending, Evidence, Verdict

_LEAKS = (
    "leaks=/sys/kernel/debug/kmemleak; sleep 6; echo scan >$leaks && echo scan >$leaks && "
    'while IFS= read -r line; do echo "$line" >/dev/kmsg; done <$leaks'
)
"""Memory is no leak in its first five seconds, nor before two scans have missed it.

Once kmemleak has given up, as it does without memory of its own, it refuses to scan.
"""

_MAX_SPLATS = 50
_ENDED = "the machine ended by itself"
_STUCK = "the machine hung"


@dataclass(frozen=True)
class Program:
    """What runs the tests in the guest.

    Attributes:
        command: takes the names of tests and leaves a report.
        bin: first on PATH.
        setup: see `Machine`.
        steady: see `Machine`.
    """

    command: tuple[str, ...]
    bin: Path
    setup: tuple[str, ...] = ()
    steady: bool = False


def machine_of(
    kernel: Variant,
    bzimage: Path,
    program: Program,
    *,
    share: Path,
    console: Path,
    accel: Accel,
    cpus: int = DEFAULT_CPUS,
    options: tuple[str, ...] = (),
    door: Path | None = None,
    debugger: Path | None = None,
) -> Machine:
    """The machine in which `program` runs its tests on a kernel."""
    return Machine(
        name=f"krsi-{kernel.name}",
        bzimage=bzimage,
        share=share,
        bin=program.bin,
        console=console,
        accel=accel,
        cpus=cpus,
        setup=program.setup,
        steady=program.steady,
        options=options,
        memory=kernel.memory,
        door=door,
        debugger=debugger,
    )


Judge = Callable[[Item, Verdict, Sequence[Evidence]], Verdict]
"""From an item, the verdict on it taken alone and the evidence, to the verdict that stands."""


def _did_not_run(error: InfraError) -> str:
    """One line for each item; the error itself is shown once, for the whole variant."""
    boot = isinstance(error, BootError)
    return "did not run: " + ("the machine did not boot" if boot else str(error))


def _trimmed(found: Splat) -> Splat:
    title = verdict.shortened(found.title)
    return replace(found, title=title, lines=verdict.trimmed(found.lines))


class VariantSession:
    """The verdicts of one variant. Ask for them in the order of `items`."""

    def __init__(
        self,
        variant: Variant,
        paths: BuildPaths,
        items: Sequence[Item],
        tests: Sequence[Selftest],
        *,
        settings: Settings,
        program: Program | None = None,
        judge: Judge | None = None,
        resolve: Callable[[Splat], Splat] = lambda splat: splat,
    ) -> None:
        """Nothing is booted before the first verdict is asked for.

        Without `program` it is the variant's own; without `judge` known failures are excused.
        """
        self.variant = variant.name
        self.release = ""
        self.error: InfraError | None = None
        self.notes: list[str] = []
        self.strays: tuple[splat.Splat, ...] = ()
        self.consoles: list[Path] = []
        self._machines: list[Vm] = []
        self._share: tuple[Path, ...] = ()
        self._kernel = variant
        self._paths = paths
        self._tests = {test.name: test for test in tests}
        self._items = tuple(items)
        self._waiting = list(items)
        self._earlier: list[dict[Item, Verdict]] = []
        self._settings = settings
        self._program = program or Program((str(paths.runner),), paths.bin)
        self._judge = judge or self._excuse_known
        self._resolve = resolve
        self._vm: Vm | None = None
        self._verdicts: dict[Item, Verdict] = {}
        self._runs: dict[str, list[Evidence]] = {}
        self._started: Counter[str] = Counter()
        self._run: TestRun | None = None
        self._unbootable: dict[tuple[str, ...], InfraError] = {}
        self._broken: InfraError | None = None
        self._last = ""
        self._since = 0.0
        self._log_seen = 0

    @property
    def machines(self) -> tuple[Life, ...]:
        """From when to when each machine lived."""
        return tuple(vm.life for vm in self._machines)

    def complete(self) -> dict[Item, Verdict]:
        """Every verdict that has been reached, and MISS for every item that has none."""
        missing = Verdict(Status.MISS, "did not run: the session ended before")
        return {**self._verdicts, **dict.fromkeys(self._waiting, missing)}

    def next_round(self) -> None:
        """Forget what has been reached: everything is to run once more, in the same machine."""
        self._earlier.append(self._verdicts)
        self._verdicts = {}
        self._waiting = list(self._items)
        self._runs = {}

    @property
    def rounds(self) -> tuple[dict[Item, Verdict], ...]:
        """What every round has reached, the one that is under way, too."""
        return (*self._earlier, self._verdicts)

    def verdict(self, item: Item) -> Verdict:
        """The verdict on `item`; runs what has to run and takes as long as that takes."""
        options = self._tests[item.test].options
        while item not in self._verdicts:
            error = self._broken or self._unbootable.get(options)
            if error is not None:
                return self._settle(item, Verdict(Status.MISS, _did_not_run(error)))
            try:
                self._advance(item.test)
            except BootError as failure:
                # A machine with other options may still come up.
                self._unbootable[options] = failure
                if self.error is not None:
                    self.notes.append(str(failure))
                self.error = self.error or failure
            except InfraError as failure:
                self.error = self._broken = failure
            except OSError as failure:
                why = f"{failure.strerror}: {failure.filename or 'report'}"
                self.error = self._broken = InfraError(why)
        return self._verdicts[item]

    def close(self) -> None:
        """End the machine. What the kernel complains about now is in `strays`."""
        self._run = None
        if self._vm is None:
            return
        vm, self._vm = self._vm, None
        alive = vm.alive
        if alive and self._kernel.finds_leaks:
            self._look_for_leaks(vm)
            alive = vm.alive
        failed = any(each.status not in verdict.FINE for each in self._verdicts.values())
        if not (failed and self._left(vm)):
            vm.end()
        self._after(vm, "" if alive else _ENDED)

    def _left(self, vm: Vm) -> bool:
        """Leave a machine in which something failed up, if that is wanted and it still is."""
        if not self._settings.leave or vm.machine.door is None:
            return False
        if not vm.alive:
            self.notes.append("the machine has ended by itself: there is nothing to enter")
            return False
        terminal, group = vm.leave()
        found = standing.keep(terminal, group, vm.machine.door, vm.machine.console)
        self.notes.append(
            f"the machine is left up: './run_tests.py --enter', 'kill {found.keeper}' ends it"
        )
        return True

    def kill(self) -> None:
        """End the machine at once."""
        self._run = None
        if self._vm is not None:
            self._vm.end(kill=True)
            self._vm = None

    def _look_for_leaks(self, vm: Vm) -> None:
        """Have the kernel log which memory nobody refers to any more.

        A search that was not made has found nothing, and is no proof that there is nothing.
        """
        try:
            done = vm.channel.run(_LEAKS, self._settings.deadlines.test)
            why = (done.output.strip() or f"exit status {done.status}") if done.status else ""
        except GuestGoneError:
            why = "the machine ended during it"
        except TimeoutError:
            why = "it did not end"
        if why:
            title = f"leaked memory could not be searched for: {verdict.shortened(why)}"
            lines = (f"see {vm.machine.console}",)
            self.strays += (Splat("leak", title, "shutdown", 1, lines),)

    def _after(self, vm: Vm, why: str = "") -> None:
        """Look for splats that no test has answered for: after the last test's end.

        `why` the machine is no more, unless we have ended it: without a splat this is one.
        """
        part = files.read(vm.machine.console, testrun.LOG_LIMIT, self._log_seen)
        section = f"after {self._last}" if why else "shutdown"
        found = self._stray(part, section)
        if why and not found:
            self.strays += (Splat("gone", why, section, 1, (f"see {vm.machine.console}",)),)
        self.notes += vm.notes

    def _stray(self, part: files.Part, section: str) -> tuple[Splat, ...]:
        """The splats of a part of the log that belongs to no test."""
        found = splat.scan(files.text(part.data), self._settings.policy, section)
        if part.left_out:
            title = f"the kernel's log outgrew its limit: {part.left_out} bytes were not searched"
            found += (Splat("flood", title, section, 1, (title,)),)
        found = tuple(self._resolve(_trimmed(each)) for each in found)
        self.strays += found
        return found

    def _advance(self, test: str) -> None:
        """Start the test, or take one more look at it."""
        if self._run is None:
            self._start(test)
            return
        run = self._run
        evidence = run.poll()
        if evidence.ending is not Ending.RUNNING:
            self._conclude(run, evidence)
            return
        for item in run.wanted[:-1]:
            if item not in self._verdicts and verdict.finished(evidence, item):
                self._settle(item, verdict.of_subtest(evidence, item), evidence)

    def _start(self, test: str) -> None:
        vm = self._machine(self._tests[test].options)
        wanted = tuple(item for item in self._waiting if item.test == test)
        self._started[test] += 1
        number = self._started[test]
        suffix = f"-{number}" if number > 1 else ""
        self._run = TestRun(
            vm,
            self._tests[test],
            wanted,
            self._settings,
            vm.machine.share / f"{test}{suffix}.ktap",
            self._program.command,
            self._log_seen,
        )
        self._since = time.monotonic()
        self._run.start()

    def _conclude(self, run: TestRun, evidence: Evidence) -> None:
        """The run is over: end a machine that is not to be trusted, settle what can be settled.

        The test as a whole comes last. Where it was not asked for, the last subtest answers for
        what befell the whole.
        """
        self._run = None
        if evidence.dead and not evidence.began and self._last:
            # It has died of what it ran before; this test has yet to begin, in another one.
            self._vm = None
            run.vm.end(kill=True)
            self._after(run.vm, _ENDED if evidence.ending is Ending.GONE else _STUCK)
            return
        self._log_seen = run.end
        self._last = run.test.name
        runs = self._runs.setdefault(run.test.name, [])
        runs.append(evidence)
        if evidence.dead or evidence.hung:
            self._vm = None
            if not self._left(run.vm):
                run.vm.end(kill=True)
            if not evidence.dead:
                self._after(run.vm)
        left = [item for item in run.wanted if item not in self._verdicts]
        later = [item for item in left if item.subtest and verdict.to_be_continued(evidence, item)]
        for item in left:
            if item.subtest and item not in later:
                answers = not later and item is run.wanted[-1]
                self._settle(
                    item, self._of_subtest(evidence, item, runs if answers else ()), evidence
                )
        if not later and not run.wanted[-1].subtest:
            failed = verdict.failed_subtests(runs)
            whole = self._excuse_whole(verdict.of_test(runs), run.test.name, failed)
            self._settle(run.wanted[-1], whole)
        if not any(item.test == run.test.name for item in self._waiting):
            self._runs.pop(run.test.name)

    def _of_subtest(self, evidence: Evidence, item: Item, runs: Sequence[Evidence]) -> Verdict:
        """The verdict on a subtest, which answers for `runs` if no other item does."""
        own = verdict.of_subtest(evidence, item)
        others = (self._verdicts[other] for other in self._verdicts if other.test == item.test)
        if not runs or own.status not in verdict.FINE or verdict.failed_subtests(runs):
            return own
        if any(other.status not in verdict.FINE for other in others):
            return own
        whole = verdict.of_test(runs)
        return own if whole.status in verdict.FINE else whole

    def _excuse_whole(self, whole: Verdict, test: str, failed: Sequence[str]) -> Verdict:
        """A test of which only known failures fail is itself a known failure."""
        reached = [self._verdicts.get(Item(test, subtest)) for subtest in failed]
        if whole.status is not Status.FAIL or not reached:
            return whole
        if all(other is not None and other.status is Status.XFAIL for other in reached):
            return Verdict(Status.XFAIL, whole.message, whole.details)
        return whole

    def _settle(self, item: Item, reached: Verdict, evidence: Evidence | None = None) -> Verdict:
        """Keep a verdict. It is final."""
        now = time.monotonic()
        seconds = now - self._since if self._since else 0.0
        self._since = now
        reached = Verdict(
            reached.status,
            verdict.shortened(reached.message),
            verdict.trimmed(reached.details),
            tuple(self._resolve(_trimmed(each)) for each in reached.splats[:_MAX_SPLATS]),
            round(seconds, 3),
            round(time.time() - seconds, 3),
        )
        runs = self._runs.get(item.test, ())
        reached = self._judge(item, reached, runs)
        if reached.status not in verdict.FINE:
            reached = self._with_leads(item, reached, evidence or (runs[-1] if runs else None))
        self._verdicts[item] = reached
        if item in self._waiting:
            self._waiting.remove(item)
        return reached

    def _with_leads(self, item: Item, reached: Verdict, evidence: Evidence | None) -> Verdict:
        """A verdict that is not well, with all that helps to find out why."""
        said = failure.of_verdict(reached)
        again = self._settings.again
        return replace(
            reached,
            console=failure.excerpt(evidence.log, item.name, evidence.splats) if evidence else (),
            fingerprint=failure.fingerprint(said) if said else "",
            logs=tuple(files.shown(path) for path in (*self.consoles[-1:], *self._share)),
            again=again(self.variant, item.name) if again else "",
        )

    def _excuse_known(self, item: Item, reached: Verdict, _: Sequence[Evidence]) -> Verdict:
        return verdict.excuse(reached, self.variant, item, self._settings.known)

    def _machine(self, options: tuple[str, ...]) -> Vm:
        """The running machine if it was booted with these `options`, or else a new one.

        Raises InfraError when it does not come up.
        """
        if self._vm is not None:
            if self._vm.alive and self._vm.machine.options == options:
                return self._vm
            self.close()
        number = len(self.consoles) + 1
        suffix = f"-{number}" if number > 1 else ""
        name = f"{self.variant}{self._settings.machine}"
        share = self._settings.reports / name
        share.mkdir(parents=True, exist_ok=True)
        console = self._settings.reports / f"console-{name}{suffix}.log"
        self.consoles.append(console)
        self._share = (share,)
        machine = machine_of(
            self._kernel,
            self._paths.bzimage,
            self._program,
            share=share,
            console=console,
            accel=self._settings.accel,
            cpus=self._settings.cpus,
            options=options,
            door=standing.new_door() if self._settings.leave else None,
            debugger=self._settings.debugger,
        )
        vm = Vm(machine, self._settings.deadlines, self._settings.vng)
        self._machines.append(vm)
        try:
            vm.__enter__()
        finally:
            part = files.read(console, testrun.LOG_LIMIT)
            part = part.lines if vm.alive else part
            self._log_seen = part.end
            self._last = ""
            self._stray(part, "boot")
        self._vm = vm
        self.release = vm.release
        return vm
