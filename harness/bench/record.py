"""What was measured: read from a guest's report, kept in bench.json. Pure but for the files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import UsageError

SCHEMA = 1


@dataclass(frozen=True)
class Case:
    """One case of one kernel.

    Attributes:
        values: the numbers that it reported, by name. A figure of a call has `calls`, how many
            there are in a batch, and `min`, `median` and `max`, what a batch took, in
            instructions. Other cases say what they count in bench/*.c.
        unavailable: why this kernel has no such case, or "".
    """

    values: Mapping[str, int] = field(default_factory=dict)
    unavailable: str = ""

    @property
    def cost(self) -> float | None:
        """Instructions per call: the least over all batches."""
        if "calls" not in self.values:
            return None
        return self.values["min"] / self.values["calls"]

    @property
    def spread(self) -> float:
        """How much more than that half of the batches took, in instructions per call."""
        if "calls" not in self.values:
            return 0.0
        return (self.values["median"] - self.values["min"]) / self.values["calls"]


@dataclass(frozen=True)
class Reported:
    """What one boot reported.

    Attributes:
        cases: by name.
        problems: what went wrong, a sentence each. A case that is missing is one.
    """

    cases: Mapping[str, Case]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured:
    """All that was measured of one kernel.

    Attributes:
        variant: its name.
        manifest: what it was built from.
        size: of the kernel, in bytes, by what is in it: text, data.
        cases: by name.
        problems: what went wrong.
        nanoseconds: where KVM runs, what each round said, per call, by case.
    """

    variant: str
    manifest: Mapping[str, Any]
    size: Mapping[str, int]
    cases: Mapping[str, Case]
    problems: tuple[str, ...] = ()
    nanoseconds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def cost(self, case: str) -> float | None:
        """Instructions per call of a case; None where there is none."""
        return self.cases[case].cost if case in self.cases else None

    def value(self, case: str, name: str) -> int | None:
        """One number of a case; None where there is none."""
        return self.cases[case].values.get(name) if case in self.cases else None


@dataclass(frozen=True)
class Record:
    """What one run of `make bench` measured.

    Attributes:
        started: when, in UTC.
        qemu: its version.
        kernels: in the order in which they are shown.
    """

    started: str
    qemu: str
    kernels: tuple[Measured, ...]

    def kernel(self, variant: str) -> Measured | None:
        """The kernel called `variant`, if it was measured."""
        return next((kernel for kernel in self.kernels if kernel.variant == variant), None)

    @property
    def problems(self) -> tuple[str, ...]:
        """What went wrong, with all kernels."""
        return tuple(problem for kernel in self.kernels for problem in kernel.problems)


def parse(text: str, wanted: Sequence[str], why: str) -> Reported:
    """Read a guest's report.

    Args:
        text: lines of JSON, one a case, the last of which says how many there were.
        wanted: the cases that it must have.
        why: what is known if it has not.
    """
    cases: dict[str, Case] = {}
    problems = []
    ended = None
    for line in text.splitlines():
        try:
            content = json.loads(line)
            if "end" in content:
                ended = int(content["end"])
                continue
            name = str(content.pop("case"))
            unavailable = str(content.pop("unavailable", ""))
            values = {str(key): int(value) for key, value in content.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            problems.append(f"{why}: not a case: {line[:80]}")
            continue
        if name in cases:
            problems.append(f"{why}: {name} was reported twice")
        cases[name] = Case(values, unavailable)
    if ended != len(cases):
        problems.append(f"the report is not complete: {why}")
    missing = [case for case in wanted if case not in cases]
    if missing:
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        problems.append(f"no figure for {missing[0]}{more}: {why}")
    return Reported(cases, tuple(problems))


def to_json(record: Record) -> str:
    """The content of bench.json."""
    return json.dumps({"schema": SCHEMA, **asdict(record)}, indent=1) + "\n"


def read(path: Path) -> Record:
    """Read bench.json.

    Raises:
        UsageError: it cannot be read, or was written by another version.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["schema"] != SCHEMA:
            raise UsageError(f"{path} has schema {content['schema']}, not {SCHEMA}: measure again.")
        return Record(
            started=str(content["started"]),
            qemu=str(content["qemu"]),
            kernels=tuple(_measured(kernel) for kernel in content["kernels"]),
        )
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no bench.json: {error!r}.") from error


def _measured(content: Mapping[str, Any]) -> Measured:
    return Measured(
        variant=str(content["variant"]),
        manifest=dict(content["manifest"]),
        size={str(key): int(value) for key, value in content["size"].items()},
        cases={
            str(name): Case(
                {str(key): int(value) for key, value in case["values"].items()},
                str(case["unavailable"]),
            )
            for name, case in content["cases"].items()
        },
        problems=tuple(map(str, content["problems"])),
        nanoseconds={
            str(name): tuple(map(float, rounds)) for name, rounds in content["nanoseconds"].items()
        },
    )
