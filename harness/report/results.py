"""The results of a run as values, and the same as plain data: the content of results.json.

Whoever reads a results.json reads it by `load` and sees a `Results`; how it lies in the file,
see kcidb.py, is nobody else's concern. Pure but for the name of the host's kernel.
"""

import platform
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.model import Life, Status
from harness.run.parity import Column
from harness.run.selftests import Item
from harness.verdicts import failure
from harness.verdicts.splat import Splat
from harness.verdicts.verdict import FINE, WORST_FIRST, Verdict

SCHEMA = 2
_PLAIN = (1, SCHEMA)


@dataclass(frozen=True)
class VariantRecord:
    """What a session tells about one variant.

    Attributes:
        name: of the variant.
        release: what `uname -r` said in the guest, "" if it did not boot.
        error: why the variant could not be tested, or "".
        notes: phases that overran their deadlines, and the like.
        consoles: the kernel's logs, one of each machine.
        verdicts: in the order in which they were reached; of the last round.
        strays: splats outside of any test.
        manifest: what the kernel was built from.
        earlier: the verdicts of the rounds before.
        machines: from when to when each machine lived.
    """

    name: str
    release: str
    error: str
    notes: tuple[str, ...]
    consoles: tuple[Path, ...]
    verdicts: Mapping[Item, Verdict]
    strays: tuple[Splat, ...]
    manifest: Mapping[str, Any]
    earlier: Sequence[Mapping[Item, Verdict]] = ()
    machines: Sequence[Life] = ()


@dataclass(frozen=True)
class Result:
    """What became of one item in one round.

    Attributes:
        name: NAME or NAME/SUBTEST.
        variant: on which kernel.
        round: which one, from 1.
        seconds: it took.
        started: when, in seconds since the epoch; 0 if nobody knows.
        message: why, in one sentence; "" for a pass.
        diagnostics: what the test printed.
        splats: what the kernel printed meanwhile.
        console: what it had said before, if all is not well.
        fingerprint: of the crash or splat, the same for the same one; "" without.
        logs: where to read on, by their names in the report's folder.
        again: the command that runs the item again.
    """

    name: str
    variant: str
    status: Status
    round: int = 1
    seconds: float = 0.0
    started: float = 0.0
    message: str = ""
    diagnostics: tuple[str, ...] = ()
    splats: tuple[Splat, ...] = ()
    console: tuple[str, ...] = ()
    fingerprint: str = ""
    logs: tuple[str, ...] = ()
    again: str = ""

    @property
    def fine(self) -> bool:
        """Whether it does not fail a run."""
        return self.status in FINE

    @property
    def test(self) -> str:
        """The test that it is, or is a subtest of."""
        return self.name.partition("/")[0]


@dataclass(frozen=True)
class Subtest:
    """A subtest that is no item: what a suite that compares kernels has seen of it."""

    name: str
    variant: str
    status: Status
    why: str = ""


@dataclass(frozen=True)
class Kernel:
    """What is known of one variant besides its items.

    Attributes:
        variant: its name.
        release: what `uname -r` said in the guest, "" if it did not boot.
        error: why it could not be tested, or "".
        notes: phases that overran their deadlines, and the like.
        consoles: the kernel's logs, by their names in the report's folder.
        machines: from when to when each machine lived.
        manifest: what it was built from.
        strays: splats outside of any test.
    """

    variant: str
    release: str = ""
    error: str = ""
    notes: tuple[str, ...] = ()
    consoles: tuple[str, ...] = ()
    machines: tuple[Life, ...] = ()
    manifest: Mapping[str, Any] | None = None
    strays: tuple[Splat, ...] = ()

    @property
    def series(self) -> Mapping[str, Any]:
        """What the manifest says of the series; empty if it says nothing."""
        made = (self.manifest or {}).get("series")
        return made if isinstance(made, dict) else {}

    def is_of(self, digest: str) -> bool:
        """Whether it was built from the patches with this hash, and from nothing else."""
        made = self.series
        exported = not made.get("edited") and made.get("exported", True)
        return made.get("hash") == digest and bool(exported)


@dataclass(frozen=True)
class Shard:
    """Which part of a whole a run was.

    Attributes:
        number: which, from 1.
        count: how many there are.
        others: for each kernel the items that are in the other shards.
    """

    number: int
    count: int
    others: Mapping[str, tuple[str, ...]]

    def __str__(self) -> str:
        """As the user types it."""
        return f"{self.number}/{self.count}"


@dataclass(frozen=True)
class Results:
    """One run.

    Attributes:
        id: no other run has it.
        suite: whose tests ran.
        started: when.
        seconds: it took.
        exit_code: its exit status.
        accelerator: who executed the guests, and why.
        cpus: of each machine.
        options: what the user added to the command line of each kernel.
        host: the release of the host's kernel.
        kernels: in the order in which they were tested.
        items: kernel by kernel, round by round, in the order in which they ended.
        subtests: those that are no items.
        shard: which part of a whole this is, None for a whole.
    """

    id: str
    suite: str
    started: datetime
    seconds: float
    exit_code: int
    accelerator: str
    cpus: int
    host: str
    kernels: tuple[Kernel, ...]
    items: tuple[Result, ...]
    subtests: tuple[Subtest, ...] = ()
    shard: Shard | None = None
    options: tuple[str, ...] = ()

    @property
    def rounds(self) -> int:
        """How often everything ran."""
        return max((item.round for item in self.items), default=1)

    def of(self, variant: str) -> tuple[Result, ...]:
        """The items of one kernel, all rounds."""
        return tuple(item for item in self.items if item.variant == variant)

    def worst(self) -> dict[tuple[str, str], Result]:
        """By kernel and name the result of the round in which the item did worst."""
        found: dict[tuple[str, str], Result] = {}
        for item in self.items:
            known = found.setdefault((item.variant, item.name), item)
            if severity(item.status) < severity(known.status):
                found[item.variant, item.name] = item
        return found

    def flaky(self) -> dict[tuple[str, str], tuple[Status, ...]]:
        """By kernel and name the statuses, round by round, of what did not always fare alike."""
        seen: dict[tuple[str, str], list[Status]] = {}
        for item in self.items:
            seen.setdefault((item.variant, item.name), []).append(item.status)
        return {key: tuple(found) for key, found in seen.items() if len({*found}) > 1}


def severity(status: Status) -> int:
    """The place of a status among all: the least is the worst."""
    return WORST_FIRST.index(status)


def collect(
    variants: Sequence[VariantRecord],
    *,
    suite: str,
    outcomes: Mapping[str, Column],
    accel: str,
    cpus: int,
    started: datetime,
    seconds: float,
    exit_code: int,
    shard: Shard | None = None,
    options: tuple[str, ...] = (),
) -> Results:
    """The results of a run from what its sessions tell."""
    return Results(
        id=f"{started.astimezone(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:8]}",
        suite=suite,
        started=started.astimezone(UTC).replace(microsecond=0),
        seconds=round(seconds, 2),
        exit_code=exit_code,
        accelerator=accel,
        cpus=cpus,
        host=platform.release(),
        kernels=tuple(map(_kernel, variants)),
        items=tuple(
            _result(record.name, number, item, verdict)
            for record in variants
            for number, verdicts in enumerate((*record.earlier, record.verdicts), 1)
            for item, verdict in verdicts.items()
        ),
        subtests=tuple(
            Subtest(name, variant, found.status, found.why)
            for variant, column in outcomes.items()
            for name, found in column.items()
            if "/" in name
        ),
        shard=shard,
        options=options,
    )


def _kernel(record: VariantRecord) -> Kernel:
    return Kernel(
        record.name,
        record.release,
        record.error,
        record.notes,
        tuple(console.name for console in record.consoles),
        tuple(record.machines),
        dict(record.manifest),
        record.strays,
    )


def _result(variant: str, number: int, item: Item, verdict: Verdict) -> Result:
    return Result(
        item.name,
        variant,
        verdict.status,
        number,
        verdict.seconds,
        verdict.started,
        verdict.message,
        verdict.details,
        verdict.splats,
        verdict.console,
        verdict.fingerprint,
        tuple(Path(log).name for log in verdict.logs),
        verdict.again,
    )


def to_plain(results: Results) -> dict[str, Any]:
    """The results as JSON has them: nothing but objects, lists, strings and numbers.

    `schema` grows when a field changes its meaning or goes; new fields do not change it.
    """
    return {
        "schema": SCHEMA,
        "id": results.id,
        "suite": results.suite,
        "started": results.started.isoformat(timespec="seconds"),
        "seconds": results.seconds,
        "exit_code": results.exit_code,
        "shard": _shard_to_plain(results.shard),
        "environment": {
            "accelerator": results.accelerator,
            "cpus": results.cpus,
            "options": list(results.options),
            "host": results.host,
            "variants": {kernel.variant: _kernel_to_plain(kernel) for kernel in results.kernels},
        },
        "items": [item_to_plain(item) for item in results.items],
        "subtests": [{**asdict(each), "status": each.status.value} for each in results.subtests],
        "strays": [
            {"variant": kernel.variant, **_splat_to_plain(found)}
            for kernel in results.kernels
            for found in kernel.strays
        ],
    }


def _shard_to_plain(shard: Shard | None) -> dict[str, Any] | None:
    if shard is None:
        return None
    others = {variant: list(names) for variant, names in shard.others.items()}
    return {"number": shard.number, "count": shard.count, "others": others}


def _kernel_to_plain(kernel: Kernel) -> dict[str, Any]:
    return {
        "release": kernel.release,
        "error": kernel.error,
        "notes": list(kernel.notes),
        "consoles": list(kernel.consoles),
        "machines": [asdict(life) for life in kernel.machines],
        "manifest": dict(kernel.manifest or {}),
    }


def item_to_plain(item: Result) -> dict[str, Any]:
    """One item as JSON has it."""
    return {
        **{name: getattr(item, name) for name in ("round", "name", "variant")},
        "status": item.status.value,
        **{name: getattr(item, name) for name in ("seconds", "started", "message")},
        "diagnostics": list(item.diagnostics),
        "splats": [_splat_to_plain(found) for found in item.splats],
        "console": list(item.console),
        "fingerprint": item.fingerprint,
        "logs": list(item.logs),
        "again": item.again,
    }


def _splat_to_plain(found: Splat) -> dict[str, Any]:
    fingerprint = failure.fingerprint(failure.signature(found))
    return {**asdict(found), "lines": list(found.lines), "fingerprint": fingerprint}


def from_plain(content: Mapping[str, Any]) -> Results:
    """What `to_plain` has made, of this schema or an older one.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is something else.
    """
    if content["schema"] not in _PLAIN:
        raise ValueError(f"schema {content['schema']} is not among {_PLAIN}")
    environment = content["environment"]
    strays = content["strays"]
    return Results(
        id=content.get("id") or content["started"],
        suite=content["suite"],
        started=datetime.fromisoformat(content["started"]),
        seconds=content["seconds"],
        exit_code=content["exit_code"],
        accelerator=environment["accelerator"],
        cpus=environment.get("cpus", 2),
        host=environment["host"],
        kernels=tuple(
            _kernel_from_plain(name, about, [each for each in strays if each["variant"] == name])
            for name, about in environment["variants"].items()
        ),
        items=tuple(map(_from_plain, content["items"])),
        subtests=tuple(
            Subtest(each["name"], each["variant"], Status(each["status"]), each["why"])
            for each in content.get("subtests", ())
        ),
        shard=_shard_from_plain(content.get("shard")),
        options=tuple(environment.get("options", ())),
    )


def _shard_from_plain(shard: Mapping[str, Any] | None) -> Shard | None:
    if shard is None:
        return None
    others = {variant: tuple(names) for variant, names in shard["others"].items()}
    return Shard(shard["number"], shard["count"], others)


def _kernel_from_plain(
    name: str, about: Mapping[str, Any], strays: Iterable[Mapping[str, Any]]
) -> Kernel:
    return Kernel(
        variant=name,
        release=about["release"],
        error=about["error"],
        notes=tuple(about["notes"]),
        consoles=tuple(about["consoles"]),
        machines=tuple(Life(**life) for life in about.get("machines", ())),
        manifest=about["manifest"],
        strays=tuple(map(_splat_from_plain, strays)),
    )


def _from_plain(item: Mapping[str, Any]) -> Result:
    return Result(
        name=item["name"],
        variant=item["variant"],
        status=Status(item["status"]),
        round=item.get("round", 1),
        seconds=item["seconds"],
        started=item.get("started", 0.0),
        message=item["message"],
        diagnostics=tuple(item["diagnostics"]),
        splats=tuple(map(_splat_from_plain, item["splats"])),
        console=tuple(item.get("console", ())),
        fingerprint=item.get("fingerprint", ""),
        logs=tuple(item.get("logs", ())),
        again=item.get("again", ""),
    )


def _splat_from_plain(found: Mapping[str, Any]) -> Splat:
    return Splat(
        found["kind"], found["title"], found["section"], found["line"], tuple(found["lines"])
    )
