"""The speed table: what counts as met, and a bare run that is really the same."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import InfraError
from harness.measure import speed
from harness.measure.speed import Figures, Stopwatch
from harness.model import VARIANTS

GOOD = Figures(
    host="tcg",
    kernel="krsi",
    one=(13.0, 12.0, 99.0),
    bare_one=(10.0, 10.0, 10.0),
    every=104.0,
    bare_every=100.0,
    two=65.0,
    tests=20,
    listing=(0.4, 0.49, 0.6),
    unchanged=2.9,
)


def test_all_is_met_at_the_limit() -> None:
    assert [row.met for row in speed.rows(GOOD)] == [True] * 5
    assert "missed" not in speed.page(GOOD)
    assert "13.0 s / 10.0 s = 1.30" in speed.page(GOOD)


@pytest.mark.parametrize(
    ("number", "worse"),
    [
        (0, {"bare_one": (9.9, 9.9, 9.9)}),
        (1, {"bare_every": 99.9}),
        (1, {"tests": 19}),
        (2, {"two": 65.1}),
        (3, {"listing": (0.5, 0.5, 0.1)}),
        (4, {"unchanged": 3.0}),
    ],
)
def test_a_goal_is_missed_beyond_it(number: int, worse: dict[str, object]) -> None:
    figures = replace(GOOD, **worse)  # type: ignore[arg-type]
    assert [row.met for row in speed.rows(figures)].index(False) == number
    assert speed.page(figures).count("**missed**") == 1


def test_a_bare_run_has_the_same_kernel_memory_and_binary() -> None:
    words = speed.bare_argv(Path("/v/vng"), VARIANTS["debug"], "tcg", ("lsm_a", "lsm_b"))
    assert "--memory=3G" in words
    assert "--disable-kvm" in words
    assert words[-2].endswith("/build/debug/bin/lsm_tests lsm_a lsm_b")
    assert words[-1] == "--qemu-opts=-accel tcg,thread=single"
    assert "--disable-kvm" not in speed.bare_argv(Path("/v/vng"), VARIANTS["krsi"], "kvm", ())


def test_what_did_not_end_well_is_not_timed() -> None:
    watch = Stopwatch(VARIANTS["krsi"], "tcg", Path("/bin/false"))
    with pytest.raises(InfraError, match="ended with status 1"):
        watch.bare("lsm_a")


def test_a_missed_goal_is_said_by_the_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "ROOT", tmp_path)
    monkeypatch.setattr(speed, "PAGE", tmp_path / "SPEED.md")
    for figures, status in ((GOOD, 0), (replace(GOOD, unchanged=9.0), 1)):
        monkeypatch.setattr(speed, "measure", lambda *_, found=figures: found)
        assert speed.run(VARIANTS["krsi"], 1) == status
        assert (tmp_path / "SPEED.md").read_text() == speed.page(figures)
