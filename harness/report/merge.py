"""One report from those of several shards, or of several kernels of one suite.

What is wrong with the parts is named. A shard that is missing is no pass: its items are MISS, and
the status is that of infrastructure that failed. Joining is pure.
"""

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from harness.errors import InfraError, UsageError
from harness.model import Status
from harness.report import figures, store
from harness.report.results import Kernel, Result, Results
from harness.report.text import plural


@dataclass(frozen=True)
class Part:
    """A report that is to be joined with others.

    Attributes:
        folder: where it lies.
        results: what it says.
    """

    folder: Path
    results: Results

    def __str__(self) -> str:
        """As a person would speak of it."""
        shard = self.results.shard
        return f"shard {shard} in {self.folder}" if shard else str(self.folder)


def read(folders: Sequence[Path]) -> tuple[Part, ...]:
    """The reports in these folders, shards in their order.

    Raises:
        UsageError: one holds no report.
    """
    parts = [Part(folder, store.load(folder)) for folder in folders]
    return tuple(
        sorted(parts, key=lambda part: part.results.shard.number if part.results.shard else 0)
    )


def run(folders: Sequence[Path], output: Path) -> Results:
    """Write the report of all reports into `output`, logs included; returns what it says.

    Raises:
        UsageError: they do not belong together, or `output` is one of them or not empty.
    """
    parts = read(folders)
    found = join(parts)
    output.mkdir(parents=True, exist_ok=True)
    if any(output.iterdir()):
        raise UsageError(f"{output} is not empty: --output takes a new folder")
    for number, part in enumerate(parts, 1):
        _copy(part.folder, output, _prefix(number, part))
    store.leave(output, found)
    return found


def _copy(origin: Path, copy: Path, prefix: str) -> None:
    """Copy all that a report consists of but what is made anew."""
    for path in sorted(origin.iterdir()):
        if path.name in store.MADE or path.is_symlink():
            continue
        if path.name in (figures.NAME, *figures.PLOTS):
            shutil.copyfile(path, copy / path.name)
        elif path.is_dir():
            # What a guest may write to: it may have left links and pipes.
            shutil.copytree(path, copy / f"{prefix}{path.name}", ignore=_irregular, symlinks=True)
        elif path.is_file():
            shutil.copyfile(path, copy / f"{prefix}{path.name}")


def _irregular(folder: str, names: list[str]) -> list[str]:
    """The names of what is neither a file nor a folder."""
    paths = [Path(folder, name) for name in names]
    return [
        path.name for path in paths if path.is_symlink() or not (path.is_file() or path.is_dir())
    ]


def join(parts: Sequence[Part]) -> Results:
    """The results of all parts together.

    Raises:
        UsageError: they do not belong together, or say something twice.
    """
    if not parts:
        raise UsageError("nothing to merge: name the folders of reports")
    _check(parts)
    kernels = _kernels(parts)
    missing = _missing(parts)
    if missing:
        note = f"{_names(missing)} missing: their items are MISS"
        kernels = [
            replace(kernel, error=kernel.error or note, notes=(*kernel.notes, note))
            for kernel in kernels
        ]
    items = tuple(item for part in parts for item in part.results.items)
    lost = tuple(_lost(parts, items, missing))
    started = min(part.results.started for part in parts)
    ended = max(part.results.started + timedelta(seconds=part.results.seconds) for part in parts)
    codes = [*(part.results.exit_code for part in parts), 1 if lost else 0]
    first = parts[0].results
    return replace(
        first,
        id=f"merged-{_hash(part.results.id for part in parts)}",
        started=started,
        seconds=(ended - started).total_seconds(),
        exit_code=max(*codes, InfraError.exit_code if missing else 0),
        accelerator="; ".join(dict.fromkeys(part.results.accelerator for part in parts)),
        host=", ".join(dict.fromkeys(part.results.host for part in parts)),
        kernels=tuple(kernels),
        items=(*items, *lost),
        subtests=tuple(each for part in parts for each in part.results.subtests),
        shard=None,
    )


def _hash(names: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16]


def _check(parts: Sequence[Part]) -> None:
    """Refuse what does not belong together."""
    first = parts[0]
    for part in parts[1:]:
        if part.results.suite != first.results.suite:
            raise UsageError(
                f"{part} is of the suite {part.results.suite}, {first} of {first.results.suite}"
            )
        if part.results.options != first.results.options:
            raise UsageError(f"{part} and {first} added different words to the command line")
        if _count(part) != _count(first):
            raise UsageError(f"{part} and {first} are not parts of the same whole")
    numbers = [part.results.shard.number for part in parts if part.results.shard]
    for number, times in Counter(numbers).items():
        if times > 1:
            same = [p for p in parts if p.results.shard and p.results.shard.number == number]
            raise UsageError(f"the same shard twice: {' and '.join(map(str, same))}")
    _check_items(parts)
    _check_kernels(parts)


def _count(part: Part) -> int:
    return part.results.shard.count if part.results.shard else 1


def _check_items(parts: Sequence[Part]) -> None:
    """Refuse two reports on one item, and shards of different wholes."""
    seen: dict[tuple[str, str, int], Part] = {}
    for part in parts:
        for item in part.results.items:
            key = (item.variant, item.name, item.round)
            if seen.setdefault(key, part) is not part:
                raise UsageError(f"{item.name} on {item.variant} is in {seen[key]} and in {part}")
    whole = _whole(parts[0])
    for part in parts[1:]:
        if part.results.shard and _whole(part) != whole:
            raise UsageError(f"{part} and {parts[0]} deal out different tests")


def _whole(part: Part) -> frozenset[tuple[str, str]]:
    """The tests of all shards, as one of them tells it."""
    others = part.results.shard.others if part.results.shard else {}
    named = {(variant, name.partition("/")[0]) for variant in others for name in others[variant]}
    return frozenset(named | {(item.variant, item.test) for item in part.results.items})


def _check_kernels(parts: Sequence[Part]) -> None:
    """Refuse kernels of one name that are not the same."""
    seen: dict[str, tuple[Part, Kernel]] = {}
    for part in parts:
        for kernel in part.results.kernels:
            other, known = seen.setdefault(kernel.variant, (part, kernel))
            if known.series.get("hash") != kernel.series.get("hash"):
                raise UsageError(f"{other} and {part} tested different kernels '{kernel.variant}'")


def _kernels(parts: Sequence[Part]) -> list[Kernel]:
    """Each kernel once, with the machines of all parts."""
    joined: dict[str, Kernel] = {}
    for number, part in enumerate(parts, 1):
        for kernel in part.results.kernels:
            mine = _renamed(kernel, _prefix(number, part))
            known = joined.get(kernel.variant)
            joined[kernel.variant] = mine if known is None else _both(known, mine)
    return list(joined.values())


def _prefix(number: int, part: Part) -> str:
    """What tells the logs of the parts apart."""
    return f"{part.results.shard.number if part.results.shard else number}-"


def _renamed(kernel: Kernel, prefix: str) -> Kernel:
    """The kernel whose logs are called as they are in the joint folder."""
    return replace(
        kernel,
        consoles=tuple(f"{prefix}{name}" for name in kernel.consoles),
        machines=tuple(
            replace(life, console=f"{prefix}{life.console}") for life in kernel.machines
        ),
    )


def _both(one: Kernel, other: Kernel) -> Kernel:
    return replace(
        one,
        release=one.release or other.release,
        error="; ".join(filter(None, (one.error, other.error))),
        notes=(*one.notes, *other.notes),
        consoles=(*one.consoles, *other.consoles),
        machines=(*one.machines, *other.machines),
        strays=(*one.strays, *other.strays),
    )


def _missing(parts: Sequence[Part]) -> tuple[int, ...]:
    """The numbers of the shards that are not there."""
    there = {part.results.shard.number for part in parts if part.results.shard}
    return tuple(n for n in range(1, _count(parts[0]) + 1) if n not in there) if there else ()


def _names(missing: Sequence[int]) -> str:
    numbers = ", ".join(map(str, missing))
    return f"shard {numbers} is" if len(missing) == 1 else f"shards {numbers} are"


def _lost(
    parts: Sequence[Part], items: Iterable[Result], missing: Sequence[int]
) -> Iterable[Result]:
    """What nobody has reported, as far as the shards that are there know of it."""
    reported = {(item.variant, item.name) for item in items}
    wanted: Mapping[str, tuple[str, ...]] = (
        parts[0].results.shard.others if parts[0].results.shard else {}
    )
    what = f"{_names(missing)} missing" if missing else "no shard has reported it"
    for variant, names in wanted.items():
        for name in names:
            if (variant, name) not in reported:
                yield Result(name, variant, Status.MISS, message=f"did not run: {what}")


def says(found: Results, parts: int) -> list[str]:
    """What a person reads when all is done."""
    worst = found.worst().values()
    counted = Counter(item.status.value for item in worst)
    notes = dict.fromkeys(note for kernel in found.kernels for note in kernel.notes)
    return [
        *notes,
        f"{plural(parts, 'report')}: " + ", ".join(f"{n} {what}" for what, n in counted.items()),
    ]
