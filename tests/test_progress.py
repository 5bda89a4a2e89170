"""Progress is the last line of a log that grows."""

from pathlib import Path

import pytest

from harness import progress


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        ("  CC      mm/mmap.o\n", "CC mm/mmap.o"),
        ("one\n  LD   two", "LD two"),
        ("x" * 9000 + "\n  AR  end.a\n", "AR end.a"),
        ("  1 %\r  2 %", "2 %"),
        ("\x1b]0;mine\a\x1b[2Jdone\n", "�]0;mine��[2Jdone"),
    ],
)
def test_the_last_line(tmp_path: Path, text: str, line: str) -> None:
    log = tmp_path / "log"
    log.write_text(text, encoding="utf-8")
    assert progress.last_line(log) == line


def test_a_log_that_is_not_there_yet(tmp_path: Path) -> None:
    assert progress.last_line(tmp_path / "none") == ""


def test_plain_lines_where_there_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    log.write_text("  CC      [x].o\n", encoding="utf-8")
    with progress.watching("krsi: kernel", log, period=0.0) as tick:
        tick()
    assert capsys.readouterr().out == "krsi: kernel 0:00  CC [x].o\nkrsi: kernel: 0:00\n"


def test_few_plain_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.watching("krsi: kernel", tmp_path / "log") as tick:
        for _ in range(100):
            tick()
    assert capsys.readouterr().out == "krsi: kernel: 0:00\n"
