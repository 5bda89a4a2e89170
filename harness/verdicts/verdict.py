"""From evidence to verdicts. Pure: nothing in here knows of machines or files.

Every verdict starts as MISS and changes only on evidence: a result in the report, and a kernel's
log that is silent about it up to the next marker.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum
from functools import cached_property

from harness.errors import UsageError
from harness.model import Status
from harness.run.selftests import Item, Selftest
from harness.verdicts import ktap, policy, splat
from harness.verdicts.splat import Splat

ANY = "any"

FINE = (Status.PASS, Status.SKIP, Status.XFAIL)
"""Verdicts that do not fail a run."""

_NO_REPORT = ktap.parse("")
_MAX_DETAILS = 1000
_MAX_WIDTH = 4096
_MAX_QUOTED = 200
_KNOWN_FORM = "VARIANT NAME until YYYY-MM-DD: reason"
_FAREWELL = re.compile(r"reboot: |sysrq: Resetting")

WORST_FIRST = (
    Status.CRASH,
    Status.HANG,
    Status.FLOOD,
    Status.SPLAT,
    Status.FAIL,
    Status.MISS,
    Status.XFAIL,
    Status.PASS,
    Status.SKIP,
)
"""All verdicts, so that of several the first one is told."""


class Ending(Enum):
    """How one run of the runner ended."""

    RUNNING = "still runs"
    EXITED = "exited"
    GONE = "the machine ended"
    EXPIRED = "the deadline passed"
    FLOODED = "the log outgrew its limit"


@dataclass(frozen=True)
class Verdict:
    """What became of one item.

    Attributes:
        status: the verdict.
        message: why, in one sentence; "" for a pass.
        details: what the test printed.
        splats: what the kernel printed meanwhile.
        seconds: from the previous item's end to this one's.
        started: when, in seconds since the epoch; 0 if nobody knows.
        console: what the kernel said before the first splat, if all is not well.
        fingerprint: of the crash or splat, the same for the same one; "" without.
        logs: where to read on.
        again: the command that runs the item again.
    """

    status: Status
    message: str = ""
    details: tuple[str, ...] = ()
    splats: tuple[Splat, ...] = ()
    seconds: float = 0.0
    started: float = 0.0
    console: tuple[str, ...] = ()
    fingerprint: str = ""
    logs: tuple[str, ...] = ()
    again: str = ""


@dataclass(frozen=True)
class Evidence:
    """All that one run of one test has left.

    Attributes:
        test: what ran.
        wanted: the items that get their verdicts from this run.
        report: the runner's report as far as it has come.
        log: the kernel's log from the begin marker on.
        splats: what was found in `log`.
        ending: how the run ended.
        status: the runner's exit status, if it exited.
        output: what the runner printed besides its report.
        limit: the deadline of the test, in seconds.
    """

    test: Selftest
    wanted: tuple[Item, ...]
    report: ktap.Report
    log: str
    splats: tuple[Splat, ...]
    ending: Ending
    status: int | None = None
    output: str = ""
    limit: float = 0.0

    @property
    def own(self) -> ktap.Result | None:
        """The result of the test as a whole, possibly unfinished."""
        return self.report.flat().get(self.test.name)

    @property
    def running(self) -> str:
        """The subtest that had begun and not ended when the run ended, or ""."""
        if self.own is not None and self.own.running:
            return self.own.running
        named = [name for name in self.markers if name.startswith(self.test.name + "/")]
        last = named[-1] if named else ""
        return "" if last in self.report.flat() else last.partition("/")[2]

    @property
    def dead(self) -> bool:
        """Whether the machine is gone or stuck, or is not to be listened to any longer."""
        return self.ending in (Ending.GONE, Ending.EXPIRED, Ending.FLOODED)

    @property
    def began(self) -> bool:
        """Whether the guest has begun to run the test."""
        return self.report != _NO_REPORT or splat.began(self.log, self.test.name)

    @cached_property
    def markers(self) -> tuple[str, ...]:
        """The tests that the marker lines of `log` name."""
        return splat.markers(self.log)

    @property
    def hung(self) -> bool:
        """Whether something had to be ended because it took too long."""
        late = any(result.directive == "TIMEOUT" for result in self.report.flat().values())
        return late or self.ending is Ending.EXPIRED

    @property
    def culprit(self) -> str:
        """The subtest that kept the others behind it from running, or ""."""
        if self.dead or self.own is None or self.own.ok is None:
            return self.running
        subtests = self.own.results if self.own is not None else ()
        fatal = [sub.name for sub in subtests if sub.directive in ("TIMEOUT", "ERROR")]
        return fatal[-1] if fatal else ""


def finished(evidence: Evidence, item: Item) -> bool:
    """Whether all evidence on a subtest is in: its result, and a marker after its own."""
    if f"{item.test}/{item.subtest}" not in evidence.report.flat():
        return False
    seen = evidence.markers
    return item.name in seen and seen.index(item.name) < len(seen) - 1


def of_subtest(evidence: Evidence, item: Item) -> Verdict:
    """The verdict on a subtest, as far as the evidence goes."""
    result = evidence.report.flat().get(item.name)
    splats = tuple(found for found in evidence.splats if found.section == item.name)
    if result is not None and result.ok is not None:
        return _with_splats(_of_result(result), splats)
    if evidence.dead and evidence.running == item.subtest:
        return _of_ending(evidence, splats or evidence.splats)
    return Verdict(Status.MISS, _why_missing(evidence), splats=splats)


def to_be_continued(evidence: Evidence, item: Item) -> bool:
    """Whether a subtest that was not reached may run later.

    Only if another one of the wanted subtests is known to have stood in its way: then every run
    settles at least one, and there is an end. One that the log says has begun has run, even if its
    result was lost: a second run might hide how the first one ended.
    """
    return (
        item.name not in evidence.report.flat()
        and item.name not in evidence.markers
        and item.subtest != evidence.culprit
        and Item(item.test, evidence.culprit) in evidence.wanted
        and bool(evidence.culprit)
    )


def of_test(runs: Sequence[Evidence]) -> Verdict:
    """The verdict on a test as a whole, which may have needed several runs: the worst of them."""
    verdicts = [_of_run(run) for run in runs]
    return min(verdicts, key=lambda verdict: WORST_FIRST.index(verdict.status))


def failed_subtests(runs: Sequence[Evidence]) -> tuple[str, ...]:
    """The subtests that were reported as failed."""
    results = (run.own.results for run in runs if run.own is not None)
    return tuple(sub.name for subs in results for sub in subs if sub.ok is False)


def _unanswered(evidence: Evidence) -> tuple[Splat, ...]:
    """The splats of this run that no wanted subtest answers for."""
    answered = {item.name for item in evidence.wanted if item.subtest}
    return tuple(found for found in evidence.splats if found.section not in answered)


def _of_dead_run(evidence: Evidence, splats: tuple[Splat, ...]) -> Verdict:
    """A test whose machine is gone or stuck. A wanted subtest shows the trace, if it can."""
    if Item(evidence.test.name, evidence.running) not in evidence.wanted or not evidence.running:
        return _of_ending(evidence, evidence.splats)
    own = tuple(
        found for found in evidence.splats if found.section.endswith(f"/{evidence.running}")
    )
    inner = _of_ending(evidence, own or evidence.splats)
    return Verdict(inner.status, f"in {evidence.running}: {inner.message}", splats=splats)


def _of_run(evidence: Evidence) -> Verdict:
    splats = _unanswered(evidence)
    if evidence.dead:
        return _of_dead_run(evidence, splats)
    own = evidence.own
    if own is None or own.ok is None:
        return Verdict(Status.MISS, _why_missing(evidence), _output(evidence), splats)
    verdict = _with_splats(_of_result(own), splats)
    if evidence.splats and not splats and verdict.status is not Status.HANG:
        first = evidence.splats[0]
        return Verdict(Status.SPLAT, f"in {first.section.partition('/')[2]}: {first.title}")
    problems = _problems(evidence, own)
    if verdict.status in (Status.PASS, Status.SKIP) and problems:
        return Verdict(Status.FAIL, problems[0], (*problems[1:], *_output(evidence)), splats)
    if verdict.status is Status.FAIL:
        failed = [sub.name for sub in own.results if sub.ok is False]
        message = (
            f"failed: {', '.join(failed)}" if failed and not own.directive else verdict.message
        )
        return Verdict(Status.FAIL, message, (*verdict.details, *problems), splats)
    return verdict


def _problems(evidence: Evidence, own: ktap.Result) -> list[str]:
    """What contradicts a report of success."""
    known = set(evidence.test.subtests)
    problems = [
        f"unexpected subtest '{sub.name}': its source does not start it by a literal name"
        for sub in own.results
        if evidence.test.closed and sub.name not in known
    ]
    problems += [
        f"unexpected test '{other.name}' in the report"
        for other in evidence.report.results
        if other.name != evidence.test.name
    ]
    reported = {sub.name for sub in own.results}
    problems += [
        f"subtest '{item.subtest}' was not reported"
        for item in evidence.wanted
        if item.subtest and item.subtest not in reported
    ]
    problems += [
        f"subtest '{sub.name}' failed although the test reported success"
        for sub in own.results
        if own.ok and not sub.ok
    ]
    problems += evidence.report.problems
    if evidence.status != 0 and own.ok:
        problems.append(
            f"the runner's exit status is {evidence.status} although it reported success"
        )
    if not splat.ended(evidence.log, evidence.test.name):
        problems.append("the kernel's log does not show the end of the test: splats may be missed")
    return problems


def _of_result(result: ktap.Result) -> Verdict:
    if result.ok and not result.directive:
        return Verdict(Status.PASS, details=result.diagnostics)
    if result.ok and result.directive == "SKIP":
        return Verdict(Status.SKIP, result.reason or "no reason given", result.diagnostics)
    if result.directive == "TIMEOUT":
        return Verdict(Status.HANG, f"timed out {result.reason}".strip(), result.diagnostics)
    first = next((line for line in result.diagnostics if "FAIL" in line), "")
    message = f"{result.directive.lower()} {result.reason}".strip() or first or "reported as not ok"
    return Verdict(Status.FAIL, message, result.diagnostics)


def _with_splats(verdict: Verdict, splats: tuple[Splat, ...]) -> Verdict:
    """A splat fails whatever had a result; a hang stays one."""
    if not splats:
        return verdict
    if verdict.status is Status.HANG:
        return Verdict(Status.HANG, verdict.message, verdict.details, splats)
    message = f"{splats[0].kind}: {splats[0].title}"
    return Verdict(Status.SPLAT, message, verdict.details, splats)


def _of_ending(evidence: Evidence, splats: tuple[Splat, ...]) -> Verdict:
    """The machine is gone or stuck."""
    if evidence.ending is Ending.EXPIRED:
        message = f"test deadline of {evidence.limit:.0f} s passed and the runner did not return"
        return Verdict(Status.HANG, message, _output(evidence), splats)
    if evidence.ending is Ending.FLOODED:
        message = "the kernel's log outgrew its limit: splats may be missed"
        return Verdict(Status.FLOOD, message, _output(evidence), splats)
    message = splats[0].title if splats else _last_words(evidence.log)
    return Verdict(Status.CRASH, message, _output(evidence), splats)


def _last_words(log: str) -> str:
    """Why a machine ended without a splat, as far as its log says."""
    said = [line for _, line in splat.split_lines(log) if _FAREWELL.match(line)]
    if said:
        return f"the machine ended by itself: {said[-1]}"
    return "the machine ended and the kernel's log says not why"


def _why_missing(evidence: Evidence) -> str:
    if evidence.ending is Ending.GONE:
        return "no result: the machine crashed before"
    if evidence.ending is Ending.EXPIRED:
        return "no result: the machine hung before"
    if evidence.ending is Ending.FLOODED:
        return "no result: the kernel's log outgrew its limit before"
    last = evidence.output.strip().splitlines()[-1:] or [""]
    tail = f": {shortened(last[0], _MAX_QUOTED)}" if last[0] else ""
    return f"no result: the runner exited with status {evidence.status} before reporting it{tail}"


def trimmed(lines: Sequence[str]) -> tuple[str, ...]:
    """What a test printed, short enough to be shown and kept: its beginning and its end."""
    half = _MAX_DETAILS // 2
    if len(lines) > _MAX_DETAILS:
        left_out = f"[ {len(lines) - 2 * half} lines are left out here ]"
        lines = (*lines[:half], left_out, *lines[-half:])
    return tuple(shortened(line) for line in lines)


def shortened(line: str, width: int = _MAX_WIDTH) -> str:
    """The beginning of a line that has no end."""
    return line if len(line) <= width else f"{line[:width]}…"


def _output(evidence: Evidence) -> tuple[str, ...]:
    return tuple(evidence.output.strip().splitlines()[-20:])


@dataclass(frozen=True)
class KnownFailure:
    """A line of policy/known-failures.txt or policy/parity.txt.

    Attributes:
        variant: on which kernel, or ANY.
        name: NAME or NAME/SUBTEST.
        reason: why it may fail.
        lapsed: "" while the line counts, afterwards a sentence that says so.
    """

    variant: str
    name: str
    reason: str
    lapsed: str = ""

    def means(self, variant: str, name: str) -> bool:
        """Whether it speaks of an item on a kernel."""
        return self.variant in (ANY, variant) and self.name == name


def parse_known(text: str, source: str, today: date) -> tuple[KnownFailure, ...]:
    """Read "VARIANT NAME until YYYY-MM-DD: reason" lines, as they count `today`.

    Raises:
        UsageError: one is malformed, or says not until when; it names `source` and the line.
    """
    known = []
    for entry in policy.entries(text, source, _KNOWN_FORM):
        if len(entry.words) != 2:
            raise UsageError(f"{entry.where}: expected '{_KNOWN_FORM}'")
        until = policy.expiry(entry)
        lapsed = f"{entry.where} has expired on {until}: {entry.text}" if until < today else ""
        known.append(KnownFailure(*entry.words, entry.text, lapsed))
    return tuple(known)


def excuse(verdict: Verdict, variant: str, item: Item, known: Sequence[KnownFailure]) -> Verdict:
    """Apply the list of known failures: a failure is expected, and a pass is not."""
    for entry in known:
        if not entry.means(variant, item.name):
            continue
        if verdict.status is Status.FAIL and entry.lapsed:
            return replace(verdict, message=f"{verdict.message} ({entry.lapsed})")
        if verdict.status is Status.FAIL:
            message = f"{entry.reason} ({verdict.message})"
            return replace(verdict, status=Status.XFAIL, message=message)
        if verdict.status is Status.PASS:
            message = "passes although policy/known-failures.txt lists it: remove the line"
            return replace(verdict, status=Status.FAIL, message=message)
    return verdict
