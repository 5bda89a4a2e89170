"""One worker of pytest-xdist: runs its part of the plan in a machine of its own.

Loaded by `-p harness.run.worker` into every process of pytest, and idle where there is no plan.
What it has to say besides pytest's reports travels with them: `Findings` at its end, and the
verdict with each report.
"""

import pickle
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from harness import proc
from harness.report import VariantRecord
from harness.run.parity import Column
from harness.run.plan import Plan
from harness.run.plugin import Plugin, SelftestItem

PLAN = "krsi_plan"
FINDINGS = "krsi_findings"
VERDICT = "krsi_verdict"


@dataclass(frozen=True)
class Findings:
    """What a worker knows at its end.

    Attributes:
        records: of its machines; their verdicts have come before.
        outcomes: what became of subtests that are no items, see suites.Suite.
    """

    records: tuple[VariantRecord, ...]
    outcomes: Mapping[str, Column]


class Worker:
    """Hands on what `crew` finds out."""

    def __init__(self, plan: Plan, crew: Plugin) -> None:
        """`crew` runs the items of `plan`."""
        self._plan = plan
        self._crew = crew

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Give the verdict to the report."""
        report = yield
        if isinstance(item, SelftestItem) and item.verdict is not None and call.when == "call":
            setattr(report, VERDICT, pickle.dumps(item.verdict))
        return report

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """The machines have ended by now: say how."""
        findings = Findings(tuple(self._crew.records({})), self._plan.suite.outcomes())
        output: dict[str, Any] = session.config.workeroutput  # type: ignore[attr-defined]
        output[FINDINGS] = pickle.dumps(findings)


def pytest_configure(config: pytest.Config) -> None:
    """In a worker, take the plan and get ready."""
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    if given is None:
        return
    proc.end_on_signals()
    whole: Plan = pickle.loads(given[PLAN])  # noqa: S301 - our own parent has made it
    plan = whole.in_machine(f"-{given['workerid']}")
    crew = Plugin(plan.items, plan.suite.tests, plan.session, repeat=plan.repeat, order=plan.order)
    config.pluginmanager.register(crew)
    config.pluginmanager.register(Worker(plan, crew))
