"""KTAP: golden reports, and what must never be taken for a pass."""

import json
from pathlib import Path

import pytest

from harness.verdicts import ktap

DATA = Path(__file__).parent / "data/ktap"
REPORTS = sorted(DATA.glob("*.ktap"))


def as_json(report: ktap.Report) -> dict[str, object]:
    return {
        "results": [
            [
                name,
                result.ok,
                result.number,
                result.directive,
                result.reason,
                list(result.diagnostics),
                result.running,
            ]
            for name, result in report.flat().items()
        ],
        "problems": list(report.problems),
        "diagnostics": list(report.diagnostics),
        "running": report.running,
    }


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    expected = json.loads(path.with_suffix(".json").read_text())
    assert as_json(ktap.parse(path.read_text())) == expected


def test_every_prefix_of_a_good_report_is_refused() -> None:
    """Wherever a machine dies, the rest of the report is not believed."""
    text = (DATA / "pass.ktap").read_text()
    for length in range(len(text)):
        assert ktap.parse(text[:length]).problems, text[:length]
    assert not ktap.parse(text).problems


def test_a_subtest_that_began_is_named() -> None:
    report = ktap.parse((DATA / "crash.ktap").read_text())
    assert report.flat()["lsm_attach"].running == "pin"
    assert report.flat()["lsm_attach"].ok is None


def test_a_failure_is_not_overwritten_by_a_later_success() -> None:
    report = ktap.parse("KTAP version 1\n1..2\nnot ok 1 a\nok 2 a\n")
    assert report.flat()["a"].ok is False
    assert report.problems


@pytest.mark.parametrize(
    ("line", "name", "directive", "reason"),
    [
        ("ok 1 a", "a", "", ""),
        ("ok 1 - a", "a", "", ""),
        ("ok 1 a # SKIP", "a", "SKIP", ""),
        ("ok 1 a # skip: no CPU", "a", "SKIP", "no CPU"),
        ("ok 1 a # SKIPPING is no directive", "a", "", "SKIPPING is no directive"),
        ("ok 1 a#b # ERROR killed", "a#b", "ERROR", "killed"),
        ("ok 1 # SKIP nameless", "", "SKIP", "nameless"),
        ("ok 1", "", "", ""),
    ],
)
def test_result_lines(line: str, name: str, directive: str, reason: str) -> None:
    (result,) = ktap.parse(f"KTAP version 1\n1..1\n{line}\n").results
    assert (result.name, result.directive, result.reason) == (name, directive, reason)


def test_another_version_is_refused() -> None:
    assert ktap.parse("KTAP version 2\n1..0\n").problems


def test_dos_line_ends_are_read() -> None:
    assert not ktap.parse("KTAP version 1\r\n1..1\r\nok 1 a\r\n").problems
