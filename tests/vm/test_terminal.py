"""What a person at a terminal does with a real machine: enter it, debug it, run a command in it."""

import os
import re
import time
from pathlib import Path
from typing import Any

import pexpect
import pytest

import real
from harness import proc
from harness.machine import standing
from harness.model import ROOT
from real import Run

pytestmark = pytest.mark.vm

_DEADLINE = 300.0


def terminal(*words: str) -> "pexpect.spawn[Any]":
    environment = {**os.environ, "TERM": "dumb"}
    options: dict[str, Any] = {"cwd": str(ROOT), "env": environment, "encoding": "utf-8"}
    command, *before = real.RUN
    return pexpect.spawn(command, [*before, *words], timeout=_DEADLINE, **options)


def run(*words: str) -> proc.Result:
    return proc.run([*real.RUN, *words], cwd=ROOT, check=None, timeout=_DEADLINE)


def test_a_failure_leaves_a_machine_that_can_be_entered(tmp_path: Path) -> None:
    """One second is too short for this test, in emulation at least for its many programs."""
    reports = f"--reports={tmp_path}"
    done = run("--timeout", "1", "--no-teardown", reports, "lsm_scale/nothing_leaks")
    assert Run.of(done.returncode, done.stdout, tmp_path).code == 1
    found = standing.current()
    assert found is not None, done.stdout
    try:
        assert f"kill {found.keeper}" in done.stdout
        assert run("--no-teardown", "lsm_update").returncode == 2, "there is one door"
        shell = terminal("--enter")
        shell.expect("krsi# ")
        shell.sendline("echo a$((40 + 2))b; hostname")
        shell.expect("a42b")
        shell.expect("krsi-krsi")
        shell.expect("krsi# ")
        shell.send("\x1d")
        shell.expect("still up")
        shell.expect(pexpect.EOF)
        shell.close()
        assert shell.exitstatus == 0
        assert found.alive
    finally:
        os.kill(found.keeper, 15)
    while Path(f"/proc/{found.keeper}").exists():
        time.sleep(0.1)
    assert not Path(found.door).exists()
    assert standing.current() is None


def test_gdb_has_the_machine_from_its_first_instruction(tmp_path: Path) -> None:
    """It stops in a function of the series while a test runs, and lets it go on."""
    gdb = terminal("--gdb", f"--reports={tmp_path}", "lsm_attach/pin_keeps")
    for said in ("hbreak start_kernel", "continue"):
        gdb.expect(re.escape("(gdb) "))
        gdb.sendline(said)
    gdb.expect(r"start_kernel \(\) at init/main.c")
    gdb.sendline("delete breakpoints")
    gdb.expect("y or n")
    gdb.sendline("y")
    for said in ("hbreak bpf_lsm_init", "detach", "quit"):
        gdb.expect(re.escape("(gdb) "))
        gdb.sendline(said)
    gdb.expect("1 passed")
    gdb.expect(pexpect.EOF)
    gdb.close()
    assert gdb.exitstatus == 0
    assert (tmp_path / "latest/results.json").is_file()


def test_the_exit_status_of_a_command_is_ours() -> None:
    done = run("--cmd", "uname -r; echo complaint >&2; exit 255")
    assert done.returncode == 255
    assert "krsi" in done.stdout
    assert "complaint" in done.stdout
