"""pytest's side: every C test and every subtest is one item, run in its variant's machine.

pytest brings -k, -x, the live lines, the summary and JUnit; this module brings the items and
turns a `Verdict` into what pytest calls an outcome.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.model import Status
from harness.report import VariantRecord
from harness.run.parity import Column
from harness.run.plan import entries
from harness.run.selftests import Item, Selftest
from harness.run.session import VariantSession
from harness.verdicts import failure
from harness.verdicts.rounds import Round
from harness.verdicts.verdict import Verdict

_STATUS = "status"
_LETTERS = {
    Status.CRASH: "C",
    Status.HANG: "H",
    Status.SPLAT: "S",
    Status.FLOOD: "O",
    Status.MISS: "M",
    Status.FAIL: "F",
}


class VerdictError(Exception):
    """A verdict that is not a pass, on its way to pytest's report."""

    def __init__(self, verdict: Verdict) -> None:
        """Carry `verdict`."""
        super().__init__(verdict.message)
        self.verdict = verdict


class SelftestItem(pytest.Item):
    """One item of one variant."""

    def __init__(
        self,
        *,
        plugin: "Plugin",
        item: Item,
        variant: str,
        number: int = 1,
        **kwargs: Any,  # noqa: ANN401 - whatever pytest.Item takes
    ) -> None:
        """`plugin` knows the verdict on `item` in the round `number`."""
        super().__init__(**kwargs)
        self.plugin = plugin
        self.item = item
        self.variant = variant
        self.number = number
        self.verdict: Verdict | None = None

    def runtest(self) -> None:
        """Wait for the verdict."""
        verdict = self.plugin.verdict(self)
        self.verdict = verdict
        self.user_properties += [
            ("variant", self.variant),
            *([("round", self.number)] if self.plugin.repeat > 1 else []),
            (_STATUS, verdict.status.value),
            ("seconds", verdict.seconds),
        ]
        if verdict.status is Status.SKIP:
            pytest.skip(verdict.message)
        if verdict.status is Status.XFAIL:
            pytest.xfail(verdict.message)
        if verdict.status is not Status.PASS:
            raise VerdictError(verdict)

    def repr_failure(
        self,
        excinfo: pytest.ExceptionInfo[BaseException],
        *_: Any,  # noqa: ANN401 - a style, which is ours
    ) -> str:
        """What is shown below the live lines."""
        if isinstance(excinfo.value, VerdictError):
            return failure.explain(excinfo.value.verdict)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where the item comes from."""
        return self.path, None, self.name


def test_status(
    report: pytest.TestReport | pytest.CollectReport,
) -> tuple[str, str, str] | None:
    """What pytest is to call a failure: by its verdict."""
    if not isinstance(report, pytest.TestReport) or report.when != "call" or not report.failed:
        return None
    status = Status(dict(report.user_properties).get(_STATUS, Status.FAIL.value))
    return "failed", _LETTERS.get(status, "F"), status.name


def summarise(terminal: pytest.TerminalReporter, records: Sequence[VariantRecord]) -> None:
    """What concerns whole variants: splats outside of tests, phases that overran, errors."""
    for record in records:
        for found in record.strays:
            terminal.section(f"{record.name}: splat during {found.section}", red=True)
            terminal.write("\n".join(failure.describe(found)) + "\n")
        for note in filter(None, (*record.notes, record.error)):
            terminal.write_line(f"{record.name}: {note}")
    for said, names in failure.repeated(_crashes(records)).items():
        terminal.section(
            f"the same crash {len(names)} times: {failure.fingerprint(said)}", red=True
        )
        terminal.write_line(said)
        for name in names:
            terminal.write_line(f"  {name}")


def _crashes(records: Sequence[VariantRecord]) -> Iterator[tuple[str, str]]:
    """Whatever has crashed or complained in any round, and how."""
    for record in records:
        rounds = (*record.earlier, record.verdicts)
        for number, verdicts in enumerate(rounds, 1):
            suffix = f"#{number}" if len(rounds) > 1 else ""
            for item, reached in verdicts.items():
                yield f"{item.name}[{record.name}{suffix}]", failure.of_verdict(reached)
        for stray in record.strays:
            yield f"{stray.section}[{record.name}], outside of a test", failure.signature(stray)


class Plugin:
    """Collects the items and hands out the verdicts of `sessions`, one by variant."""

    def __init__(
        self,
        items: Mapping[str, Sequence[Item]],
        tests: Sequence[Selftest],
        make: Callable[[str, Sequence[Item]], VariantSession] | None,
        *,
        repeat: int = 1,
        until_fail: bool = False,
        order: Sequence[str] = (),
    ) -> None:
        """Take what is wanted by variant, and `make(variant, items)` for a variant's session.

        Without `make` items can be collected and not run. All is run `repeat` times; with
        `until_fail` the round in which something fails is the last one. `order` names all items
        in the order in which they run, if it is not that of the sources.
        """
        self._order = {name: place for place, name in enumerate(order)}
        self.repeat = repeat
        self._until_fail = until_fail
        self._numbers = dict.fromkeys(items, 1)
        self._wanted = items
        self._options = {test.name: test.options for test in tests}
        self._make = make
        self.sessions: dict[str, VariantSession] = {}

    def verdict(self, item: SelftestItem) -> Verdict:
        """The verdict on an item; a variant's machine ends before that of the next one boots."""
        for name, session in self.sessions.items():
            if name != item.variant:
                session.close()
        if self._numbers[item.variant] != item.number:
            self._numbers[item.variant] = item.number
            self.sessions[item.variant].next_round()
        return self.sessions[item.variant].verdict(item.item)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool:
        """Make the items; there are no files for pytest to look at."""
        every = entries(self._wanted, self.repeat, self._options)
        if self._order:
            every.sort(key=lambda entry: self._order[entry.id])
        session.items = [
            SelftestItem.from_parent(
                session,
                name=entry.id,
                nodeid=entry.id,
                plugin=self,
                item=entry.item,
                variant=entry.variant,
                number=entry.number,
            )
            for entry in every
        ]
        hook = session.config.hook
        hook.pytest_collectreport(
            report=pytest.CollectReport("", "passed", None, list(session.items))
        )
        hook.pytest_collection_modifyitems(
            session=session, config=session.config, items=session.items
        )
        hook.pytest_collection_finish(session=session)
        session.testscollected = len(session.items)
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """At the end of a round, see whether it was the last one."""
        answer = yield
        if self._until_fail and isinstance(item, SelftestItem) and item.session.testsfailed:
            ends = not isinstance(nextitem, SelftestItem) or nextitem.number != item.number
            if ends and nextitem is not None:
                item.session.shouldfail = f"round {item.number} failed"
        return answer

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Now it is known what is left after -k: prepare a session for each variant."""
        chosen: dict[str, list[Item]] = {}
        for item in session.items:
            if isinstance(item, SelftestItem):
                chosen.setdefault(item.variant, []).append(item.item)
        if self._make is not None:
            self.sessions = {
                name: self._make(name, tuple(dict.fromkeys(items)))
                for name, items in chosen.items()
            }

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """The test's own time, without the boot of its machine; the test's own place."""
        report = yield
        if isinstance(item, SelftestItem) and item.verdict is not None and call.when == "call":
            report.duration = item.verdict.seconds
            if item.verdict.status is Status.SKIP:
                reason = f"Skipped: {item.verdict.message}"
                report.longrepr = (item.name, None, reason)  # type: ignore[assignment]
        return report

    def pytest_report_teststatus(
        self, report: pytest.TestReport | pytest.CollectReport
    ) -> tuple[str, str, str] | None:
        """Say CRASH, HANG, SPLAT and MISS where pytest would say FAILED."""
        return test_status(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """No machine outlives the session."""
        for session in self.sessions.values():
            session.close()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """What concerns a whole variant."""
        summarise(terminalreporter, self.records({}))

    @property
    def ran(self) -> bool:
        """Whether there was anything to run."""
        return bool(self.sessions)

    def kill(self) -> None:
        """End every machine at once."""
        for session in self.sessions.values():
            session.kill()

    def outcomes(self) -> Iterator[Mapping[str, Column]]:
        """The suite, in this process, knows them itself."""
        return iter(())

    def rounds(self) -> dict[str, tuple[Round, ...]]:
        """What every round has reached, by kernel."""
        return {name: session.rounds for name, session in self.sessions.items()}

    def records(self, manifests: Mapping[str, Mapping[str, Any]]) -> list[VariantRecord]:
        """What the report says about each variant. What never got a verdict is MISS."""
        return [
            VariantRecord(
                name=name,
                release=session.release,
                error=str(session.error or ""),
                notes=tuple(session.notes),
                consoles=tuple(session.consoles),
                verdicts=session.complete(),
                strays=tuple(session.strays),
                manifest=manifests.get(name, {}),
                earlier=session.rounds[:-1],
                machines=session.machines,
            )
            for name, session in self.sessions.items()
        ]
