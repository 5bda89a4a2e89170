"""A run beside an older one, the baseline: what fails anew, what is mended, what takes longer.

Pure. Of several rounds an item's worst counts. Only kernels of this run are compared.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from harness.bench import compare as bench_compare
from harness.bench.compare import Change
from harness.bench.record import Record
from harness.model import Status
from harness.report.results import Result, Results, severity
from harness.report.text import one_line, plural
from harness.verdicts import failure

#: A test is slower if it takes that many times as long, and so many seconds longer.
SLOWER = 2.0
SLOWER_BY = 1.0
_NUMBERS = re.compile(r"\b(CPU|PID|UID): \d+|\b0x[0-9a-f]+|\b[0-9a-f]{12,}\b")
_SHOWN = 50


@dataclass(frozen=True)
class Difference:
    """One item that did not fare as in the baseline.

    Attributes:
        was: its status then, or seconds.
        now: its status in this run, or seconds.
        why: what is said about it now, one line.
    """

    variant: str
    name: str
    was: str
    now: str
    why: str = ""

    def __str__(self) -> str:
        """One line."""
        where = f"{self.name}[{self.variant}]: {self.was} → {self.now}"
        return f"{where}: {self.why}" if self.why else where


@dataclass(frozen=True)
class Comparison:
    """What differs.

    Attributes:
        baseline: what this run is compared with.
        new: fails, and did not, not as badly, or by another crash or splat; MISS is always new: it
            shows nothing.
        still: fails as it did.
        fixed: failed, and does not any more.
        flaky: did not always fare alike in this run.
        skipped: passed, and is skipped now.
        gone: was there, and is not any more.
        added: was not there.
        slower: passes as before, and takes longer.
        costlier: figures of `make bench` that a goal speaks of, and that grew.
        strays: splats outside of any test that the baseline has not.
    """

    baseline: str
    new: tuple[Difference, ...]
    still: tuple[Difference, ...]
    fixed: tuple[Difference, ...]
    flaky: tuple[Difference, ...]
    skipped: tuple[Difference, ...]
    gone: tuple[Difference, ...]
    added: tuple[Difference, ...]
    slower: tuple[Difference, ...]
    costlier: tuple[Change, ...]
    strays: tuple[Difference, ...]

    @property
    def failed(self) -> bool:
        """Whether something is worse that fails a run; time and cost do not."""
        known = {(each.variant, each.name) for each in self.still}
        flaky = [each for each in self.flaky if (each.variant, each.name) not in known]
        return bool(self.new or self.gone or self.strays or flaky)

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """The lines of each group that has any, by what it is called."""
        lines: dict[str, Iterable[object]] = {
            "new failure": self.new,
            "new splat outside of any test": self.strays,
            "gone": self.gone,
            "flaky": self.flaky,
            "fixed": self.fixed,
            "still failing": self.still,
            "skipped now": self.skipped,
            "new test": self.added,
            "slower": self.slower,
            "costlier": map(_cost, self.costlier),
        }
        return {name: found for name in lines if (found := tuple(map(str, lines[name])))}


def compare(
    old: Results,
    new: Results,
    *,
    baseline: str,
    whole: bool = True,
    bench: tuple[Record | None, Record | None] = (None, None),
) -> Comparison:
    """Compare a run with an older one.

    Args:
        old: the baseline.
        new: the run.
        baseline: what to call the older one.
        whole: the run has all that there is to test; otherwise what it has not is not missed.
        bench: the figures of both, old and new.
    """
    variants = {kernel.variant for kernel in new.kernels}
    then = {key: item for key, item in old.worst().items() if key[0] in variants}
    now = new.worst()
    others = _others(old, new)
    both = [(then[key], item) for key, item in now.items() if key in then]
    return Comparison(
        baseline=baseline,
        new=tuple(_new(then, now, others)),
        still=tuple(
            _changed(was, is_)
            for was, is_ in both
            if _as_before(was, is_) and (is_.variant, is_.name) not in others
        ),
        fixed=tuple(
            _changed(was, is_)
            for was, is_ in both
            if not was.fine and is_.status in (Status.PASS, Status.XFAIL)
        ),
        flaky=tuple(_flaky(new, old)),
        skipped=tuple(
            _changed(was, is_)
            for was, is_ in both
            if was.status is not Status.SKIP and is_.status is Status.SKIP
        ),
        gone=tuple(
            Difference(item.variant, item.name, item.status.value, "not there")
            for key, item in then.items()
            if whole and key not in now
        ),
        added=tuple(
            Difference(item.variant, item.name, "not there", item.status.value)
            for key, item in now.items()
            if key not in then and item.fine
        ),
        slower=tuple(
            Difference(is_.variant, is_.name, f"{was.seconds:.1f} s", f"{is_.seconds:.1f} s")
            for was, is_ in both
            if was.status is is_.status is Status.PASS
            and is_.seconds > SLOWER * was.seconds
            and is_.seconds > was.seconds + SLOWER_BY
        ),
        costlier=_costlier(*bench),
        strays=tuple(_strays(old, new)),
    )


def _changed(was: Result, now: Result) -> Difference:
    why = "" if now.status is Status.PASS else one_line(now.message)
    return Difference(now.variant, now.name, was.status.value, now.status.value, why)


def _new(
    then: Mapping[tuple[str, str], Result],
    now: Mapping[tuple[str, str], Result],
    others: frozenset[tuple[str, str]],
) -> Iterator[Difference]:
    """What fails and did not, not as badly, or is among the `others`."""
    for key, item in now.items():
        was = then.get(key)
        as_before = was is not None and _as_before(was, item)
        if item.fine or (as_before and key not in others):
            continue
        said = "not there" if was is None else was.status.value
        why = f"another one: {item.message}" if as_before else item.message
        yield Difference(*key, said, item.status.value, one_line(why))


def _others(old: Results, new: Results) -> frozenset[tuple[str, str]]:
    """What crashes or splats as it did not in any round of the older run, but in another way."""
    known, seen = _crashes(old), _crashes(new)
    return frozenset(key for key, found in seen.items() if known.get(key) and found - known[key])


def _crashes(results: Results) -> dict[tuple[str, str], set[str]]:
    """By kernel and name the fingerprints of an item's crashes and splats, all rounds together."""
    found: dict[tuple[str, str], set[str]] = {}
    for item in results.items:
        splats = (failure.fingerprint(failure.signature(each)) for each in item.splats)
        found.setdefault((item.variant, item.name), set()).update(
            filter(None, (item.fingerprint, *splats))
        )
    return found


def _as_before(was: Result, now: Result) -> bool:
    """Whether both fail, and now no worse than then."""
    failing = not was.fine and not now.fine and now.status is not Status.MISS
    return failing and severity(now.status) >= severity(was.status)


def _flaky(new: Results, old: Results) -> Iterator[Difference]:
    before = old.flaky()
    for key, statuses in new.flaky().items():
        said = ", ".join(f"{n} {status.value}" for n, status in enumerate(statuses, 1))
        was = "flaky" if key in before else "steady"
        yield Difference(*key, was, "flaky", f"in rounds {said}")


def _strays(old: Results, new: Results) -> Iterator[Difference]:
    """The splats outside of tests that the older run has not; numbers in them do not matter."""
    known = {
        (kernel.variant, found.kind, _NUMBERS.sub("", found.title))
        for kernel in old.kernels
        for found in kernel.strays
    }
    for kernel in new.kernels:
        for found in kernel.strays:
            if (kernel.variant, found.kind, _NUMBERS.sub("", found.title)) not in known:
                title = one_line(found.title)
                yield Difference(kernel.variant, found.section or "boot", "silent", title)


def _costlier(old: Record | None, new: Record | None) -> tuple[Change, ...]:
    if old is None or new is None:
        return ()
    return tuple(change for change in bench_compare.changes(old, new) if change.worse)


def _cost(change: Change) -> str:
    return f"{change.case}[{change.variant}]: {change.old:g} → {change.new:g}"


def says(found: Comparison) -> list[str]:
    """What a person reads: how many there are of what, and each by name."""
    counts = [_count(name, len(lines)) for name, lines in found.groups.items()]
    said = [f"compared with {found.baseline}: {', '.join(counts) or 'no difference'}"]
    for name, lines in found.groups.items():
        said += [f"  {name}: {line}" for line in lines[:_SHOWN]]
        if len(lines) > _SHOWN:
            said.append(f"  {name}: and {len(lines) - _SHOWN} more")
    return said


def _count(name: str, count: int) -> str:
    """How many there are; only what is a thing has a plural."""
    things = ("new failure", "new test")
    return plural(count, name) if name in things else f"{count} {name}"


def exit_code(code: int, found: Comparison, *, new_only: bool) -> int:
    """The exit status of a run, in view of its baseline.

    Args:
        code: what it is without one.
        found: the comparison.
        new_only: tests that failed before do not count; all else does.
    """
    return 0 if new_only and code == 1 and not found.failed else code
