"""What a test session leaves behind: results.json, and stack traces with file and line."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import elf
from harness.errors import KrsiError
from harness.model import ROOT, BuildPaths
from harness.parity import Column
from harness.selftests import Item
from harness.splat import Frame, Splat, frame_of
from harness.verdict import Verdict

SCHEMA = 1
REPORTS = ROOT / "build/reports"


@dataclass(frozen=True)
class VariantRecord:
    """What is reported about one variant.

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


def new_folder(base: Path = REPORTS, now: datetime | None = None) -> Path:
    """Make build/reports/<time>/, which is nobody else's."""
    stamp = (now or datetime.now().astimezone()).strftime("%Y-%m-%d-%H%M%S")
    base.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = base / (f"{stamp}-{number}" if number > 1 else stamp)
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def point_to_latest(folder: Path) -> None:
    """Let build/reports/latest lead to `folder`."""
    link = folder.parent / f".latest-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)
    link.replace(folder.parent / "latest")


def read_manifest(paths: BuildPaths) -> Mapping[str, Any]:
    """What the variant was built from; empty when the build left no readable manifest."""
    try:
        manifest = json.loads(paths.manifest.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def results(
    variants: Sequence[VariantRecord],
    *,
    suite: str,
    outcomes: Mapping[str, Column],
    accel: str,
    cpus: int,
    started: datetime,
    seconds: float,
    exit_code: int,
) -> dict[str, Any]:
    """The content of results.json. Pure but for the name of the host's kernel.

    `schema` grows when a field changes its meaning or goes; new fields do not change it.
    """
    return {
        "schema": SCHEMA,
        "suite": suite,
        "started": started.astimezone(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 2),
        "exit_code": exit_code,
        "environment": {
            "accelerator": accel,
            "cpus": cpus,
            "host": platform.release(),
            "variants": {record.name: _environment(record) for record in variants},
        },
        "items": [
            {"round": number, **_item(record.name, item, verdict)}
            for record in variants
            for number, verdicts in enumerate((*record.earlier, record.verdicts), 1)
            for item, verdict in verdicts.items()
        ],
        "subtests": [
            {"name": name, "variant": variant, "status": found.status.value, "why": found.why}
            for variant, column in outcomes.items()
            for name, found in column.items()
            if "/" in name
        ],
        "strays": [
            {"variant": record.name, **_splat(found)}
            for record in variants
            for found in record.strays
        ],
    }


def _environment(record: VariantRecord) -> dict[str, Any]:
    return {
        "release": record.release,
        "error": record.error,
        "notes": list(record.notes),
        "consoles": [console.name for console in record.consoles],
        "manifest": dict(record.manifest),
    }


def _item(variant: str, item: Item, verdict: Verdict) -> dict[str, Any]:
    return {
        "name": item.name,
        "variant": variant,
        "status": verdict.status.value,
        "seconds": verdict.seconds,
        "message": verdict.message,
        "diagnostics": list(verdict.details),
        "splats": [_splat(found) for found in verdict.splats],
    }


def _splat(found: Splat) -> dict[str, Any]:
    return {
        "kind": found.kind,
        "title": found.title,
        "section": found.section,
        "line": found.line,
        "lines": list(found.lines),
    }


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON in one step: a reader sees the whole file or none."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    partial.replace(path)


def annotate(found: Splat, places: Mapping[Frame, str]) -> Splat:
    """The splat with "(file:line)" behind each entry of its trace that has a known place. Pure."""

    def line_of(line: str) -> str:
        frame = frame_of(line.replace("? ", ""))
        place = places.get(frame) if frame else None
        return f"{line} ({place})" if place else line

    return replace(found, lines=tuple(line_of(line) for line in found.lines))


class Resolver:
    """Puts file and line behind the entries of stack traces.

    Whatever goes wrong leaves the trace as the kernel printed it: a splat is never lost because
    its place is unknown.
    """

    def __init__(self, vmlinux: Path) -> None:
        """Nothing is read before the first splat: the tables are large."""
        self._image = elf.Image(vmlinux)

    def __call__(self, found: Splat) -> Splat:
        """The splat with places, as far as they can be found."""
        frames = [frame_of(line.replace("? ", "")) for line in found.lines]
        wanted = list(dict.fromkeys(frame for frame in frames if frame is not None))
        try:
            return annotate(found, self._places(wanted)) if wanted else found
        except (KrsiError, OSError, ValueError):
            return found

    def _places(self, frames: Sequence[Frame]) -> dict[Frame, str]:
        """File and line of each frame whose function is known and unambiguous."""
        addresses = {}
        for frame in frames:
            address = self._image.address(frame.function, frame.offset, frame.size)
            if address is not None:
                # What a trace names is where a call returns to; the call itself lies before.
                addresses[frame] = address - frame.is_return
        lines = self._image.lines(addresses.values())
        return {frame: str(lines[at]) for frame, at in addresses.items() if at in lines}
