"""--last-failed: which run it means, and which items of it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness import report
from harness.errors import UsageError
from harness.model import Status
from harness.report import Result, Results, VariantRecord
from harness.report.results import Kernel
from harness.run import durations, failed
from harness.run.selftests import Item
from harness.verdicts.verdict import Verdict


def results(suite: str, *statuses: tuple[str, str]) -> Results:
    items = tuple(Result(f"lsm_{key}", "krsi", Status(status)) for key, status in statuses)
    when = datetime(2026, 1, 1, tzinfo=UTC)
    kernels = (Kernel("krsi"),)
    return Results("id", suite, when, 1.0, 1, "tcg", 2, "6.12", kernels=kernels, items=items)


def leave(reports: Path, name: str, suite: str = "krsi", **statuses: str) -> None:
    (reports / name).mkdir(parents=True)
    report.leave(reports / name, results(suite, *statuses.items()))


def test_the_latest_run_of_the_suite_that_had_results(tmp_path: Path) -> None:
    leave(tmp_path, "2026-01-01", a="fail")
    leave(tmp_path, "2026-01-02", a="pass", b="crash", c="miss", d="skip", e="xfail")
    leave(tmp_path, "2026-01-03", "upstream", z="fail")
    leave(tmp_path, "2026-01-04")
    (tmp_path / "2026-01-05").mkdir()
    (tmp_path / "2026-01-05/results.json").write_text("{")
    (tmp_path / "latest").symlink_to("2026-01-01")
    last = failed.latest(tmp_path, "krsi")
    assert last.folder.name == "2026-01-02"
    assert last.names == {"krsi": {"lsm_b", "lsm_c"}}


def test_a_round_that_was_not_well_counts() -> None:
    found = results("krsi", ("a", "fail"), ("a", "pass"))
    assert failed.of_results(found) == {"krsi": {"lsm_a"}}


def test_names_and_kernels_narrow_it_down() -> None:
    last = failed.Last(Path("x"), {"krsi": frozenset({"lsm_a/x", "lsm_a"}), "audit": frozenset()})
    a, x, b = Item("lsm_a"), Item("lsm_a", "x"), Item("lsm_b")
    assert failed.only(last, (), [x, a, b]) == {"krsi": (x, a)}
    assert failed.only(last, ("krsi",), [a]) == {"krsi": (a,)}
    assert failed.only(last, ("audit", "none"), [a]) == {}
    assert last.say({}) == "not well in x: nothing"


def test_without_a_run_there_is_nothing_to_go_by(tmp_path: Path) -> None:
    leave(tmp_path, "2026-01-03", "upstream", z="fail")
    with pytest.raises(UsageError, match="no run of the suite 'krsi'"):
        failed.latest(tmp_path, "krsi")


def test_durations_are_kept_and_what_did_not_run_says_nothing(tmp_path: Path) -> None:
    verdicts = {
        Item("a"): Verdict(Status.PASS, seconds=2.0),
        Item("b"): Verdict(Status.MISS, seconds=9.0),
    }
    record = VariantRecord("krsi", "", "", (), (), verdicts, (), {})
    place = tmp_path / "build/durations.json"
    assert durations.known(place) == {}
    durations.learn([record], place)
    assert durations.known(place) == {"krsi": {"a": 2.0}}
    place.write_text("[1]")
    assert durations.known(place) == {}
