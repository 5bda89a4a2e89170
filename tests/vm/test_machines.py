"""-j 2 on real machines: each test in one that booted as it wants, whatever becomes of a worker."""

import itertools
import os
import re
import signal
import time
from pathlib import Path

import pytest

import real
from harness import proc
from harness.model import ROOT, Status
from harness.run import selftests
from harness.verdicts.verdict import FINE
from real import Run

pytestmark = pytest.mark.vm

_DEADLINE = 600.0
_BEGUN = re.compile(r"krsi: begin (\S+)")


def command(reports: Path, *names: str) -> list[str | Path]:
    return [*real.RUN, "-j", "2", "--reports", reports, *names]


def items_of(*names: str) -> set[str]:
    return {item.name for item in selftests.choose(selftests.discover(), names)}


def test_a_test_has_the_kernel_options_that_it_wants(tmp_path: Path) -> None:
    names = ("lsm_after_lsms", "lsm_enforce", "lsm_order", "lsm_query")
    log = tmp_path / "log"
    booted: dict[str, real.Machine] = {}
    with proc.spawn(command(tmp_path, *names), cwd=ROOT, log=log) as child:
        while child.poll() is None:
            booted |= {each.console.name: each for each in real.machines().values()}
            time.sleep(0.5)
    found = Run.of(child.returncode, log.read_text("utf-8"), tmp_path)
    assert found.code == 0
    assert found.items.keys() == items_of(*names)
    wanted = {test.name: test.options for test in selftests.discover()}
    every = set(itertools.chain(*wanted.values()))
    ran = []
    for console in found.consoles:
        for name in _BEGUN.findall((found.folder / console).read_text("utf-8", "replace")):
            ran.append(name)
            assert set(booted[console].options) & every == set(wanted[name])
    assert sorted(ran) == sorted(names), "each once"
    assert {name.rpartition("-gw")[2][0] for name in found.consoles} == {"0", "1"}


def test_a_worker_is_killed_while_its_machine_runs_a_test(tmp_path: Path) -> None:
    """What it had begun is MISS, what it had reported stands, and its machine goes with it."""
    log = tmp_path / "log"
    names = ("lsm_order", "lsm_scale", "lsm_update")
    before = real.machines()
    with proc.spawn(command(tmp_path, *names), cwd=ROOT, log=log) as child:
        real.wait_for("PASSED lsm_scale/full_hook[krsi]", child, log)
        os.kill(real.worker_of(child.pid, "lsm_scale"), signal.SIGKILL)
        assert child.wait(_DEADLINE) == 1, log.read_text("utf-8")
    assert real.machines().keys() <= before.keys()
    found = Run.of(1, log.read_text("utf-8"), tmp_path)
    assert found.results.exit_code == 1
    assert found.items.keys() == items_of(*names)
    lost = {name for name, item in found.items.items() if item.status is Status.MISS}
    assert "lsm_scale" in lost
    assert lost < items_of("lsm_scale")
    assert all(item.status in FINE for name, item in found.items.items() if name not in lost)
    passed = set(re.findall(r"PASSED (\S+)\[krsi\]", found.output))
    assert passed == {name for name, item in found.items.items() if item.status is Status.PASS}
