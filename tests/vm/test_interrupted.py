"""SIGTERM in the middle of a run: what was done is reported, the rest is MISS; nothing is left."""

import os
import signal
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import real
from harness import proc
from harness.model import ROOT, Status
from real import Run

pytestmark = pytest.mark.vm


@pytest.mark.parametrize("impatient", [False, True])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_what_was_done_is_reported(jobs: str, impatient: bool, tmp_path: Path) -> None:
    log = tmp_path / "log"
    before = real.machines().keys()
    words = [*real.RUN, "-j", jobs, f"--reports={tmp_path}", "lsm_update", "lsm_scale"]
    with proc.spawn(words, cwd=ROOT, log=log) as child:
        real.wait_for("PASSED", child, log)
        os.kill(child.pid, signal.SIGTERM)
        if impatient:
            # The machines are being ended now.
            time.sleep(0.5)
            os.kill(child.pid, signal.SIGINT)
        assert child.wait(60) == 130, log.read_text()
    assert real.machines().keys() <= before
    found = Run.of(130, log.read_text(), tmp_path)
    assert found.results.exit_code == 130
    assert {Status.PASS, Status.MISS} <= {item.status for item in found.results.items}
    assert ET.parse(found.folder / "junit.xml").getroot().findall(".//testcase")
