"""How much longer our machine takes to its first test than a bare `vng --run` takes to a command.

Both boot the same kernel with the same accelerator, memory and number of CPUs, in turn, so that
what else the host does befalls both. A bare boot is over when its command runs, not when vng has
ended, which is later: the stricter of the two.
"""

import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InfraError
from harness.machine.vm import Accel, Deadlines, Machine, Vm, bare_argv
from harness.model import BuildPaths, Variant
from harness.run.selftests import Selftest
from harness.run.session import Program, machine_of
from harness.run.testrun import Settings, TestRun
from harness.verdicts import splat

_TEST = Selftest("bench_build", (), Path(__file__))
"""Stands for the first test: it begins as every test does and then does nothing."""
_POLL = 0.005


@dataclass(frozen=True)
class Boots:
    """What was measured, in seconds from the start of vng, in the order of the boots.

    Attributes:
        ours: until the first test began.
        bare: until a bare boot ran its command.
        ended: until vng had ended after that.
    """

    ours: tuple[float, ...]
    bare: tuple[float, ...]
    ended: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Our median over that of the bare boots."""
        return statistics.median(self.ours) / statistics.median(self.bare)


@dataclass(frozen=True)
class Plan:
    """What is booted.

    Attributes:
        variant: which kernel.
        paths: where it lies.
        accel: who executes the guest.
        vng: virtme-ng's command.
        folder: for logs; what lies there is deleted.
        told: gets one line about each boot.
    """

    variant: Variant
    paths: BuildPaths
    accel: Accel
    vng: Path
    folder: Path
    told: Callable[[str], None]

    @property
    def deadlines(self) -> Deadlines:
        """Those of a test session."""
        return Deadlines.for_accel(self.accel, patience=self.variant.patience)

    def machine(self, name: str) -> Machine:
        """The machine of a test session, its console in a file called `name`.log."""
        return machine_of(
            self.variant,
            self.paths.bzimage,
            Program((), self.paths.bin),
            share=self.folder,
            console=self.folder / f"{name}.log",
            accel=self.accel,
        )


def compare(plan: Plan, rounds: int) -> Boots:
    """Boot ours, bare, ours, bare, … and measure.

    Raises:
        InfraError: a machine did not come up, or not as far as its test.
    """
    shutil.rmtree(plan.folder, ignore_errors=True)
    plan.folder.mkdir(parents=True)
    ours: list[float] = []
    bare: list[tuple[float, float]] = []
    for number in range(1, rounds + 1):
        ours.append(_ours(plan, f"ours-{number}"))
        plan.told(f"ours, {number} of {rounds}: {ours[-1]:.1f} s")
        bare.append(_bare(plan, f"bare-{number}"))
        plan.told(f"bare, {number} of {rounds}: {bare[-1][0]:.1f} s")
    return Boots(tuple(ours), tuple(first for first, _ in bare), tuple(last for _, last in bare))


def _ours(plan: Plan, name: str) -> float:
    """Seconds until the first test begins, by the line that says so in the kernel's log."""
    settings = Settings(
        vng=plan.vng,
        accel=plan.accel,
        deadlines=plan.deadlines,
        policy=splat.Policy((), ()),
        known=(),
        reports=plan.folder,
    )
    started = time.monotonic()
    with Vm(plan.machine(name), plan.deadlines, plan.vng) as vm:
        report = plan.folder / f"{name}.ktap"
        run = TestRun(vm, _TEST, _TEST.items, settings, report, ("true",), offset=0)
        run.start()
        _await_begin(vm.machine.console, plan.deadlines.test)
        return time.monotonic() - started


def _await_begin(log: Path, timeout: float) -> None:
    stop = time.monotonic() + timeout
    while _TEST.name not in splat.markers(log.read_text("utf-8", "replace")):
        if time.monotonic() > stop:
            raise InfraError(f"the machine booted, but no test began within {timeout:.0f} s: {log}")
        time.sleep(_POLL)


def _bare(plan: Plan, name: str) -> tuple[float, float]:
    """Seconds until a bare boot runs its command, and until vng has ended."""
    started = time.monotonic()
    with Vm(plan.machine(name), plan.deadlines, plan.vng, bare_argv) as vm:
        up = time.monotonic() - started
        try:
            vm.channel.drain(plan.deadlines.shutdown)
        except TimeoutError as error:
            raise InfraError(
                f"a bare boot ran its command and did not end within "
                f"{plan.deadlines.shutdown:.0f} s: see `vng --run {plan.paths.bzimage} -- true`"
            ) from error
        return up, time.monotonic() - started
