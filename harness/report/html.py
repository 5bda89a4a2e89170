"""report.html: one file that needs nothing but itself, no script either. Pure.

What there is to see is put together here; how it looks, the template says.
"""

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from harness.errors import INTERRUPTED
from harness.model import Status
from harness.report import consoles, timeline
from harness.report.compare import Comparison
from harness.report.consoles import Log
from harness.report.results import Kernel, Result, Results, severity
from harness.report.text import clean, plural

_SHOWN = 200
#: Tests first that are worst, and the status that an empty cell has.
_NONE = "none"
_MARKS = {
    Status.PASS: "✓",
    Status.SKIP: "–",
    Status.XFAIL: "≈",
    Status.FAIL: "✗",
    Status.SPLAT: "✹",
    Status.CRASH: "✖",
    Status.HANG: "∞",
    Status.FLOOD: "≋",
    Status.MISS: "?",
}
_WORDS = {
    Status.PASS: "passed",
    Status.SKIP: "skipped",
    Status.XFAIL: "failed as expected",
    Status.FAIL: "failed",
    Status.SPLAT: "with a splat",
    Status.CRASH: "crashed",
    Status.HANG: "hung",
    Status.FLOOD: "flooded the log",
    Status.MISS: "without a result",
}
_MEANING = {
    0: "all passed",
    1: "a test failed",
    2: "wrong usage",
    3: "the build failed",
    4: "the infrastructure failed",
    INTERRUPTED: "interrupted",
}
_SVG_IDS = re.compile(r'(\bid="|href="#|url\(#)')


@dataclass(frozen=True)
class Cell:
    """A test, or a subtest, on one kernel.

    Attributes:
        status: the worst, or "none" where it did not run.
        mark: a sign for it.
        word: what a screen reader says.
        count: how many subtests passed, or how many of how many did not fail; "" without any.
        flaky: it did not always fare alike.
    """

    status: str
    mark: str
    word: str
    count: str = ""
    flaky: bool = False


@dataclass(frozen=True)
class Row:
    """A line of the matrix, with those of its subtests."""

    name: str
    cells: tuple[Cell, ...]
    subtests: tuple["Row", ...] = ()
    open: bool = False


@dataclass(frozen=True)
class Failure:
    """An item that failed, with all that is known about it.

    Attributes:
        anchor: to be linked to.
        rounds: in which rounds, "" if there was only one.
        rerun: the command that runs exactly this.
        console: the name of the kernel's log.
        log: what is in it, as far as it belongs to the item.
    """

    anchor: str
    item: Result
    word: str
    rounds: str
    rerun: str
    console: str
    log: tuple[str, ...]


@dataclass(frozen=True)
class Share:
    """How many items of a kernel have a status."""

    status: str
    word: str
    count: int
    percent: float


def render(
    found: Results,
    logs: Mapping[str, Sequence[Log]],
    *,
    comparison: Comparison | None = None,
    plots: Sequence[str] = (),
    made: str = "",
) -> str:
    """The content of report.html.

    Args:
        found: of the run.
        logs: of each kernel.
        comparison: with a baseline, if there is one.
        plots: SVG of the figures of the same kernels.
        made: says when those were measured.
    """
    bad = failures(found, logs)
    return _template().render(
        run=found,
        title=_title(found),
        verdict=verdict(found),
        meaning=_MEANING.get(found.exit_code, ""),
        took=_took(found.seconds),
        kernels=[
            (kernel, shares(found.of(kernel.variant)), _facts(kernel)) for kernel in found.kernels
        ],
        strays=[(kernel.variant, stray) for kernel in found.kernels for stray in kernel.strays],
        failures=bad[:_SHOWN],
        left_out=max(0, len(bad) - _SHOWN),
        rows=matrix(found),
        comparison=comparison,
        skips=skips(found),
        expected=[item for item in found.worst().values() if item.status is Status.XFAIL],
        timeline=timeline.draw(found, consoles.by_name(logs)),
        legend=_legend(found),
        plots=[_inline(svg, number) for number, svg in enumerate(plots)],
        made=made,
    )


@cache
def _template() -> Template:
    loader = PackageLoader("harness.report", "")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Everything that is shown passes by here: no control character gets into the page.
        finalize=lambda value: clean(value) if type(value) is str else value,
    )
    return environment.get_template("report.html.jinja")


def _title(found: Results) -> str:
    kernels = ", ".join(kernel.variant for kernel in found.kernels)
    part = f", shard {found.shard}" if found.shard else ""
    return f"KRSI: {found.suite} on {kernels}{part}"


def verdict(found: Results) -> str:
    """The run in a few words."""
    worst = found.worst().values()
    bad = [item for item in worst if not item.fine]
    if found.exit_code == 0:
        well = sum(item.status is Status.PASS for item in worst)
        old = f", {plural(len(bad), 'old failure')}" if bad else ""
        return f"{plural(well, 'item')} passed{old}"
    if bad:
        return f"{len(bad)} of {plural(len(worst), 'item')} failed"
    return _MEANING.get(found.exit_code, "failed")


def _took(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def shares(items: Iterable[Result]) -> tuple[Share, ...]:
    """How many items there are of each status: what passed, then the worst first."""
    counted = Counter(item.status for item in items)
    total = counted.total()
    return tuple(
        Share(status.value, _WORDS[status], counted[status], 100 * counted[status] / total)
        for status in sorted(counted, key=_passed_first)
    )


def _passed_first(status: Status) -> int:
    return -1 if status is Status.PASS else severity(status)


def _facts(kernel: Kernel) -> list[tuple[str, str]]:
    """What a person wants to know of a kernel."""
    manifest = kernel.manifest or {}
    tools = manifest.get("toolchain") or {}
    edited = ", being edited" if kernel.series.get("edited") else ""
    facts = {
        "release": kernel.release or "did not boot",
        "series": f"{kernel.series['hash']}{edited}" if "hash" in kernel.series else "",
        "configuration": str(manifest.get("configuration", "")),
        "compiler": str(tools.get("gcc", "")),
    }
    return [(name, what) for name, what in facts.items() if what]


def failures(found: Results, logs: Mapping[str, Sequence[Log]]) -> list[Failure]:
    """What failed, the worst first; a test only if it says more than its subtests do."""
    rounds: dict[tuple[str, str], list[str]] = {}
    for item in found.items:
        if not item.fine:
            rounds.setdefault((item.variant, item.name), []).append(str(item.round))
    worst = found.worst()
    bad = [item for item in worst.values() if not item.fine]
    speaking = {(item.variant, item.test) for item in bad if "/" in item.name}
    told = [
        item
        for item in bad
        if "/" in item.name
        or item.splats
        or item.diagnostics
        or (item.variant, item.test) not in speaking
    ]
    made = []
    for number, item in enumerate(sorted(told, key=lambda item: severity(item.status)), 1):
        console, log = consoles.excerpt(logs.get(item.variant, ()), item.name)
        which = ", ".join(rounds[item.variant, item.name])
        made.append(
            Failure(
                f"failure-{number}",
                item,
                _WORDS[item.status],
                which if found.rounds > 1 else "",
                item.again or _rerun(found, item),
                console,
                log,
            )
        )
    return made


def _rerun(found: Results, item: Result) -> str:
    suite = [] if found.suite == "krsi" else ["--suite", found.suite]
    kernel = [] if item.variant == "krsi" else ["--kernel", item.variant]
    return shlex.join(["./run_tests.py", *suite, *kernel, item.name])


def matrix(found: Results) -> list[Row]:
    """A row for each test, a cell for each kernel; those with a failure come first."""
    variants = [kernel.variant for kernel in found.kernels]
    worst, flaky = found.worst(), found.flaky()
    tests: dict[str, dict[str, None]] = {}
    for item in found.items:
        subtests = tests.setdefault(item.test, {})
        if "/" in item.name:
            subtests[item.name] = None
    rows = []
    for test, names in tests.items():
        keys = {v: [(v, test), *((v, name) for name in names)] for v in variants}
        items = {v: [worst[key] for key in keys[v] if key in worst] for v in variants}
        cells = tuple(_cell(items[v], flaky=any(key in flaky for key in keys[v])) for v in variants)
        under = tuple(
            Row(
                name.partition("/")[2],
                tuple(_cell(_one(worst, (v, name)), flaky=(v, name) in flaky) for v in variants),
            )
            for name in names
        )
        bad = any(not item.fine for each in items.values() for item in each)
        rows.append(Row(test, cells, under, bad))
    return sorted(rows, key=lambda row: not row.open)


def _one(items: Mapping[tuple[str, str], Result], key: tuple[str, str]) -> list[Result]:
    return [items[key]] if key in items else []


def _cell(items: Sequence[Result], *, flaky: bool) -> Cell:
    """One cell from an item, or from a test and its subtests."""
    if not items:
        return Cell(_NONE, "", "not run")
    status = _summary(items)
    subtests = [item for item in items if "/" in item.name]
    well = sum(item.fine for item in subtests)
    several = len(items) > 1 and bool(subtests)
    passed = sum(item.status is Status.PASS for item in subtests)
    count = (f"{well}/{len(subtests)}" if well < len(subtests) else str(passed)) if several else ""
    return Cell(status.value, _MARKS[status], _WORDS[status], count, flaky)


def _summary(items: Sequence[Result]) -> Status:
    """The worst status; of a test of which something passed that, if nothing failed."""
    statuses = [item.status for item in items]
    bad = [item.status for item in items if not item.fine]
    if not bad and Status.PASS in statuses:
        return Status.PASS
    return min(bad or statuses, key=severity)


def skips(found: Results) -> list[tuple[str, list[str]]]:
    """What was skipped, by why; the most frequent reason first."""
    reasons: dict[str, list[str]] = {}
    for item in found.worst().values():
        if item.status is Status.SKIP:
            reasons.setdefault(item.message or "no reason given", []).append(
                f"{item.name}[{item.variant}]" if len(found.kernels) > 1 else item.name
            )
    return sorted(reasons.items(), key=lambda entry: -len(entry[1]))


def _legend(found: Results) -> list[tuple[str, str, str]]:
    """The signs that the matrix has, with what they mean."""
    seen = {item.status for item in found.items}
    return [(s.value, _MARKS[s], _WORDS[s]) for s in sorted(seen, key=_passed_first)]


def _inline(svg: str, number: int) -> Markup:
    """An SVG as a part of a page: no prologue, and names that no other one has."""
    inner = svg[svg.index("<svg") :]
    return Markup(_SVG_IDS.sub(rf"\g<1>plot{number}-", inner))  # noqa: S704 - `make bench` drew it
