"""What real machines have left when they were broken on purpose still means what it meant."""

import json
from pathlib import Path

import pytest

import replay
from harness.model import ROOT

RUNS = sorted(path.parent for path in replay.GOLDEN.glob("*/run.json"))
BOOTS = sorted(path.parent for path in replay.GOLDEN.glob("*/boot.log"))


def expected(folder: Path) -> object:
    return json.loads((folder / "expected.json").read_text("utf-8"))


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_runs(folder: Path) -> None:
    assert replay.verdicts(replay.evidence(folder)) == expected(folder)


@pytest.mark.parametrize("folder", BOOTS, ids=lambda folder: folder.name)
def test_boots(folder: Path) -> None:
    assert replay.of_boot((folder / "boot.log").read_text("utf-8")) == expected(folder)


def test_they_are_small_and_tell_nothing_of_the_host() -> None:
    kept = [path for path in replay.GOLDEN.rglob("*") if path.is_file()]
    assert len(RUNS) > 15
    assert len(BOOTS) == 2
    assert sum(path.stat().st_size for path in kept) < 200_000
    for path in kept:
        content = path.read_bytes()
        assert str(ROOT).encode() not in content, path
        assert b"/home/" not in content, path
        assert b"/build/" not in content, path
