"""SIGTERM in the middle of a run: what was done is reported, the rest is MISS; nothing is left."""

import os
import signal
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from harness import proc, report
from harness.model import ROOT, Status

pytestmark = pytest.mark.vm

_RUN = [sys.executable, str(ROOT / "run_tests.py")]


def machines() -> set[int]:
    """The processes of QEMU that run with a console in our reports."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"qemu-system-x86_64") and str(ROOT).encode() in b" ".join(words):
            found.add(int(folder.name))
    return found


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_what_was_done_is_reported(jobs: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    before = machines()
    with proc.spawn([*_RUN, "-j", jobs, "lsm_update", "lsm_scale"], cwd=ROOT, log=log) as child:
        while "PASSED" not in log.read_text():
            assert child.poll() is None, log.read_text()
        os.kill(child.pid, signal.SIGTERM)
        assert child.wait(60) == 130, log.read_text()
    assert machines() <= before
    said = log.read_text().splitlines()
    folder = ROOT / next(line for line in reversed(said) if line.startswith("report: "))[8:]
    results = report.load(folder / "results.json")
    assert results.exit_code == 130
    assert {Status.PASS, Status.MISS} <= {item.status for item in results.items}
    assert ET.parse(folder / "junit.xml").getroot().findall(".//testcase")
