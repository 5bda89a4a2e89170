"""results.json: a KCIDB document, as KernelCI's collector takes it, and all of ours in it.

A checkout is what a kernel was built from, a build is a variant, a test is an item in one round.
Besides them there is, for each variant, a test whose path is the suite's name: it stands for
the run as a whole, and what the kernel said outside of any test. A failure that policy expects
is a FAIL with an incident that names the issue. Figures of `make bench` are tests that are DONE.

What the schema has no field for lies in `misc`; `unpack` needs nothing else. Pure.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harness.model import Status
from harness.report import results as plain
from harness.report.results import Kernel, Result, Results
from harness.report.text import bounded, clean

ORIGIN = "krsi"
VERSION = {"major": 5, "minor": 3}
#: The most that the schema allows in an excerpt of a log, in characters.
EXCERPT = 16384

#: A test that was ended because of what it printed did not complete: ERROR. What hangs or crashes
#: is faulty, and so is what fails as expected: then an incident says why.
STATUS = {
    Status.PASS: "PASS",
    Status.SKIP: "SKIP",
    Status.MISS: "MISS",
    Status.FLOOD: "ERROR",
    Status.FAIL: "FAIL",
    Status.CRASH: "FAIL",
    Status.HANG: "FAIL",
    Status.SPLAT: "FAIL",
    Status.XFAIL: "FAIL",
}
_WORST_FIRST = ("FAIL", "ERROR", "MISS", "PASS", "DONE", "SKIP")


@dataclass(frozen=True)
class Figure:
    """One figure of `make bench`: what a case takes on a kernel.

    Attributes:
        unit: what it counts.
    """

    variant: str
    case: str
    value: float
    unit: str


def pack(
    results: Results, figures: Iterable[Figure] = (), patchsets: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The results as a KCIDB document.

    Args:
        results: of a run.
        figures: of the same kernels.
        patchsets: KCIDB's hash of the patches of a kernel by its name, as far as they are known.
    """
    kernels = {kernel.variant: kernel for kernel in results.kernels}
    expected = [item for item in results.items if item.status is Status.XFAIL]
    return {
        "version": VERSION,
        "checkouts": _unique(_checkout(kernel, patchsets or {}) for kernel in kernels.values()),
        "builds": _unique(_build(kernel) for kernel in kernels.values()),
        "tests": [
            *(_whole(results, kernel) for kernel in kernels.values()),
            *(_test(results, item, kernels[item.variant]) for item in results.items),
            *(
                _figure(results, figure, kernels[figure.variant])
                for figure in figures
                if figure.variant in kernels
            ),
        ],
        "issues": _unique(map(_issue, expected)),
        "incidents": [_incident(results, item) for item in expected],
    }


def unpack(document: Mapping[str, Any]) -> Results:
    """The results in a document that `pack` has made.

    Raises:
        KeyError, TypeError, ValueError, AttributeError, StopIteration: it is something else.
    """
    tests = document["tests"]
    content = next(test["misc"]["run"] for test in tests if "run" in test["misc"])
    items = [test["misc"]["item"] for test in tests if "item" in test["misc"]]
    return plain.from_plain({**content, "items": items})


def _unique(objects: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({each["id"]: each for each in objects}.values())


def _object(name: str) -> dict[str, str]:
    return {"id": f"{ORIGIN}:{clean(name)}", "origin": ORIGIN}


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _source(kernel: Kernel) -> Mapping[str, Any]:
    manifest = kernel.manifest or {}
    return {name: manifest.get(name) for name in ("base", "series")}


def _base(kernel: Kernel) -> Mapping[str, Any]:
    base = (kernel.manifest or {}).get("base")
    return base if isinstance(base, dict) else {}


def _checkout_id(kernel: Kernel) -> str:
    return f"checkout/{kernel.variant}/{_hash(_source(kernel))}"


def _build_id(kernel: Kernel) -> str:
    return f"build/{kernel.variant}/{_hash(kernel.manifest)}"


def _checkout(kernel: Kernel, patchsets: Mapping[str, str]) -> dict[str, Any]:
    version = str(_base(kernel).get("version", ""))
    series = str(kernel.series.get("hash", ""))
    return {
        **_object(_checkout_id(kernel)),
        **({"tree_name": "stable", "git_commit_name": f"v{clean(version)}"} if version else {}),
        **({"patchset_hash": patchsets[name]} if (name := kernel.variant) in patchsets else {}),
        "comment": clean(f"Linux {version or '?'}, series {series or '?'}"),
        "valid": True,
        "misc": dict(_source(kernel)),
    }


def _build(kernel: Kernel) -> dict[str, Any]:
    manifest = kernel.manifest or {}
    compiler = manifest.get("toolchain", {}).get("gcc", "")
    seconds = manifest.get("seconds", {}).get("total")
    return {
        **_object(_build_id(kernel)),
        "checkout_id": _object(_checkout_id(kernel))["id"],
        "architecture": "x86_64",
        "command": clean(f"make kernel VARIANT={kernel.variant}"),
        "config_name": clean(kernel.variant),
        **({"compiler": clean(compiler)} if compiler else {}),
        **({"duration": seconds} if seconds is not None else {}),
        "status": "PASS",
        "misc": {"manifest": dict(manifest)},
    }


def _environment(results: Results) -> dict[str, Any]:
    return {
        "comment": clean(f"QEMU, {results.cpus} CPUs, {results.accelerator}"),
        "misc": {
            "accelerator": results.accelerator,
            "cpus": results.cpus,
            "options": list(results.options),
            "host": results.host,
        },
    }


def _path(*names: str) -> str:
    """A path in KernelCI's tree of tests."""
    parts = [part for name in names for part in name.split("/")]
    return ".".join(re.sub("[^a-zA-Z0-9_-]", "_", part) or "_" for part in parts)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _whole(results: Results, kernel: Kernel) -> dict[str, Any]:
    """The run on one kernel."""
    content = plain.to_plain(results)
    del content["items"]
    said = [line for found in kernel.strays for line in found.lines]
    return {
        **_object(f"{results.id}/{kernel.variant}"),
        "build_id": _object(_build_id(kernel))["id"],
        "path": _path(results.suite),
        "status": _status_of(results, kernel),
        "comment": clean(kernel.error or _titles(kernel) or f"suite {results.suite}"),
        "start_time": results.started.isoformat(timespec="seconds"),
        "duration": results.seconds,
        **({"log_excerpt": bounded(said, EXCERPT)} if said else {}),
        "environment": _environment(results),
        # Each kernel's says all of it: a reader may have a part of the document.
        "misc": {"run": content, "logs": list(kernel.consoles)},
    }


def _titles(kernel: Kernel) -> str:
    return "; ".join(found.title for found in kernel.strays)


def _status_of(results: Results, kernel: Kernel) -> str:
    """The worst of its items, of splats outside of them, and of whether it could be tested."""
    seen = [STATUS[i.status] for i in results.of(kernel.variant) if i.status is not Status.XFAIL]
    seen += ["FAIL"] if kernel.strays else []
    seen += ["MISS"] if kernel.error or not seen else []
    return min(seen, key=_WORST_FIRST.index)


def _test_id(results: Results, item: Result) -> str:
    return f"{results.id}/{item.variant}/{item.name}/{item.round}"


def _test(results: Results, item: Result, kernel: Kernel) -> dict[str, Any]:
    said = [*item.diagnostics, *(line for found in item.splats for line in found.lines)]
    failed = item.status not in (Status.PASS, Status.SKIP)
    return {
        **_object(_test_id(results, item)),
        "build_id": _object(_build_id(kernel))["id"],
        "path": _path(results.suite, item.name),
        "status": STATUS[item.status],
        **({"comment": clean(item.message)} if item.message else {}),
        **({"start_time": _moment(item.started)} if item.started else {}),
        "duration": item.seconds,
        **({"log_excerpt": bounded(said, EXCERPT)} if said and failed else {}),
        "environment": _environment(results),
        "misc": {"item": plain.item_to_plain(item), "logs": list(kernel.consoles)},
    }


def _figure(results: Results, figure: Figure, kernel: Kernel) -> dict[str, Any]:
    return {
        **_object(f"{results.id}/{figure.variant}/bench/{figure.case}"),
        "build_id": _object(_build_id(kernel))["id"],
        "path": _path("bench", figure.case),
        "status": "DONE",
        "number": {"value": figure.value, "unit": figure.unit},
        "misc": {},
    }


def _issue_name(item: Result) -> str:
    return f"issue/{item.variant}/{item.name}/{_hash(item.message)}"


def _issue(item: Result) -> dict[str, Any]:
    return {**_object(_issue_name(item)), "version": 1, "comment": clean(item.message)}


def _incident(results: Results, item: Result) -> dict[str, Any]:
    return {
        **_object(f"incident/{_test_id(results, item)}"),
        "issue_id": _object(_issue_name(item))["id"],
        "issue_version": 1,
        "test_id": _object(_test_id(results, item))["id"],
        "present": True,
    }
