"""results.ktap: our own strict reader finds in it what the run has found."""

from dataclasses import replace

import pytest

import runs
from harness.report import tap
from harness.report.results import Results
from harness.verdicts import ktap


def read(found: Results) -> ktap.Report:
    report = ktap.parse(tap.render(found))
    assert report.problems == ()
    return report


def test_the_text() -> None:
    items = (
        runs.item("lsm_x/a"),
        runs.item("lsm_x/b", "fail", message="no", diagnostics=("t.c:1: f:FAIL:x",)),
        runs.item("lsm_x", "fail", message="failed: b"),
        runs.item("lsm_y", "skip", message="tired"),
    )
    assert tap.render(runs.run(*items)).splitlines() == [
        "KTAP version 1",
        "1..2",
        "    KTAP version 1",
        "    # Subtest: lsm_x[krsi]",
        "    1..2",
        "    ok 1 a",
        "    #   t.c:1: f:FAIL:x",
        "    # fail: no",
        "    not ok 2 b",
        "# fail: failed: b",
        "not ok 1 lsm_x[krsi]",
        "ok 2 lsm_y[krsi] # SKIP tired",
    ]


def test_every_status_is_ok_or_not() -> None:
    flat = read(runs.run(*runs.every_status())).flat()
    good = {name: (result.ok, result.directive) for name, result in flat.items()}
    assert good["lsm_attach[krsi]/pin"] == (True, "")
    assert good["lsm_nomem[krsi]"] == (True, "SKIP")
    assert good["lsm_scale[krsi]/leaks"] == (False, "TIMEOUT")
    assert good["lsm_known[krsi]/x"] == (True, "XFAIL")
    # The whole was not asked for.
    assert good["lsm_known[krsi]"] == (True, "")
    assert good["lsm_race[krsi]"] == (False, "")
    for name in "lsm_race[krsi]/later", "lsm_race[krsi]/exit", "lsm_talk[krsi]":
        assert good[name] == (False, "")


def test_what_befell_a_kernel_is_not_ok() -> None:
    stray = replace(runs.SPLAT, section="")
    kernels = (runs.kernel(strays=(stray,)), runs.kernel("debug", error="did not boot"))
    report = read(runs.run(runs.item("lsm_x"), kernels=kernels))
    assert [result.ok for result in report.results] == [True, False, False]
    assert report.results[2].diagnostics == ("did not boot",)


def test_rounds_are_told_apart() -> None:
    names = [result.name for result in read(runs.rich()).results]
    assert "lsm_attach[krsi] round 1" in names
    assert "lsm_attach[krsi] round 2" in names


@pytest.mark.parametrize("hostile", ["ok 1 x", "Subtest: x", "running: x", "1..9", "x # SKIP y"])
def test_what_was_printed_is_no_result(hostile: str) -> None:
    item = runs.item(
        f"lsm_x/{hostile}", "fail", message=f"{hostile}\n{hostile}", diagnostics=(hostile,)
    )
    report = read(runs.run(item))
    assert [result.ok for result in report.flat().values()] == [False, False]
