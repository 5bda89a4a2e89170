"""Files that a guest has made: read in bounds, whatever they are."""

import os
from pathlib import Path

import pytest

from harness.verdicts import files


def test_a_part_and_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\nthr")
    part = files.read(path, 100, 4)
    assert part == files.Part(b"two\nthr", 11)
    assert part.lines == files.Part(b"two\n", 8)
    assert files.read(path, 100, part.lines.end).data == b"thr"
    assert files.size(path) == 11


def test_of_a_large_file_only_the_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.write(b"begin\n")
        file.truncate(300_000_000)
        file.seek(0, os.SEEK_END)
        file.write(b"\nend\n")
    part = files.read(path, 1000)
    assert part.data.startswith(b"begin\n")
    assert part.data.endswith(b"\nend\n")
    assert len(part.data) < 1100
    assert part.end == 300_000_005
    assert part.left_out == 300_000_005 - 1000


def test_what_is_no_regular_file_is_empty(tmp_path: Path) -> None:
    """A pipe that nobody writes to would block for ever, /dev/zero has no end."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "other").write_bytes(b"what somebody else has said")
    (tmp_path / "link to other").symlink_to("other")
    (tmp_path / "folder").mkdir()
    for name in "pipe", "link", "link to other", "folder", "nothing":
        assert files.read(tmp_path / name, 1000, 7) == files.Part(b"", 7)
    assert files.size(tmp_path / "nothing") == -1


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"a\r\nb\rc", "a\nb\ufffdc"),
        (b"\x1b[31mred\x07\0", "\ufffd[31mred\ufffd\ufffd"),
        (b"\xff\xc3(", "\ufffd\ufffd("),
        ("\u2028\u202e\u0085é\t".encode(), "\ufffd\ufffd\ufffdé\t"),
    ],
)
def test_no_order_to_a_terminal_is_left(data: bytes, text: str) -> None:
    assert files.text(data) == text
