"""A report's folder: write all of it, read what others need of it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from harness.errors import UsageError
from harness.model import ROOT, VARIANTS
from harness.report import consoles, figures, junit, kcidb, results, tap
from harness.report.compare import Comparison
from harness.report.folder import write, write_text
from harness.report.results import Results
from harness.trees import series

NAME = "results.json"
#: What `leave` makes.
MADE = (NAME, "junit.xml", "results.ktap", "report.html")
_PATCHES = ROOT / "kernel-patches"
_NOT_OURS = (KeyError, TypeError, ValueError, AttributeError, StopIteration)


def load(path: Path) -> Results:
    """Read a results.json, or the one in a folder.

    Raises:
        UsageError: there is none, or it is not ours.
    """
    path = path / NAME if path.is_dir() else path
    try:
        content = json.loads(path.read_text("utf-8"))
        # Those of before KCIDB lie there as they are.
        return results.from_plain(content) if "schema" in content else kcidb.unpack(content)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}: a results.json is wanted here") from error
    except _NOT_OURS as error:
        why = " ".join(str(error).split())
        raise UsageError(f"{path} is no results.json of ours: {why or 'empty'}") from error


def leave(folder: Path, found: Results, comparison: Comparison | None = None) -> None:
    """Write everything that a report consists of besides the logs, which are there."""
    measured = figures.beside(folder)
    write(folder / NAME, kcidb.pack(found, figures.of(measured), patchsets(found)))
    write_text(folder / "junit.xml", junit.render(found))
    write_text(folder / "results.ktap", tap.render(found))
    page(folder, found, comparison)


def page(folder: Path, found: Results, comparison: Comparison | None = None) -> None:
    """Write report.html."""
    # A reader of results has no use for a template engine.
    from harness.report import html  # noqa: PLC0415

    measured = figures.beside(folder)
    drawn = [folder / name for name in figures.PLOTS if (folder / name).is_file()]
    text = html.render(
        found,
        consoles.read(folder, found),
        comparison=comparison,
        plots=[path.read_text("utf-8") for path in drawn],
        made=measured.started if measured else "",
    )
    write_text(folder / "report.html", text)


def patchsets(found: Results, folder: Path = _PATCHES) -> Mapping[str, str]:
    """KernelCI's hash of the patches of each kernel that has those of `folder`, or none.

    Raises:
        UsageError: the series is not in order.
    """
    patches = series.read(folder)
    ours = series.digest(patches)
    lines = [hashlib.sha256(patch.path.read_bytes()).hexdigest() + "\n" for patch in patches]
    theirs = hashlib.sha256("".join(lines).encode()).hexdigest()
    known = {}
    for kernel in found.kernels:
        applied = VARIANTS[kernel.variant].series if kernel.variant in VARIANTS else "?"
        if applied == "none":
            known[kernel.variant] = ""
        elif applied == "all" and kernel.is_of(ours):
            known[kernel.variant] = theirs
    return known
