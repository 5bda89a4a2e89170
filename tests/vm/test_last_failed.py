"""--last-failed on real machines: what was not well runs again, and nothing else."""

from pathlib import Path

import pytest

import real
from harness.model import Status

pytestmark = pytest.mark.vm


def test_only_what_was_not_well_runs_again(tmp_path: Path) -> None:
    first = real.broken(tmp_path, "plain", "bystander")
    failed = {name for name, item in first.items.items() if not item.fine}
    assert failed == {"plain", "plain/fails"}
    again = real.broken(tmp_path, "--last-failed")
    assert f"not well in {first.folder.name}: 2 items" in again.output
    assert again.items.keys() == failed
    assert {item.status for item in again.items.values()} == {Status.FAIL}
    assert again.code == 1
    report = (again.golden / "plain-2/report.ktap").read_text("utf-8")
    assert "not ok 1 fails" in report
    assert " ok 1 ok" not in report, "the subtest that passed has not run"


def test_nothing_is_left_to_run_after_all_was_well(tmp_path: Path) -> None:
    first = real.broken(tmp_path, "bystander")
    assert first.code == 0
    before = sorted(tmp_path.iterdir())
    done = real.front(tmp_path, "--last-failed")
    assert done.returncode == 0
    assert f"not well in {first.folder.name}: nothing" in done.stdout
    assert sorted(tmp_path.iterdir()) == before, "nothing has run"
