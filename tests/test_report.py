"""What is left behind: results.json, folders, traces with places."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from harness import report
from harness.model import BuildPaths, Status
from harness.parity import Outcome
from harness.report import VariantRecord
from harness.selftests import Item
from harness.splat import Frame, Splat
from harness.verdict import Verdict

SPLAT = Splat(
    "warning",
    "WARNING: x",
    "lsm_x/a",
    7,
    ("WARNING: x", "RIP: 0010:foo+0x12/0x60", " ? bar+0x1/0x2", " bar+0x10/0x20", " zip+0x1/0x2"),
)
RECORD = VariantRecord(
    name="krsi",
    release="6.12.1",
    error="",
    notes=("slow",),
    consoles=(Path("/r/console-krsi.log"),),
    verdicts={
        Item("lsm_x", "a"): Verdict(Status.SPLAT, "why", ("said",), (SPLAT,), 1.5),
        Item("lsm_x"): Verdict(Status.PASS),
    },
    strays=(replace(SPLAT, section="boot"),),
    manifest={"series": "abc"},
)
NOON = datetime(2026, 1, 2, 12, 0, tzinfo=timezone(timedelta(hours=1)))


def test_results() -> None:
    content = report.results(
        [RECORD],
        suite="krsi",
        outcomes={"krsi": {"a": Outcome(Status.FAIL), "a/b": Outcome(Status.SKIP, "tired")}},
        accel="tcg (why)",
        cpus=4,
        started=NOON,
        seconds=3.14159,
        exit_code=1,
    )
    content = json.loads(json.dumps(content))
    assert content["schema"] == report.SCHEMA
    assert content["suite"] == "krsi"
    assert content["subtests"] == [
        {"name": "a/b", "variant": "krsi", "status": "skip", "why": "tired"}
    ]
    assert content["started"] == "2026-01-02T11:00:00+00:00"
    assert content["exit_code"] == 1
    environment = content["environment"]
    assert environment["accelerator"] == "tcg (why)"
    assert environment["cpus"] == 4
    assert environment["variants"]["krsi"] == {
        "release": "6.12.1",
        "error": "",
        "notes": ["slow"],
        "consoles": ["console-krsi.log"],
        "manifest": {"series": "abc"},
    }
    first, second = content["items"]
    assert (first["round"], second["round"]) == (1, 1)
    assert (first["name"], first["variant"], first["status"]) == ("lsm_x/a", "krsi", "splat")
    assert (first["seconds"], first["message"], first["diagnostics"]) == (1.5, "why", ["said"])
    assert first["splats"][0]["lines"][0] == "WARNING: x"
    assert (second["name"], second["status"], second["splats"]) == ("lsm_x", "pass", [])
    assert content["strays"][0]["section"] == "boot"


def test_results_of_several_rounds() -> None:
    record = replace(RECORD, earlier=({Item("lsm_x"): Verdict(Status.CRASH)},))
    content = report.results(
        [record], suite="krsi", outcomes={}, accel="", cpus=2, started=NOON, seconds=1, exit_code=1
    )
    found = [(item["name"], item["round"], item["status"]) for item in content["items"]]
    assert found == [
        ("lsm_x", 1, "crash"),
        ("lsm_x/a", 2, "splat"),
        ("lsm_x", 2, "pass"),
    ]


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
