"""docs/PROOF.md: what counts as proof, and that nothing is added to it."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness import report
from harness.checks import prefix, proof
from harness.checks.proof import Plan, Row, Run, Suite
from harness.errors import UsageError
from harness.model import Status
from harness.report.results import Kernel, Result, Results
from harness.run import selftests
from harness.trees import series
from harness.verdicts.splat import Splat

HASH = "0123456789abcdef0123"
RACE = Suite("detach_race", "a chain that goes too early", ("lsm_race/detach*",))
DENY = Suite("deny", "another errno", ("lsm_deny",))
PLAN = """
[[suite]]
name = "deny"
what = "another errno"
tests = ["lsm_deny"]

[[bug]]
what = "used after it was freed"
found = "lsm_scale on debug"
patch = "bpf, lsm: Run programs as chains"
"""


def item(name: str, status: str = "pass", variant: str = "debug", **more: Any) -> Result:
    return Result(name, variant, Status(status), **more)


def splat(kind: str) -> Splat:
    return Splat(kind, f"{kind}!", "boot", 1, (f"{kind}!",))


def results(digest: str = HASH, *, edited: bool = False, exported: bool = True) -> Results:
    made = {"series": {"hash": digest, "edited": edited, "exported": exported}}
    return Results(
        id="1",
        suite="krsi",
        started=datetime(2026, 1, 1, tzinfo=UTC),
        seconds=1,
        exit_code=0,
        accelerator="tcg",
        cpus=4,
        host="6.1",
        kernels=(Kernel("debug", manifest=made, strays=(splat("leak"),)),),
        items=(item("lsm_deny/file"), item("lsm_deny/inode", variant="krsi")),
    )


def run(*items: Result, kernel: str = "debug", strays: tuple[Splat, ...] = ()) -> Run:
    return Run(kernel, 2, items, strays)


def test_a_suite_has_tests_subtests_and_patterns() -> None:
    assert DENY.has("lsm_deny/file")
    assert DENY.has("lsm_deny")
    assert not DENY.has("lsm_deny_more/file")
    assert RACE.has("lsm_race/detach_race")
    assert not RACE.has("lsm_race/exit_race")


def test_runs_of_another_series_or_of_an_edited_one_prove_nothing() -> None:
    used, other = proof.runs_of(results(), HASH)
    assert [(found.kernel, found.cpus, len(found.items)) for found in used] == [("debug", 4, 1)]
    assert other == []
    assert proof.runs_of(results("another"), HASH) == ([], ["debug"])
    assert proof.runs_of(results(edited=True), HASH) == ([], ["debug"])
    # Committed in build/tree, but `make patches` was not run.
    assert proof.runs_of(results(exported=False), HASH) == ([], ["debug"])


def test_the_page_says_of_each_prefix_what_was_seen() -> None:
    one, two, three = (
        prefix.Prefix(number, "c0ffee", subject, (path,), "x")
        for number, subject, path in (
            (1, "bpf: Add it", "security/bpf/link.c"),
            (2, "libbpf: Know it", "tools/lib/bpf/libbpf.c"),
            (3, "selftests/bpf: Test it", "tools/testing/selftests/bpf/prog_tests/lsm_a.c"),
        )
    )
    seen = [
        (one, prefix.Result(1, one.subject, "c0ffee")),
        (two, None),
        (three, prefix.Result(3, three.subject, "c0ffee", faults=["no\nboot"], tests=7)),
    ]
    page = proof.page(Plan((), ()), [run()], HASH, seen)
    assert "1 of 3 prefixes are well." in page
    assert "| 1 | bpf: Add it | built | none yet | well |" in page
    assert "| 2 | libbpf: Know it |  |  | not checked |" in page
    assert "| 3 | selftests/bpf: Test it | as before | 7 | FAILED: no boot |" in page
    assert "**Not run.**" in proof.page(Plan((), ()), [run()], HASH)


def test_a_test_is_not_counted_beside_its_subtests_unless_it_failed() -> None:
    items = (item("lsm_deny/file"), item("lsm_deny"), item("lsm_alone"))
    ((found,), _) = proof.runs_of(replace(results(), items=items), HASH)
    assert [each.name for each in found.items] == ["lsm_deny/file", "lsm_alone"]
    crashed = (item("lsm_deny/file"), item("lsm_deny", "crash"))
    ((found,), _) = proof.runs_of(replace(results(), items=crashed), HASH)
    assert [each.name for each in found.items] == ["lsm_deny/file", "lsm_deny"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((), 1),
        (("note: 500 rounds in 3 ms",), 1),
        (("rounds: 300",), 300),
        (("lsm_test_count: rounds: 300", "rounds: 20"), 320),
    ],
)
def test_rounds_are_what_the_test_printed(lines: tuple[str, ...], expected: int) -> None:
    assert proof.rounds(lines) == expected


def test_rounds_of_several_runs_add_up_and_failures_are_kept() -> None:
    runs = [
        run(item("lsm_race/detach_race", diagnostics=("rounds: 300",))),
        run(item("lsm_race/detach_race", "crash", diagnostics=("rounds: 7",))),
        run(item("lsm_race/detach_again", "skip")),
        run(item("lsm_race/detach_again", "xfail")),
        run(item("lsm_race/detach_race", "splat", splats=(splat("kasan"), splat("leak")))),
    ]
    row = proof.rows(RACE, runs)["debug"]
    assert row == Row(passed=1, skipped=2, failures=2, splats=1, leaks=1, rounds=308, cpus={2})


def test_a_suite_that_did_not_run_says_so() -> None:
    text = proof.page(Plan((DENY, RACE), ()), [run(item("lsm_deny/file"))], HASH)
    assert "| detach_race | **not run** |" in text
    assert "| deny | debug | 2 | 1 | 1 | 0 | 0 | 0 | 0 |" in text


def test_what_one_run_skips_and_another_passes_is_no_longer_named() -> None:
    skip = item("lsm_deny/file", "skip", message="not here")
    here, elsewhere = run(skip), run(replace(skip, variant="krsi"), kernel="krsi")
    page = proof.page(Plan((DENY,), ()), [here, elsewhere, run(item("lsm_deny/file"))], HASH)
    assert "| krsi | lsm_deny/file | not here |" in page
    assert "| debug | lsm_deny/file |" not in page


def test_one_that_was_skipped_did_not_run_either() -> None:
    runs = [run(item("lsm_deny/file", "skip", message="no | here"))]
    text = proof.page(Plan((DENY,), ()), runs, HASH)
    assert "| deny | **not run** |" in text
    assert "| debug | lsm_deny/file | no / here |" in text


def test_leaks_are_not_claimed_where_nobody_looks() -> None:
    runs = [run(item("lsm_deny/file"), kernel="krsi", strays=(splat("oops"),))]
    text = proof.page(Plan((DENY,), ()), runs, HASH)
    assert "| deny | krsi | 2 | 1 | 1 | 0 | 0 | 0 | not looked for |" in text
    assert "| krsi | 1 | 1 | 0 | 0 | 0 | 1 | not looked for | none |" in text


def test_the_checkers_are_those_of_the_configuration() -> None:
    assert {"KASAN", "lockdep", "kmemleak"} <= set(proof.checkers("debug").split(", "))
    assert proof.checkers("krsi") == ""


@pytest.mark.parametrize("text", ["[", "", '[[suite]]\nname = "x"', "suite = 1"])
def test_a_broken_list_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match=r"proof\.toml"):
        proof.read_plan(text)


def test_the_list_names_tests_and_patches_that_there_are() -> None:
    plan = proof.read_plan(proof.SUITES.read_text("utf-8"))
    tests = selftests.discover()
    known = [
        item.name for test in tests for item in test.items if item.subtest or not test.subtests
    ]
    for suite in plan.suites:
        for name in suite.tests:
            if name.startswith("lsm_"):
                assert any(Suite("", "", (name,)).has(item) for item in known), name
    subjects = {patch.subject for patch in series.read(proof.PATCHES)}
    assert {bug.patch for bug in plan.bugs} <= subjects
    # A test that is in no suite proves nothing that anybody asked for.
    assert [item for item in known if not any(suite.has(item) for suite in plan.suites)] == []


def test_a_report_that_cannot_be_read_is_named_and_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = tmp_path / "2026-01-01-000000/results.json"
    strange.parent.mkdir()
    strange.write_text("{}", "utf-8")
    monkeypatch.setattr(report, "REPORTS", tmp_path)
    with pytest.raises(UsageError, match=r"no results\.json is of the series"):
        proof.write(None)
    assert "It is not counted." in "".join(capsys.readouterr())
    with pytest.raises(UsageError, match=r"is no results\.json of ours"):
        proof.write([strange])


def test_a_run_that_was_interrupted_is_named_and_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "load", lambda _: replace(results(), exit_code=130))
    with pytest.raises(UsageError, match=r"no results\.json is of the series"):
        proof.write([tmp_path / "results.json"])
    assert "it was interrupted" in "".join(capsys.readouterr())
