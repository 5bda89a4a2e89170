"""pytest's side: items, outcomes, words and exit codes, without a machine."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import InfraError
from harness.model import ROOT, Life, Status
from harness.run import runtests
from harness.run.options import Options, pytest_arguments
from harness.run.plugin import Plugin
from harness.run.selftests import Item, Selftest
from harness.verdicts.splat import Splat
from harness.verdicts.verdict import Verdict

TEST = Selftest("lsm_x", ("a", "b"), ROOT / "lsm_x.c")
SPLAT = Splat("warning", "WARNING: x", "lsm_x/a", 1, ("WARNING: x", " foo+0x1/0x2"))


class FakeSession:
    """Hands out prepared verdicts and notes what was asked."""

    def __init__(self, verdicts: dict[str, Verdict], items: Sequence[Item]) -> None:
        self.verdicts = verdicts
        self.items = items
        self.asked: list[str] = []
        self.begun = 1
        self.closed = 0
        self.error: InfraError | None = None
        self.release = "6.12.1"
        self.notes = ["shutdown took longer than 15 s"]
        self.strays: tuple[Splat, ...] = ()
        self.consoles: list[Path] = []
        self.machines: tuple[Life, ...] = ()

    def verdict(self, item: Item) -> Verdict:
        self.asked.append(item.name)
        return self.verdicts.get(item.name, Verdict(Status.PASS, seconds=1.5))

    def next_round(self) -> None:
        self.begun += 1
        self.verdicts = {}

    @property
    def rounds(self) -> tuple[dict[Item, Verdict], ...]:
        return ({},)

    def complete(self) -> dict[Item, Verdict]:
        return {}

    def close(self) -> None:
        self.closed += 1


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def options(**changes: Any) -> Options:
    settings: dict[str, Any] = {
        "suite": "krsi",
        "variants": ("krsi",),
        "names": (),
        "expression": "",
        "stop_early": False,
        "list_only": False,
        "shell": False,
        "accel": "tcg",
        "timeout": None,
    }
    return Options(**(settings | changes))


def run(
    folder: Path,
    verdicts: dict[str, Verdict] | None = None,
    variants: Sequence[str] = ("krsi",),
    repeat: int = 1,
    until_fail: bool = False,
    **changes: Any,
) -> tuple[int, Plugin]:
    """Run pytest in this process with our plugin and prepared verdicts."""

    def make(_variant: str, items: Sequence[Item]) -> Any:
        return FakeSession(verdicts or {}, items)

    ours = Plugin(
        dict.fromkeys(variants, TEST.items), [TEST], make, repeat=repeat, until_fail=until_fail
    )
    arguments = pytest_arguments(options(**changes), folder)
    return int(pytest.main(arguments, plugins=[ours])), ours


def test_all_passed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, ours = run(tmp_path)
    out = capsys.readouterr().out
    assert code == 0
    assert "collected 3 items" in out
    assert "lsm_x/a[krsi] PASSED" in out
    assert "lsm_x[krsi] PASSED" in out
    assert "3 passed" in out
    assert "krsi: shutdown took longer" in out
    assert ours.sessions["krsi"].closed == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("verdict", "word", "summary"),
    [
        (Verdict(Status.CRASH, "boom"), "CRASH", "CRASH lsm_x/a[krsi] - boom"),
        (Verdict(Status.HANG, "slow"), "HANG", "HANG lsm_x/a[krsi] - slow"),
        (Verdict(Status.MISS, "gone"), "MISS", "MISS lsm_x/a[krsi] - gone"),
        (Verdict(Status.FAIL, "bad", ("t.c:1: x",)), "FAIL", "FAIL lsm_x/a[krsi] - bad"),
        (Verdict(Status.SPLAT, "w", (), (SPLAT,)), "SPLAT", "SPLAT lsm_x/a[krsi] - w"),
    ],
)
def test_failures_are_called_by_their_names(
    verdict: Verdict, word: str, summary: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = run(tmp_path, {"lsm_x/a": verdict})
    out = capsys.readouterr().out
    assert code == 1
    assert f"lsm_x/a[krsi] {word}" in out
    assert summary in out
    assert "1 failed, 2 passed" in out
    assert "Traceback" not in out
    assert all(line in out for line in (*verdict.details, *(s.lines[1] for s in verdict.splats)))


def test_skips_and_known_failures_do_not_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdicts = {
        "lsm_x/a": Verdict(Status.SKIP, "no CPU"),
        "lsm_x/b": Verdict(Status.XFAIL, "a gap"),
    }
    code, _ = run(tmp_path, verdicts)
    out = capsys.readouterr().out
    assert code == 0
    assert "SKIPPED [1] lsm_x/a[krsi]: no CPU" in out
    assert "XFAIL lsm_x/b[krsi] - a gap" in out


def test_variants_come_one_after_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, ours = run(tmp_path, variants=("krsi", "upstream"))
    out = capsys.readouterr().out
    assert code == 0
    assert out.index("lsm_x[krsi]") < out.index("lsm_x/a[upstream]")
    assert ours.sessions["krsi"].closed > 1  # type: ignore[attr-defined]


def test_expressions_select_before_anything_boots(tmp_path: Path) -> None:
    _, ours = run(tmp_path, variants=("krsi", "upstream"), expression="x/a and upstream")
    assert list(ours.sessions) == ["upstream"]
    assert [item.name for item in ours.sessions["upstream"].items] == ["lsm_x/a"]  # type: ignore[attr-defined]


def test_nothing_selected(tmp_path: Path) -> None:
    code, ours = run(tmp_path, expression="nothing")
    assert code == pytest.ExitCode.NO_TESTS_COLLECTED
    assert ours.sessions == {}


def test_stop_at_the_first_failure(tmp_path: Path) -> None:
    code, ours = run(tmp_path, {"lsm_x/a": Verdict(Status.FAIL, "bad")}, stop_early=True)
    assert code == 1
    assert ours.sessions["krsi"].asked == ["lsm_x/a"]  # type: ignore[attr-defined]


def test_list_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, ours = run(tmp_path, list_only=True)
    out = capsys.readouterr().out.splitlines()
    assert out[:3] == ["lsm_x/a[krsi]", "lsm_x/b[krsi]", "lsm_x[krsi]"]
    assert ours.sessions["krsi"].asked == []  # type: ignore[attr-defined]


def test_rounds_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first round of each kernel fails, the second one does not, in one session."""
    variants = ("krsi", "upstream")
    code, ours = run(tmp_path, {"lsm_x/b": Verdict(Status.FAIL, "bad")}, variants, repeat=2)
    out = capsys.readouterr().out
    assert code == 1
    lines = [line.split()[0:2] for line in out.splitlines() if "] " in line and "%" in line]
    names = ("lsm_x/a", "lsm_x/b", "lsm_x")
    expected = [f"{n}[{v}#{r}]" for v in variants for r in (1, 2) for n in names]
    assert [name for name, _ in lines] == expected
    assert [word for _, word in lines[:6]] == ["PASSED", "FAIL", *["PASSED"] * 4]
    for session in ours.sessions.values():
        assert session.begun == 2  # type: ignore[attr-defined]
        assert session.items == TEST.items  # type: ignore[attr-defined]


def test_the_round_that_fails_is_the_last_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, ours = run(tmp_path, {"lsm_x/a": Verdict(Status.FAIL, "bad")}, repeat=50, until_fail=True)
    assert code == 1
    assert "round 1 failed" in capsys.readouterr().out
    assert ours.sessions["krsi"].asked == ["lsm_x/a", "lsm_x/b", "lsm_x"]  # type: ignore[attr-defined]
    code, ours = run(tmp_path, repeat=5, until_fail=True)
    assert code == 0
    assert ours.sessions["krsi"].begun == 5  # type: ignore[attr-defined]


def test_the_same_crash_is_said_to_be_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(SPLAT, title="WARNING: y", lines=("WARNING: y", " bar+0x1/0x2"))
    reached = {
        "lsm_x/a": Verdict(Status.SPLAT, "w", (), (SPLAT,)),
        "lsm_x/b": Verdict(Status.SPLAT, "w", (), (replace(SPLAT, section="lsm_x/b"),)),
        "lsm_x": Verdict(Status.SPLAT, "w", (), (other,)),
    }
    found = {item: reached[item.name] for item in TEST.items}
    monkeypatch.setattr(FakeSession, "complete", lambda _: found)
    run(tmp_path, reached)
    out = capsys.readouterr().out
    said = out[out.index("the same crash 2 times") :].splitlines()
    assert said[1:4] == ["warning in foo", "  lsm_x/a[krsi]", "  lsm_x/b[krsi]"]
    assert "same crash" not in "".join(said[1:])


@pytest.mark.parametrize(
    ("answer", "infra", "strays", "code"),
    [
        (0, False, False, 0),
        (0, False, True, 1),
        (1, False, False, 1),
        (1, True, False, 4),
        (2, False, False, 130),
        (2, True, False, 130),
        (3, False, False, 4),
        (4, False, False, 2),
        (5, False, False, 2),
    ],
)
def test_exit_codes(answer: int, infra: bool, strays: bool, code: int) -> None:
    assert runtests.exit_code(answer, infra=infra, strays=strays) == code
