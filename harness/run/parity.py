"""What passes on `upstream` must pass on every other kernel: the comparison, and its table. Pure.

The items of the suite `upstream` are tests as a whole; which subtests they have shows in what they
report. Each subtest is compared; policy/parity.txt lists, with a reason, what may fail where.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.errors import UsageError
from harness.model import Status
from harness.run.selftests import Item, Selftest
from harness.verdicts.verdict import ANY, FINE, Evidence, KnownFailure, Verdict, of_subtest

BASE = "upstream"
POLICY = "policy/parity.txt"

_LOADED = re.compile(r"libbpf: prog '(?P<prog>[^']*)': BPF program load failed: (?P<error>.*)")
_LIBBPF = re.compile(r"libbpf: .*\b(?:failed|[Ff]ail(?:ed)? to|[Ee]rror|not found)\b.*")
_LOG_ENDS = re.compile(r"processed \d+ insns|-- END PROG LOAD LOG --")
_FAILED = re.compile(r"(?:\S+:\d+: )?(?P<what>\S.*:FAIL:.*)")
_WIDTH = 150
_NAMES = 5


@dataclass(frozen=True)
class Outcome:
    """What became of a test or a subtest on one kernel; `why` is one line, "" for a pass."""

    status: Status
    why: str = ""


Column = dict[str, Outcome]
"""The outcomes on one kernel, by NAME or NAME/SUBTEST."""


def why(verdict: Verdict) -> str:
    """The one line that tells most about a verdict that is no pass.

    What the verifier or libbpf said explains an assertion, which explains the verdict.
    """
    if verdict.status is Status.PASS:
        return ""
    if verdict.splats or verdict.status is not Status.FAIL:
        return verdict.message
    lines = verdict.details
    failed = next((match["what"] for line in lines if (match := _FAILED.match(line))), "")
    found = " <- ".join(filter(None, (failed, _cause(lines))))
    return found[:_WIDTH] or verdict.message


def _cause(lines: Sequence[str]) -> str:
    for number, line in enumerate(lines):
        if match := _LOADED.match(line):
            said = [text for text in _verifier_log(lines[number + 1 :]) if text.strip()]
            return f"{match['prog']}: {match['error']}" + (f": {said[-1]}" if said else "")
    return next((line for line in lines if _LIBBPF.match(line)), "")


def _verifier_log(lines: Iterable[str]) -> Iterable[str]:
    """The lines between the markers of libbpf, without the verifier's statistics."""
    begun = False
    for line in lines:
        if begun and _LOG_ENDS.search(line):
            return
        if begun:
            yield line
        begun = begun or "-- BEGIN PROG LOAD LOG --" in line


def outcomes(item: Item, reached: Verdict, runs: Sequence[Evidence]) -> Column:
    """The outcome of a test and of each subtest that it reported or had begun."""
    column = {item.test: Outcome(reached.status, why(reached))}
    for run in runs:
        reported = [sub.name for sub in run.own.results] if run.own is not None else []
        for name in filter(None, (*reported, run.running)):
            subtest = of_subtest(run, Item(item.test, name))
            column[f"{item.test}/{name}"] = Outcome(subtest.status, why(subtest))
    return column


def judge(
    item: Item,
    reached: Verdict,
    seen: Column,
    baseline: Column,
    reasons: Mapping[str, str],
    *,
    lapsed: Mapping[str, str] | None = None,
) -> Verdict:
    """The verdict on a test in view of the baseline and of the policy.

    Args:
        item: the test as a whole.
        reached: the verdict on it, taken alone.
        seen: the outcomes of the test and its subtests.
        baseline: their outcomes on `upstream`; empty where there is nothing to compare with.
        reasons: the policy's entries for this kernel and this test, by name.
        lapsed: what is to be said of those that have expired.

    Returns:
        FAIL for every deviation from baseline and policy, XFAIL where the policy has a reason for
        each failure; a crash, a hang, a splat and a missing result are never excused.
    """
    if reached.status not in (*FINE, Status.FAIL):
        return reached
    failed = [name for name in seen if name != item.test and seen[name].status not in FINE]
    if not failed and reached.status not in FINE:
        failed = [item.test]
    excused = [name for name in failed if name in reasons and seen[name].status is Status.FAIL]
    lost = [name for name in _lost(baseline, seen) if name not in reasons]
    unexplained = [name for name in failed if name not in (*excused, *lost)]
    expired = lapsed or {}
    listed = (*reasons, *expired)
    stale = [name for name in listed if _status(seen, name) in (None, Status.PASS)]
    problems = [
        *_say(f"passes on {BASE}, not here", lost),
        *_say("fails without a reason in " + POLICY, unexplained),
        *dict.fromkeys(expired[name] for name in (*lost, *unexplained) if name in expired),
        *_say(f"listed in {POLICY} and does not fail", stale),
    ]
    whys = tuple(f"{name}: {seen[name].why}" for name in failed if name != item.test)
    details = (*whys, *reached.details)
    if problems:
        return replace(reached, status=Status.FAIL, message="; ".join(problems), details=details)
    if failed:
        given = "; ".join(dict.fromkeys(reasons[name] for name in excused))
        return replace(reached, status=Status.XFAIL, message=given, details=details)
    return reached


def _status(column: Column, name: str) -> Status | None:
    return column[name].status if name in column else None


def _lost(baseline: Column, seen: Column) -> list[str]:
    """What passes in `baseline` and not in `seen`; a test only where no subtest of it says more."""
    lost = [
        name
        for name, outcome in baseline.items()
        if outcome.status is Status.PASS and _status(seen, name) is not Status.PASS
    ]
    failed = {name for name, outcome in seen.items() if outcome.status not in FINE}
    explained = {name.partition("/")[0] for name in (*lost, *failed) if "/" in name}
    return [name for name in lost if name not in explained]


def _say(what: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return [f"{what}: {', '.join(names[:_NAMES])}{more}"]


@dataclass
class Comparison:
    """Collects the outcomes on each kernel; the baseline has to come first.

    Attributes:
        known: the policy.
        columns: the outcomes so far, by kernel.
    """

    known: tuple[KnownFailure, ...]
    columns: dict[str, Column] = field(default_factory=dict)

    def judge(
        self, variant: str, item: Item, reached: Verdict, runs: Sequence[Evidence]
    ) -> Verdict:
        """Note the outcomes of a test, and return the verdict on it."""
        seen = outcomes(item, reached, runs)
        baseline = self._of_test(BASE, item.test) if variant != BASE else {}
        self.columns.setdefault(variant, {}).update(seen)
        entries = self._entries(variant, item.test)
        lapsed = {entry.name: entry.lapsed for entry in entries if entry.lapsed}
        return judge(item, reached, seen, baseline, self.reasons(variant, item.test), lapsed=lapsed)

    def reasons(self, variant: str, test: str) -> dict[str, str]:
        """What may fail of a test on a kernel."""
        entries = self._entries(variant, test)
        return {entry.name: entry.reason for entry in entries if not entry.lapsed}

    def _entries(self, variant: str, test: str) -> tuple[KnownFailure, ...]:
        """What the policy says of a test on a kernel."""
        return tuple(
            entry
            for entry in self.known
            if entry.variant in (ANY, variant) and entry.name.partition("/")[0] == test
        )

    def _of_test(self, variant: str, test: str) -> Column:
        return {
            name: outcome
            for name, outcome in self.columns.get(variant, {}).items()
            if name.partition("/")[0] == test
        }

    def table(self, *, full: bool) -> list[str]:
        """One line for each test and subtest, one column for each kernel, and why.

        Args:
            full: give every subtest a line; otherwise those that pass on every kernel are counted
                in their test's line, and those that fared alike share one.
        """
        every = dict.fromkeys(name for column in self.columns.values() for name in column)
        groups: dict[tuple[str, ...], list[str]] = {}
        for name in sorted(every, key=_order):
            groups.setdefault(self._group(name, full=full), []).append(name)
        rows = [
            (_title(names), [self._cell(variant, names[0]) for variant in self.columns], names[0])
            for names in groups.values()
        ]
        width = max((len(title) for title, _, _ in rows), default=0)
        widths = [max(len(variant), 5) for variant in self.columns]
        lines = [f"  {'':{width}}  {_spread(self.columns, widths)}".rstrip()]
        for title, cells, name in rows:
            mark = "!" if len({*cells}) > 1 else " "
            row = f"{mark} {title:{width}}  {_spread(cells, widths)}  {self._remark(name)}"
            lines.append(row.rstrip())
        return lines

    def _group(self, name: str, *, full: bool) -> tuple[str, ...]:
        """What the names that share a line of the table have in common."""
        test = name.partition("/")[0]
        if full or name == test:
            return (name,)
        if self._all_pass(name):
            return (test,)
        cells = (self._cell(variant, name) for variant in self.columns)
        return (test, *cells, self._remark(name))

    def _all_pass(self, name: str) -> bool:
        return all(_status(column, name) is Status.PASS for column in self.columns.values())

    def _cell(self, variant: str, name: str) -> str:
        status = _status(self.columns[variant], name)
        return status.name if status else "-"

    def _remark(self, name: str) -> str:
        """The policy's reason, otherwise what went wrong; of several kernels the last one's."""
        for variant in reversed(self.columns):
            outcome = self.columns[variant].get(name)
            if outcome is not None and outcome.status is not Status.PASS:
                return self._allowed(variant, name).strip() or outcome.why
        return ""

    def _allowed(self, variant: str, name: str) -> str:
        reason = self.reasons(variant, name.partition("/")[0]).get(name)
        return f"  (allowed: {reason})" if reason else ""

    def summary(self) -> list[str]:
        """The table, and below it how many outcomes each kernel has, and what differs."""
        lines = ["", *self.table(full=False), ""]
        for variant, column in self.columns.items():
            counted = Counter(outcome.status.value for outcome in column.values())
            lines.append(f"{variant}: " + ", ".join(f"{n} {what}" for what, n in counted.items()))
        for variant in self.columns:
            if BASE in self.columns and variant != BASE:
                lost = _lost(self.columns[BASE], self.columns[variant])
                lines.append(f"pass on {BASE} and not on {variant}: {len(lost)}")
                lines += [f"  {name}{self._allowed(variant, name)}" for name in lost]
        return lines


def check(known: Iterable[KnownFailure], tests: Iterable[Selftest]) -> None:
    """Refuse a policy that speaks of tests that there are not.

    Raises:
        UsageError: it does.
    """
    names = {test.name for test in tests}
    for entry in known:
        if entry.name.partition("/")[0] not in names:
            raise UsageError(f"{POLICY}: there is no test '{entry.name}'")


def _order(name: str) -> tuple[str, bool]:
    """By test; its subtests stay in the order in which they were reported."""
    return name.partition("/")[0], "/" in name


def _title(names: Sequence[str]) -> str:
    """One name for several: the first one's, and how many there are besides."""
    more = len(names) - 1
    return f"{names[0]} (and {more} {'subtest' if more == 1 else 'subtests'})" if more else names[0]


def _spread(cells: Iterable[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
