"""A guest's report is believed only when it is whole; bench.json is read as it was written."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench_fakes import KRSI, NONE, UPSTREAM, figure, record
from harness.bench.record import Case, parse, read, to_json
from harness.errors import UsageError

LINES = [
    '{"case": "mprotect/idle", "calls": 16, "min": 18352, "median": 18352, "max": 21224}',
    '{"case": "mprotect/sleepable", "unavailable": "bpf_lsm_file_mprotect is not sleepable"}',
    '{"end": 2}',
]
WANTED = ("mprotect/idle", "mprotect/sleepable")


def report(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


def test_a_whole_report() -> None:
    found = parse(report(*LINES), WANTED, "why")
    assert found.problems == ()
    assert found.cases["mprotect/idle"].cost == 1147
    assert found.cases["mprotect/sleepable"].unavailable.endswith("is not sleepable")
    assert found.cases["mprotect/sleepable"].cost is None


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (LINES[:2], "the report is not complete: why"),
        ([LINES[0], LINES[2]], "no figure for mprotect/sleepable: why"),
        ([LINES[0][:40], *LINES[1:]], 'why: not a case: {"case": "mprotect/idle"'),
        ([LINES[0], LINES[0], LINES[1], LINES[2]], "why: mprotect/idle was reported twice"),
        ([], "no figure for mprotect/idle and 1 more: why"),
        (["[1, 2]", *LINES], "why: not a case: [1, 2]"),
        (['{"case": "x", "min": "many"}', *LINES], "why: not a case"),
    ],
)
def test_a_report_that_is_not_whole(lines: list[str], problem: str) -> None:
    problems = parse(report(*lines), WANTED, "why").problems
    assert any(found.startswith(problem) for found in problems)


def test_a_case_that_nobody_asked_for_is_kept() -> None:
    extra = '{"case": "crossed/refused", "init": 0}'
    found = parse(report(extra, *LINES[:2], '{"end": 3}'), WANTED, "why")
    assert found.problems == ()
    assert found.cases["crossed/refused"].values == {"init": 0}


def test_spread_is_what_half_of_the_batches_took_more() -> None:
    assert figure(1000).spread == 0
    assert figure(1000, 2.5).spread == 2.5
    assert Case().spread == 0


def test_bench_json_is_read_as_it_was_written(tmp_path: Path) -> None:
    timed = replace(KRSI, nanoseconds={"mprotect/idle": (99.5, 101.0)}, problems=("a case",))
    written = record(NONE, UPSTREAM, timed)
    path = tmp_path / "bench.json"
    path.write_text(to_json(written))
    assert read(path) == written


@pytest.mark.parametrize(
    ("text", "complaint"),
    [('{"schema": 0}', "has schema 0"), ("{}", "is no bench.json"), ("[", "is no bench.json")],
)
def test_a_file_that_is_no_bench_json(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=complaint):
        read(path)
    with pytest.raises(UsageError, match="No such file"):
        read(tmp_path / "none.json")
