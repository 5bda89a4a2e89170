"""What is to be run and how, so complete that another process can run its part of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from harness import report
from harness.machine import debugger, vm
from harness.model import VARIANTS, BuildPaths
from harness.run.balance import Entry
from harness.run.selftests import Item
from harness.run.session import Program, VariantSession
from harness.run.suites import Suite
from harness.run.testrun import Settings


@dataclass(frozen=True)
class Plan:
    """Everything that a process needs to know to run items.

    Attributes:
        suite: whose tests, and who judges them.
        items: what is wanted of each kernel.
        programs: what runs the tests on each kernel.
        settings: of every machine.
        accelerator: who executes the guests, and why.
        timeout: for one test, in seconds; None leaves it to the kernel's patience.
        repeat: how many rounds.
        order: pytest's names in the order in which they are to run; () leaves it to `items`.
    """

    suite: Suite
    items: Mapping[str, Sequence[Item]]
    programs: Mapping[str, Program]
    settings: Settings
    accelerator: str = ""
    timeout: float | None = None
    repeat: int = 1
    order: tuple[str, ...] = ()

    def session(self, variant: str, chosen: Sequence[Item]) -> VariantSession:
        """A session that boots nothing before it is asked for a verdict."""
        kernel = VARIANTS[variant]
        paths = BuildPaths.of(variant)
        settings = self.settings
        deadlines = vm.Deadlines.for_accel(settings.accel, self.timeout, kernel.patience)
        if settings.debugger is not None:
            deadlines = replace(deadlines, boot=debugger.FOREVER)
        return VariantSession(
            kernel,
            paths,
            chosen,
            self.suite.tests,
            settings=replace(settings, deadlines=deadlines),
            program=self.programs[variant],
            judge=self.suite.judge(variant),
            resolve=report.Resolver(paths.vmlinux),
        )

    def entries(self) -> list[Entry]:
        """Every item of every round on every kernel, as pytest gets to see it."""
        options = {test.name: test.options for test in self.suite.tests}
        return entries(self.items, self.repeat, options)

    def in_machine(self, name: str) -> Self:
        """The plan of a process whose machines are called `name`, to be told from others."""
        return replace(self, settings=replace(self.settings, machine=name))


def entries(
    items: Mapping[str, Sequence[Item]], repeat: int, options: Mapping[str, tuple[str, ...]]
) -> list[Entry]:
    """Every item of every round on every kernel; `options` are those of each test's machine."""
    return [
        Entry(_id(item, variant, number, repeat), variant, number, item, options[item.test])
        for variant, wanted in items.items()
        for number in range(1, repeat + 1)
        for item in wanted
    ]


def _id(item: Item, variant: str, number: int, repeat: int) -> str:
    """The name that pytest shows; a number tells rounds apart."""
    return f"{item.name}[{variant}{f'#{number}' if repeat > 1 else ''}]"
