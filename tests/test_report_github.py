"""GitHub: annotations where the source is, and a summary that nothing printed can break out of."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

import runs
from harness.model import ROOT
from harness.report import compare, finish, github
from harness.report.github import Place
from harness.report.options import Wishes


def there(_: str) -> bool:
    return True


def test_an_assertion_is_shown_in_the_view_of_the_series() -> None:
    item = runs.every_status()[2]
    assert github.place(item, there) == Place("selftests/prog_tests/lsm_lifetime.c", 542)
    assert github.place(item, lambda _: False) is None
    assert (ROOT / "selftests/prog_tests/lsm_lifetime.c").is_file()


def test_a_splat_is_shown_where_the_trace_is_in_the_series() -> None:
    ours = replace(
        runs.SPLAT, lines=(*runs.SPLAT.lines, " bpf_lsm_run+0x1/0x2 (security/bpf/run.c:31)")
    )
    item = runs.item("lsm_x", "splat", splats=(ours,))
    assert github.place(item, there) == Place("security/bpf/run.c", 31)
    assert github.place(runs.item("lsm_x", "splat", splats=(runs.SPLAT,)), there) is None


def test_annotations() -> None:
    lines = list(github.annotations(runs.run(*runs.every_status()[:4]), there))
    assert lines == [
        "::error file=selftests/prog_tests/lsm_lifetime.c,line=542,"
        "title=lsm_lifetime/netns failed on krsi::" + runs.FAILED
    ]
    stray = replace(runs.SPLAT, section="")
    kernels = (runs.kernel(strays=(stray,)), runs.kernel("debug", error="did not boot"))
    beside = list(github.annotations(runs.run(kernels=kernels), there))
    assert beside[0].startswith("::error title=warning on krsi during boot::-----")
    assert beside[1] == "::error title=debug was not tested::did not boot"


@pytest.mark.parametrize(
    "hostile", ["a\n::set-env name=X::y", "a\r::stop-commands::z", "100%0A::error::x", "a,b:c::d"]
)
def test_nothing_printed_is_a_command(hostile: str) -> None:
    item = runs.item(f"lsm_x/{hostile}", "fail", message=hostile, diagnostics=(f"{hostile}:FAIL:",))
    (line,) = github.annotations(runs.run(item), there)
    assert len(line.splitlines()) == 1
    match = re.fullmatch(r"::error title=([^:,]*)::(.*)", line)
    assert match
    assert "%250A" in line or "%0A" not in hostile


def test_the_summary() -> None:
    old = runs.run(runs.item("lsm_lifetime/netns"))
    new = runs.run(*runs.every_status()[:4])
    text = github.summary(new, compare.compare(old, new, baseline="before"))
    assert text.startswith("## ❌ KRSI krsi: 2 of 4 items failed\n")
    assert "| krsi | 6.12.117-krsi | 2 passed, 2 failed |" in text
    assert "- new failure: `lsm_lifetime/netns[krsi]: pass → fail:" in text
    assert "./run_tests.py lsm_lifetime/netns" in text


def test_nothing_printed_ends_a_block_or_grows_without_bound() -> None:
    hostile = "````\n<script>alert(1)</script>\n# title | `x`" + "y" * 10_000
    items = [runs.item(f"lsm_{n}", "fail", message=hostile) for n in range(500)]
    kernels = (runs.kernel(release="<img> | x"),)
    text = github.summary(runs.run(*items, kernels=kernels), None)
    assert len(text.encode()) <= github.SUMMARY_LIMIT
    assert "`````text\n````\n<script>" in text
    assert "| krsi | &lt;img> \\| x |" in text
    assert "450 more failures are in report.html" in text


@pytest.mark.parametrize("actions", [True, False])
def test_only_github_is_told(tmp_path: Path, *, actions: bool) -> None:
    summary = tmp_path / "summary.md"
    environ = {
        "GITHUB_STEP_SUMMARY": str(summary),
        **({"GITHUB_ACTIONS": "true"} if actions else {}),
    }
    found = runs.run(*runs.every_status()[:4])
    done = finish.finish(tmp_path, found, Wishes(), None, whole=True, environ=environ)
    assert summary.exists() == actions
    assert any(line.startswith("::error") for line in done.lines) == actions


def test_a_run_is_finished_in_view_of_its_baseline(tmp_path: Path) -> None:
    found = runs.run(*runs.every_status()[:4])
    old = finish.Baseline(tmp_path / "results.json", found)
    wishes = Wishes(baseline=old.path, new_only=True)
    done = finish.finish(tmp_path, found, wishes, old, whole=True, environ={})
    assert done.exit_code == 0
    assert done.lines[-1] == "no failure is new: the exit status is 0"
    assert "not ok" in done.ktap
    files = {path.name for path in tmp_path.iterdir()}
    assert {"results.json", "junit.xml", "results.ktap", "report.html"} <= files
    assert "2 items passed, 2 old failures" in (tmp_path / "report.html").read_text("utf-8")
    done = finish.finish(
        tmp_path, found, replace(wishes, new_only=False), old, whole=True, environ={}
    )
    assert done.exit_code == 1
