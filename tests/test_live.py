"""The live view: what it reads out of logs and reports, and that it spoils no line of pytest's."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pexpect
import pytest
from rich.console import Console

from harness.model import ROOT
from harness.run import live
from harness.run.live import Above, View

BOOT = "[    0.100000] Linux version 6.12\n[    1.000000] Run /init\n"
TEST = (
    BOOT + "[    2.0] krsi: begin lsm_x\n[    2.000000] lsm_tests: lsm_x/a\n[    3.000000] hello\n"
)


@pytest.mark.parametrize(
    ("log", "before", "phase", "line"),
    [
        ("", "", "boots", ""),
        (BOOT, "", "boots", "Run /init"),
        (TEST, "", "lsm_x/a", "hello"),
        ("[    4.000000] flood\n", "lsm_x/a", "lsm_x/a", "flood"),
        (TEST + "[    5.000000] krsi: end lsm_x\n", "", "between tests", "hello"),
        (TEST + "[    6.000000] reboot: Power down\n", "", "ended", "reboot: Power down"),
    ],
)
def test_what_a_log_tells(log: str, before: str, phase: str, line: str) -> None:
    sight = live.look("krsi", log, before)
    assert (sight.phase, sight.line) == (phase, line)


def test_of_a_workers_machines_the_latest_is_shown() -> None:
    names = ("krsi-gw0", "krsi-gw0-2", "upstream-gw1", "krsi-gw1-2")
    consoles = [(Path(f"console-{name}.log"), float(n)) for n, name in enumerate(names)]
    found = live.newest([*consoles, (Path("console-note.txt"), 9.0)])
    assert {name: path.name for name, path in found.items()} == {
        "krsi gw0": "console-krsi-gw0-2.log",
        "krsi gw1": "console-krsi-gw1-2.log",
    }
    assert list(live.newest([(Path("console-krsi.log"), 1.0)])) == ["krsi"]


def drawn(view: View, width: int = 60) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(view)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined, no-any-return]


def test_it_is_a_few_lines(tmp_path: Path) -> None:
    view = View(tmp_path)
    assert drawn(view)[0].split() == ["all", "collecting", "0:00"]
    view.pytest_xdist_node_collection_finished(["a", "b", "c"])
    for when, failed in (("setup", False), ("call", True), ("call", False)):
        report: Any = SimpleNamespace(when=when, failed=failed)
        view.pytest_runtest_logreport(report)
    (tmp_path / "console-krsi-gw0.log").write_text(TEST + f"[    3.1] {'x' * 500}\n")
    (tmp_path / "console-krsi-gw1.log").write_text(BOOT)
    first, second, third = drawn(view)
    assert first.split() == ["all", "2", "of", "3,", "1", "failed", "0:00"]
    assert second.startswith("krsi gw0  lsm_x/a")
    assert second.rstrip().endswith("…")
    assert len(second) <= 60
    assert third.split()[:4] == ["krsi", "gw1", "boots", "0:00"]


def test_only_somebody_who_looks_is_shown_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert live.wanted({}, terminal=True)
    assert not live.wanted({}, terminal=False)
    for name, value in (("NO_COLOR", "1"), ("CI", "true"), ("TERM", "dumb")):
        assert not live.wanted({name: value}, terminal=True)
    with live.showing(tmp_path) as viewers:
        print("plain")
        assert viewers == []
    assert capsys.readouterr().out == "plain\n"


def test_lines_stay_whole() -> None:
    console = Console(file=io.StringIO(), width=20)
    above = Above(console, sys.stdout)
    print("a line that is longer than the terminal is wide", "[b]", "\033[32mP", end="", file=above)
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]
    print("ASSED\033[0m", file=above)
    print("rest", end="", file=above)
    above.finish()
    said = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert said == ["a line that is longer than the terminal is wide [b] PASSED", "rest"]


def demo(folder: str) -> None:
    """Run pytest with the view, as run_tests.py does; for a terminal of its own."""
    place = Path(folder)
    (place / "test_it.py").write_text(
        "import time\ndef test_a(): time.sleep(1)\ndef test_b(): assert 0\n"
    )
    (place / "console-krsi.log").write_text(TEST)
    with live.showing(place) as viewers:
        words = ["-v", "-c", "/dev/null", f"--rootdir={folder}", "-p", "no:cacheprovider", folder]
        pytest.main(words, plugins=viewers)
    print("the end", flush=True)


def test_on_a_terminal_it_is_below_what_pytest_says(tmp_path: Path) -> None:
    code = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]; import test_live"
    child = pexpect.spawn(
        sys.executable,
        ["-c", f"{code}; test_live.demo({str(tmp_path)!r})"],
        env={"TERM": "xterm", "PATH": "/usr/bin:/bin"},
        encoding="utf-8",
        timeout=60,
        dimensions=(40, 100),
    )
    child.expect("0 of 2")
    child.expect(r"lsm_x/a")
    child.expect("hello")
    child.expect(r"test_a .*PASSED.*\n")
    child.expect(r"test_b .*FAILED.*\n")
    child.expect(r"1 failed.*1 passed")
    child.expect("the end")
    assert child.before.endswith("\x1b[2K"), "nothing is left of it"
    child.expect(pexpect.EOF)
