"""The figures of `make bench` in a report: those that were measured on the same kernels."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.bench import record
from harness.bench.record import Record
from harness.errors import UsageError
from harness.model import ROOT
from harness.report.kcidb import Figure
from harness.report.results import Results

LATEST = ROOT / "build/bench/latest"
NAME = "bench.json"
PLOTS = ("programs.svg", "idle.svg", "attach.svg")


def adopt(folder: Path, found: Results, latest: Path = LATEST) -> None:
    """Copy the latest figures and their plots, if they are of the kernels that were tested.

    They are if series, configuration and compilers are the same.
    """
    measured = beside(latest)
    if measured is None or not _same_kernels(measured, found):
        return
    for name in (NAME, *PLOTS):
        if (latest / name).is_file():
            shutil.copyfile(latest / name, folder / name)


def _same_kernels(measured: Record, found: Results) -> bool:
    """Whether at least one kernel of the run is one of those, and none is another one."""
    tested = {kernel.variant: _made_of(kernel.manifest or {}) for kernel in found.kernels}
    shared = [kernel for kernel in measured.kernels if kernel.variant in tested]
    return bool(shared) and all(
        tested[kernel.variant] == _made_of(kernel.manifest) for kernel in shared
    )


def _made_of(manifest: Mapping[str, Any]) -> tuple[Any, ...]:
    made = manifest.get("series")
    digest = made.get("hash") if isinstance(made, dict) else None
    return digest, manifest.get("configuration"), manifest.get("toolchain")


def beside(report: Path) -> Record | None:
    """The figures in a report's folder, or beside one of its files; None where there are none."""
    path = (report if report.is_dir() else report.parent) / NAME
    if not path.is_file():
        return None
    try:
        return record.read(path)
    except UsageError:
        return None


def of(measured: Record | None) -> Iterator[Figure]:
    """Each figure that a kernel has."""
    for kernel in measured.kernels if measured else ():
        for case in kernel.cases:
            cost = kernel.cost(case)
            if cost is not None:
                yield Figure(kernel.variant, case, cost, "instructions")
            elif (spent := kernel.value(case, "ns")) is not None:
                yield Figure(kernel.variant, case, float(spent), "virtual ns")
