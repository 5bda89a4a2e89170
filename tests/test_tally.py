"""CI's last line adds up what was counted, and a missing report is a failure."""

import sys
from pathlib import Path

import pytest

from harness import proc
from harness.model import ROOT

JUNIT = '<testsuites><testsuite tests="{}" failures="{}" errors="{}" skipped="{}"/></testsuites>'


def tally(folder: Path, steps: int, *junit: tuple[int, int, int, int]) -> proc.Result:
    check = folder / "check.json"
    check.write_text('{"passed": 3, "failed": 0, "skipped": 1}', encoding="utf-8")
    reports = []
    for number, counts in enumerate(junit):
        reports.append(folder / f"junit-{number}.xml")
        reports[-1].write_text(JUNIT.format(*counts), encoding="utf-8")
    words = (sys.executable, ROOT / ".ci/tally.py", str(steps), check)
    return proc.run([*words, *reports], check=None)


@pytest.mark.parametrize(
    ("steps", "junit", "line", "status"),
    [
        (0, [(5, 0, 0, 1)], "7 passed, 0 failed, 2 skipped", 0),
        (0, [(5, 1, 1, 1), (2, 0, 0, 0)], "7 passed, 2 failed, 2 skipped", 1),
        (1, [(5, 1, 0, 0)], "7 passed, 1 failed, 1 skipped", 1),
        (2, [(5, 0, 0, 0)], "8 passed, 2 failed, 1 skipped", 1),
    ],
)
def test_sums(
    tmp_path: Path, steps: int, junit: list[tuple[int, int, int, int]], line: str, status: int
) -> None:
    done = tally(tmp_path, steps, *junit)
    assert (done.stdout.splitlines()[-1], done.returncode) == (line, status)


def test_a_missing_report_is_a_failure(tmp_path: Path) -> None:
    words = (sys.executable, ROOT / ".ci/tally.py", "0", tmp_path / "no.json")
    done = proc.run(words, check=None)
    assert done.stdout.splitlines()[-1] == "0 passed, 1 failed, 0 skipped"
    assert done.returncode == 1


def test_every_count_is_added(tmp_path: Path) -> None:
    for name, failed in ("check", 0), ("check-vm", 2):
        content = f'{{"passed": 3, "failed": {failed}, "skipped": 1}}'
        (tmp_path / f"{name}.json").write_text(content, encoding="utf-8")
    words = (sys.executable, ROOT / ".ci/tally.py", "1")
    done = proc.run([*words, tmp_path / "check.json", tmp_path / "check-vm.json"], check=None)
    assert done.stdout.splitlines()[-1] == "6 passed, 2 failed, 2 skipped"
    assert done.returncode == 1
