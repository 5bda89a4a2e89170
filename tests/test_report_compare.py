"""A run beside its baseline: what is new, what is not, and what a run that is told so fails by."""

from dataclasses import replace
from pathlib import Path

import pytest

import runs
from harness import cli
from harness.bench.record import Case, Measured, Record, to_json
from harness.errors import UsageError
from harness.model import Status
from harness.report import compare, finish, options, store
from harness.report.compare import Comparison
from harness.report.results import Results
from harness.run.options import parse


def against(old: Results, new: Results, *, whole: bool = True) -> Comparison:
    return compare.compare(old, new, baseline="old", whole=whole)


def one(status: str, was: str | None = "pass") -> Comparison:
    """A run of two tests, one of which has these statuses."""
    old = [runs.item("lsm_x", was, message="then")] if was else []
    new = runs.item("lsm_x", status, message="why")
    same = runs.item("lsm_same")
    return against(runs.run(same, *old), runs.run(same, new))


@pytest.mark.parametrize(
    ("was", "status", "group", "failed"),
    [
        ("pass", "fail", "new failure", True),
        ("skip", "fail", "new failure", True),
        (None, "fail", "new failure", True),
        ("fail", "crash", "new failure", True),
        ("fail", "splat", "new failure", True),
        ("miss", "miss", "new failure", True),
        ("xfail", "fail", "new failure", True),
        ("fail", "fail", "still failing", False),
        ("crash", "fail", "still failing", False),
        ("hang", "hang", "still failing", False),
        ("fail", "pass", "fixed", False),
        ("fail", "xfail", "fixed", False),
        ("fail", "skip", "skipped now", False),
        ("pass", "skip", "skipped now", False),
        (None, "pass", "new test", False),
    ],
)
def test_groups(was: str | None, status: str, group: str, *, failed: bool) -> None:
    found = one(status, was)
    assert list(found.groups) == [group]
    assert found.groups[group][0].startswith(f"lsm_x[krsi]: {was or 'not there'} → {status}")
    assert found.failed == failed


def test_nothing_has_changed() -> None:
    found = against(runs.run(*runs.every_status()[:2]), runs.run(*runs.every_status()[:2]))
    assert compare.says(found) == ["compared with old: no difference"]
    assert not found.failed


def test_what_is_gone_is_a_failure_unless_only_a_part_ran() -> None:
    old, new = runs.run(runs.item("lsm_x"), runs.item("lsm_y")), runs.run(runs.item("lsm_x"))
    found = against(old, new)
    assert found.groups == {"gone": ("lsm_y[krsi]: pass → not there",)}
    assert found.failed
    assert not against(old, new, whole=False).groups


def test_kernels_that_did_not_run_are_not_missed() -> None:
    old = runs.run(runs.item("lsm_x"), runs.item("lsm_x", variant="debug"))
    assert not against(old, runs.run(runs.item("lsm_x"))).groups


def splats(*titles: str, status: str = "splat", variant: str = "krsi") -> Results:
    """A run of one test whose rounds have each one splat, by its title."""
    return runs.run(
        *(
            runs.item(
                "lsm_x",
                status,
                variant,
                round=number,
                message=f"warning: {title}",
                splats=(replace(runs.SPLAT, title=title, lines=(title,)),),
            )
            for number, title in enumerate(titles, 1)
        )
    )


def test_another_splat_is_a_new_failure() -> None:
    before = splats("WARNING: CPU: 1 at a.c", "WARNING: CPU: 1 at b.c")
    same = against(before, splats("WARNING: CPU: 0 at b.c"))
    assert (list(same.groups), same.failed) == (["still failing"], False)
    other = against(before, splats("WARNING: CPU: 1 at c.c"))
    assert other.groups == {
        "new failure": ("lsm_x[krsi]: splat → splat: another one: warning: WARNING: CPU: 1 at c.c",)
    }
    assert other.failed
    # Neither what is less severe nor what comes in a later round only hides it.
    assert against(splats("a", status="crash"), splats("b")).failed
    assert against(splats("a"), splats("a", "b")).failed


def test_a_baseline_that_knows_no_fingerprints_is_compared_by_status() -> None:
    before = runs.run(runs.item("lsm_x", "splat", message="then"))
    assert list(against(before, splats("a")).groups) == ["still failing"]


def test_flaky_is_what_differs_between_rounds() -> None:
    flaky = runs.run(runs.item("lsm_x"), runs.item("lsm_x", "fail", round=2))
    found = against(runs.run(runs.item("lsm_x")), flaky)
    assert found.groups["flaky"] == ("lsm_x[krsi]: steady → flaky: in rounds 1 pass, 2 fail",)
    assert list(found.groups) == ["new failure", "flaky"]
    again = against(flaky, flaky)
    assert list(again.groups) == ["flaky", "still failing"]
    assert not again.failed
    skips = runs.run(runs.item("lsm_x"), runs.item("lsm_x", "skip", round=2))
    assert against(runs.run(runs.item("lsm_x")), skips).failed


def test_slower_is_a_matter_of_ratio_and_of_seconds() -> None:
    def run(*seconds: float) -> Results:
        return runs.run(*(runs.item(f"lsm_{n}", seconds=each) for n, each in enumerate(seconds)))

    found = against(run(0.1, 10, 2), run(0.9, 15, 5))
    assert found.groups == {"slower": ("lsm_2[krsi]: 2.0 s → 5.0 s",)}
    assert not found.failed


def test_a_splat_outside_of_tests_is_new_by_what_it_says() -> None:
    def run(title: str) -> Results:
        stray = replace(runs.SPLAT, section="boot", title=title)
        return runs.run(runs.item("lsm_x"), kernels=(runs.kernel(strays=(stray,)),))

    known = run("WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2")
    assert not against(known, run("WARNING: CPU: 1 PID: 77 at a.c:1 f+0x1/0x2")).failed
    found = against(known, run("WARNING: CPU: 0 PID: 1 at b.c:1 g+0x1/0x2"))
    assert found.failed
    assert "new splat outside of any test" in found.groups


def bench(folder: Path, instructions: int) -> None:
    cases = {"mprotect/idle": Case({"calls": 1, "min": instructions, "median": instructions})}
    record = Record("2026", "QEMU", (Measured("krsi", runs.MANIFEST, {}, cases),))
    (folder / "bench.json").write_text(to_json(record))


def lay_out(folder: Path, found: Results, instructions: int) -> str:
    folder.mkdir()
    bench(folder, instructions)
    store.leave(folder, found)
    return str(folder)


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = runs.run(runs.item("lsm_x"))
    before = lay_out(tmp_path / "before", good, 700)
    after = lay_out(tmp_path / "after", runs.run(runs.item("lsm_x", "fail", message="no")), 712)
    assert cli.main(["report", "compare", before, after]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"compared with {before}: 1 new failure, 1 costlier",
        "  new failure: lsm_x[krsi]: pass → fail: no",
        "  costlier: mprotect/idle[krsi]: 700 → 712",
    ]
    assert cli.main(["report", "compare", after, before]) == 0
    assert cli.main(["report", "compare", before, str(tmp_path / "none")]) == 2


@pytest.mark.parametrize("new_only", [False, True])
def test_what_is_slower_or_costlier_is_said_and_fails_nothing(
    tmp_path: Path, *, new_only: bool
) -> None:
    before = lay_out(tmp_path / "before", runs.run(runs.item("lsm_x", seconds=2)), 700)
    found = runs.run(runs.item("lsm_x", seconds=5))
    after = lay_out(tmp_path / "after", found, 712)
    wishes = options.Wishes(baseline=Path(before), new_only=new_only)
    old = finish.baseline(wishes)
    done = finish.finish(Path(after), found, wishes, old, whole=True, environ={})
    assert done.exit_code == 0
    assert done.lines == (
        f"compared with {before}: 1 slower, 1 costlier",
        "  slower: lsm_x[krsi]: 2.0 s → 5.0 s",
        "  costlier: mprotect/idle[krsi]: 700 → 712",
    )
    page = (tmp_path / "after/report.html").read_text("utf-8")
    assert all(line.strip().partition(": ")[2] in page for line in done.lines[1:])
    assert cli.main(["report", "compare", before, after]) == 0


@pytest.mark.parametrize(
    ("code", "status", "was", "expected"),
    [
        (1, "fail", "fail", 0),
        (1, "fail", "pass", 1),
        (4, "fail", "fail", 4),
        (130, "pass", "pass", 130),
        (1, "miss", "miss", 1),
        (0, "pass", "fail", 0),
    ],
)
def test_only_new_failures_fail_the_run(code: int, status: str, was: str, expected: int) -> None:
    found = one(status, was)
    assert compare.exit_code(code, found, new_only=True) == expected
    assert compare.exit_code(code, found, new_only=False) == code


def test_new_since_when() -> None:
    with pytest.raises(UsageError, match="needs --baseline"):
        parse(["--new-failures-only"])
    wishes = parse(["--baseline", "r.json", "--new-failures-only"]).wishes
    assert wishes == options.Wishes(baseline=Path("r.json"), new_only=True)


def test_every_status_has_a_place() -> None:
    for was in Status:
        for now in Status:
            found = one(now.value, was.value)
            fine = now.value in ("pass", "skip", "xfail")
            assert fine or found.new or found.still
            assert not (found.new and found.still)
