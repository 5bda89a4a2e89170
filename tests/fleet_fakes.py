"""A plan whose machines are made up, importable by the workers of pytest-xdist."""

import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import InfraError
from harness.machine.vm import Deadlines
from harness.model import ROOT, Life, Status
from harness.run.parity import Column, Outcome
from harness.run.plan import Plan
from harness.run.selftests import Item, Selftest
from harness.run.testrun import Settings
from harness.verdicts.splat import Policy, Splat
from harness.verdicts.verdict import Verdict

TESTS = tuple(
    Selftest(f"lsm_{name}", ("a", "b"), ROOT / f"lsm_{name}.c")
    for name in ("one", "two", "three", "four")
)


@dataclass
class FakeSuite:
    """Tests without anything that could run them."""

    tests: tuple[Selftest, ...] = TESTS
    name: str = "krsi"
    columns: dict[str, Column] = field(default_factory=dict)

    def outcomes(self) -> dict[str, Column]:
        return self.columns

    def learn(self, outcomes: Mapping[str, Column]) -> None:
        for variant, column in outcomes.items():
            self.columns.setdefault(variant, {}).update(column)


@dataclass
class FakeSession:
    """Hands out verdicts by what the plan says, and writes down who ran what."""

    plan: "FakePlan"
    variant: str
    items: Sequence[Item]
    release: str = "6.12.1"
    error: InfraError | None = None
    notes: list[str] = field(default_factory=list)
    consoles: list[Path] = field(default_factory=list)
    strays: tuple[Splat, ...] = ()
    number: int = 1
    machines: tuple[Life, ...] = ()

    @property
    def rounds(self) -> tuple[dict[Item, Verdict], ...]:
        return ({},)

    @property
    def _where(self) -> str:
        return f"{self.variant}{self.plan.settings.machine}"

    def _write(self, what: str) -> None:
        with (self.plan.settings.reports / "ran").open("a") as file:
            file.write(json.dumps([self._where, self.number, what]) + "\n")

    def verdict(self, item: Item) -> Verdict:
        console = self.plan.settings.reports / f"console-{self._where}.log"
        if console not in self.consoles:
            self.consoles.append(console)
        self._write(item.name)
        deed = self.plan.deeds.get(item.name, "")
        if deed == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if deed == "wait":
            time.sleep(60)
        if deed == "slow":
            time.sleep(0.3)
        if deed == "fail":
            return Verdict(Status.FAIL, "bad", ("why",), seconds=0.5)
        name = f"{item.test}/reported"
        self.plan.suite.learn({self.variant: {name: Outcome(Status.PASS, "")}})
        return Verdict(Status.PASS, seconds=0.5)

    def next_round(self) -> None:
        self.number += 1

    def complete(self) -> dict[Item, Verdict]:
        return {}

    def close(self) -> None:
        self._write("closed")

    kill = close


@dataclass(frozen=True)
class FakePlan(Plan):
    """A plan that boots nothing.

    Attributes:
        deeds: what an item does besides passing: die, wait, slow, fail.
    """

    deeds: Mapping[str, str] = field(default_factory=dict)

    def session(self, variant: str, chosen: Sequence[Item]) -> Any:
        return FakeSession(self, variant, chosen)


def make(
    folder: Path,
    *,
    variants: Sequence[str] = ("krsi",),
    deeds: Mapping[str, str] | None = None,
    repeat: int = 1,
) -> FakePlan:
    """A plan for all of `TESTS`."""
    settings = Settings(Path("vng"), "tcg", Deadlines(1, 1), Policy((), ()), (), folder)
    items = tuple(item for test in TESTS for item in test.items)
    return FakePlan(
        suite=FakeSuite(),  # type: ignore[arg-type]
        items=dict.fromkeys(variants, items),
        programs={},
        settings=settings,
        repeat=repeat,
        deeds=deeds or {},
    )
