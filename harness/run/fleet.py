"""Several machines at once: pytest-xdist's controller, told which worker runs what.

Every worker collects the same items, in the same order; the scheduler hands out whole tests. What
the workers find is put together here as if one machine had run it all.
"""

import os
import pickle
import queue
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest
from xdist.dsession import Interrupted
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from harness.model import Status
from harness.report import VariantRecord
from harness.run import plugin
from harness.run.balance import Entry
from harness.run.plan import Plan
from harness.run.selftests import Item
from harness.run.worker import FINDINGS, PLAN, VERDICT, Findings
from harness.verdicts.rounds import Round
from harness.verdicts.verdict import Verdict

_PATIENCE = 30.0
"""Seconds until a worker that was asked to end has ended its machine."""

_NEVER_RAN = Verdict(Status.MISS, "did not run: the session ended before")
_LOST = Verdict(Status.MISS, "no result: the process that ran it ended before")


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out units, in the order of collection."""

    def __init__(self, config: pytest.Config, log: Any, unit_of: Mapping[str, str]) -> None:  # noqa: ANN401 - xdist's own
        """`unit_of` names the unit of each item."""
        super().__init__(config, log)
        self._unit_of = unit_of

    def _split_scope(self, nodeid: str) -> str:
        """Which unit an item belongs to."""
        return self._unit_of[nodeid]

    def remove_node(self, node: WorkerController) -> str | None:
        """A worker has died: what it had begun is lost, what it had not goes to others.

        xdist would run the rest of a unit that has begun. A second run may hide how the first one
        ended.
        """
        units = self.assigned_work[node].values()
        begun = next((unit for unit in units if not all(unit.values())), None)
        if begun is None:
            super().remove_node(node)
            return None
        crashed: str = next(name for name, done in begun.items() if not done)
        begun.update(dict.fromkeys(begun, True))
        super().remove_node(node)
        return crashed

    def drop(self, names: set[str]) -> list[str]:
        """Forget the units of which `names` are a part, unless a worker has them already."""
        gone = [unit for unit, items in self.workqueue.items() if names & items.keys()]
        return [name for unit in gone for name in self.workqueue.pop(unit)]


class Fleet:
    """The controller's side. Stands where `Plugin` stands when there is one machine."""

    def __init__(
        self, plan: Plan, units: Mapping[str, Sequence[str]], *, until_fail: bool = False
    ) -> None:
        """`units` are the names of items that one machine runs one after the other."""
        self._plan = plan
        self._units = {name: unit for unit, names in units.items() for name in names}
        self._until_fail = until_fail
        self._entries: dict[str, Entry] = {entry.id: entry for entry in plan.entries()}
        self._wanted: dict[str, None] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._findings: list[Findings] = []
        self._nodes: list[WorkerController] = []
        self._ended: set[WorkerController] = set()
        self._scheduler: Scheduler | None = None
        self._interrupted = False
        self._stopped = False

    # pytest and xdist call these.

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """A line for each result is enough: none for each start."""
        xdist = session.config.pluginmanager.get_plugin("dsession")
        xdist.worker_logstart = lambda **_: None  # type: ignore[union-attr]

    def pytest_configure_node(self, node: WorkerController) -> None:
        """Give a worker the plan."""
        node.workerinput[PLAN] = pickle.dumps(self._plan)
        self._nodes.append(node)

    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: object) -> Scheduler:
        """Ours."""
        self._scheduler = Scheduler(config, log, self._units)
        return self._scheduler

    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Now it is known what is left after -k."""
        if not self._wanted:
            self._wanted = dict.fromkeys(ids)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a verdict, before it is shown: an interrupt may come in between.

        A report without one is of a worker that has died.
        """
        entry = self._entries.get(report.nodeid)
        given = getattr(report, VERDICT, None)
        if entry is None or (given is None and not report.failed):
            return
        self._verdicts[entry.id] = pickle.loads(given) if given else _LOST  # noqa: S301 - our own child has made it
        if report.failed and self._until_fail and self._scheduler is not None:
            later = {each.id for each in self._entries.values() if each.number > entry.number}
            for name in self._scheduler.drop(later):
                self._wanted.pop(name, None)

    def pytest_testnodedown(self, node: WorkerController, error: object) -> None:
        """Take what a worker has left."""
        del error
        self._ended.add(node)
        left = getattr(node, "workeroutput", {}).get(FINDINGS)
        if left is not None:
            self._findings.append(pickle.loads(left))  # noqa: S301 - our own child has made it

    def pytest_report_teststatus(
        self, report: pytest.TestReport | pytest.CollectReport
    ) -> tuple[str, str, str] | None:
        """As with one machine."""
        return plugin.test_status(report)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """After -x xdist ends by an interrupt, too; that one nobody has sent."""
        self._stopped = isinstance(excinfo.value, Interrupted)
        self._interrupted = not self._stopped

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Interrupted: have the workers end their machines, and take what they still say."""
        if self._stopped and session.exitstatus == pytest.ExitCode.INTERRUPTED:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self._interrupted:
            self._signal(signal.SIGTERM)
            self._drain(session.config)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """As with one machine."""
        plugin.summarise(terminalreporter, self.records({}))

    def _drain(self, config: pytest.Config) -> None:
        events: queue.Queue[Any] = config.pluginmanager.get_plugin("dsession").queue  # type: ignore[union-attr]
        stop = time.monotonic() + _PATIENCE
        while set(self._nodes) - self._ended and time.monotonic() < stop:
            with suppress(queue.Empty):
                name, values = events.get(timeout=0.2)
                if name == "testreport":
                    config.hook.pytest_runtest_logreport(report=values["rep"])
                elif name in ("workerfinished", "errordown"):
                    self.pytest_testnodedown(values["node"], None)

    def _signal(self, number: signal.Signals) -> None:
        for node in set(self._nodes) - self._ended:
            # execnet has no other way to tell.
            child = node.gateway._io.popen  # noqa: SLF001
            if child.poll() is None:
                os.kill(child.pid, number)

    # run_tests.py calls these.

    @property
    def ran(self) -> bool:
        """Whether there was anything to run."""
        return bool(self._wanted)

    def kill(self) -> None:
        """End the workers, should one be left: its machine does not outlive it."""
        self._signal(signal.SIGKILL)

    def outcomes(self) -> Iterator[Mapping[str, Any]]:
        """What each worker's suite has found out besides verdicts."""
        return (found.outcomes for found in self._findings)

    def rounds(self) -> dict[str, tuple[Round, ...]]:
        """What every round has reached, by kernel."""
        return {name: self._rounds(name, complete=False) for name in self._variants()}

    def records(self, manifests: Mapping[str, Mapping[str, Any]]) -> list[VariantRecord]:
        """One record by kernel, put together from those of the workers."""
        return [self._record(name, manifests.get(name, {})) for name in self._variants()]

    def _variants(self) -> list[str]:
        return list(dict.fromkeys(self._entries[name].variant for name in self._wanted))

    def _record(self, variant: str, manifest: Mapping[str, Any]) -> VariantRecord:
        parts = [each for found in self._findings for each in found.records if each.name == variant]
        *earlier, last = self._rounds(variant, complete=True)
        return VariantRecord(
            name=variant,
            release=next((part.release for part in parts if part.release), ""),
            error=next((part.error for part in parts if part.error), ""),
            notes=tuple(note for part in parts for note in part.notes),
            consoles=tuple(sorted(console for part in parts for console in part.consoles)),
            verdicts=last,
            strays=tuple(stray for part in parts for stray in part.strays),
            manifest=manifest,
            earlier=tuple(earlier),
            machines=tuple(life for part in parts for life in part.machines),
        )

    def _rounds(self, variant: str, *, complete: bool) -> tuple[dict[Item, Verdict], ...]:
        """The verdicts of each round, in the order of the sources; MISS where there is none."""
        found: dict[int, dict[Item, Verdict]] = {}
        for entry in self._entries.values():
            if entry.variant != variant or entry.id not in self._wanted:
                continue
            reached = self._verdicts.get(entry.id, _NEVER_RAN if complete else None)
            verdicts = found.setdefault(entry.number, {})
            if reached is not None:
                verdicts[entry.item] = reached
        return tuple(found.values())
