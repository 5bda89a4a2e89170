"""What a run in a real machine has left, and the verdicts that follow from it.

A folder of tests/golden/ holds one run: run.json says what was asked for and how it ended, and
expected.json what has to follow from console.log and report.ktap. `make check-vm RECORD=1` makes
all of them anew.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from harness.model import ROOT
from harness.run.selftests import Item, Selftest
from harness.verdicts import files, ktap, splat, verdict
from harness.verdicts.verdict import Ending, Evidence

GOLDEN = Path(__file__).parent / "golden"
_LINES = 60
_RUN = re.compile(r"(.)\1{199,}", re.DOTALL)
_REPORT = 1 << 12


def evidence(folder: Path) -> Evidence:
    """The evidence on a recorded run."""
    facts = json.loads((folder / "run.json").read_text("utf-8"))
    test = Selftest(facts["test"], tuple(facts["subtests"]), ROOT / "cases.sh")
    log = (folder / "console.log").read_text("utf-8")
    report = folder / "report.ktap"
    return Evidence(
        test=test,
        wanted=tuple(Item(test.name, subtest) for subtest in facts["wanted"]),
        report=ktap.parse(files.text(report.read_bytes()) if report.exists() else ""),
        log=log,
        splats=splat.scan(log, splat.load_policy(ROOT / "policy"), test.name),
        ending=Ending[facts["ending"]],
        status=facts["status"],
        limit=facts["limit"],
    )


def verdicts(found: Evidence) -> dict[str, Any]:
    """What follows from the evidence, as expected.json says it."""
    subtests = [item for item in found.wanted if item.subtest]
    reached = {item.name: verdict.of_subtest(found, item) for item in subtests}
    reached[found.test.name] = verdict.of_test([found])
    return {
        "verdicts": {name: [each.status.value, each.message] for name, each in reached.items()},
        "continued": [item.name for item in subtests if verdict.to_be_continued(found, item)],
        "splats": [[each.kind, each.section, len(each.lines)] for each in found.splats],
    }


def of_boot(log: str) -> dict[str, Any]:
    """What follows from the log of a machine that did not come up."""
    found = splat.scan(log, splat.load_policy(ROOT / "policy"), "boot")
    return {"splats": [[each.kind, each.section, each.title] for each in found]}


def copy_run(origin: Path, copy: Path, names: dict[str, str]) -> None:
    """Keep a run, trimmed, with what follows from it."""
    shutil.copytree(origin, copy)
    log, report = copy / "console.log", copy / "report.ktap"
    log.write_text(_trimmed(log.read_text("utf-8"), names), "utf-8")
    if report.exists():
        content = report.read_bytes()
        half = _REPORT // 2
        report.write_bytes(content if len(content) <= _REPORT else content[:half] + content[-half:])
    _save(copy, verdicts(evidence(copy)))


def copy_boot(console: Path, copy: Path) -> None:
    """Keep the end of the log of a machine that did not come up."""
    copy.mkdir()
    said = console.read_text("utf-8", "replace").splitlines()
    # What names files of the host.
    kept = [line for line in said if "ommand line" not in line and "virtme" not in line]
    log = "".join(f"{line}\n" for line in kept[-_LINES:])
    (copy / "boot.log").write_text(log, "utf-8")
    _save(copy, of_boot(log))


def _trimmed(log: str, names: dict[str, str]) -> str:
    """A log that is short enough to be kept, and names nothing of the host."""
    for name, other in names.items():
        log = log.replace(name, other)
    lines = [_RUN.sub(lambda run: run[1] * 200, line) for line in log.split("\n")]
    if len(lines) > 4 * _LINES:
        lines = [*lines[:_LINES], f"[ {len(lines) - 2 * _LINES} lines ]", *lines[-_LINES:]]
    return "\n".join(lines)


def _save(folder: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (folder / "expected.json").write_text(f"{text}\n", "utf-8")
