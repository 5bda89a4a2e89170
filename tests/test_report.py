"""What a run leaves behind: its folder, and traces with places."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness import report
from harness.model import BuildPaths
from harness.verdicts.splat import Frame, Splat

SPLAT = Splat(
    "warning",
    "WARNING: x",
    "lsm_x/a",
    7,
    ("WARNING: x", "RIP: 0010:foo+0x12/0x60", " ? bar+0x1/0x2", " bar+0x10/0x20", " zip+0x1/0x2"),
)


def test_write_leaves_no_partial_file(tmp_path: Path) -> None:
    report.write(tmp_path / "results.json", {"schema": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    assert json.loads((tmp_path / "results.json").read_text()) == {"schema": 1}


def test_folders_are_never_shared_and_latest_follows(tmp_path: Path) -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    first = report.new_folder(tmp_path / "reports", now)
    second = report.new_folder(tmp_path / "reports", now)
    assert first.name == "2026-01-02-030405"
    assert second.name == "2026-01-02-030405-2"
    for folder in (first, second):
        report.point_to_latest(folder)
        assert (tmp_path / "reports/latest").resolve() == folder


@pytest.mark.parametrize("text", [None, "", "[]", "{"])
def test_a_manifest_that_cannot_be_read_is_empty(text: str | None, tmp_path: Path) -> None:
    paths = BuildPaths(tmp_path)
    if text is not None:
        paths.manifest.write_text(text)
    assert report.read_manifest(paths) == {}
    paths.manifest.write_text('{"series": "abc"}')
    assert report.read_manifest(paths) == {"series": "abc"}


def test_annotate_puts_places_behind_frames() -> None:
    places = {
        Frame("foo", 0x12, 0x60, is_return=False): "a.c:1",
        Frame("bar", 0x10, 0x20, is_return=True): "b.c:2",
        Frame("bar", 0x1, 0x2, is_return=True): "b.c:3",
    }
    assert report.annotate(SPLAT, places).lines == (
        "WARNING: x",
        "RIP: 0010:foo+0x12/0x60 (a.c:1)",
        " ? bar+0x1/0x2 (b.c:3)",
        " bar+0x10/0x20 (b.c:2)",
        " zip+0x1/0x2",
    )


@pytest.mark.parametrize("content", [None, b"", b"\x7fELF and no more"])
def test_a_splat_survives_an_unreadable_vmlinux(content: bytes | None, tmp_path: Path) -> None:
    vmlinux = tmp_path / "vmlinux"
    if content is not None:
        vmlinux.write_bytes(content)
    assert report.Resolver(vmlinux)(SPLAT) == SPLAT
