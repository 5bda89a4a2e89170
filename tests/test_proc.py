"""Children end: all of them, in time, whatever they do."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from harness import proc
from harness.errors import BuildError, InfraError

# Ignores the polite signals, and so does its own child.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open(sys.argv[1], "w").write(f"{os.getpid()} {child.pid}")
time.sleep(60)
"""


def alive(pid: int) -> bool:
    """Whether a process still runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def test_output_and_status_come_back() -> None:
    done = proc.run(["sh", "-c", "echo out; echo err >&2; exit 3"], check=None)
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 3)
    assert not done.ok
    assert done.why == "failed with status 3: err"


def test_a_failure_raises_the_error_asked_for() -> None:
    with pytest.raises(BuildError, match=r"`sh -c .*failed with status 7: broken"):
        proc.run(["sh", "-c", "echo broken; exit 7"], check=BuildError)


def test_a_missing_command_is_named() -> None:
    with pytest.raises(InfraError, match="no-such-tool: no such command"):
        proc.run(["no-such-tool"])


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="nowhere: no such folder"):
        proc.run(["true"], cwd=tmp_path / "nowhere")


def test_input_is_fed_and_none_is_end_of_file() -> None:
    assert proc.run(["cat"], stdin="hello").stdout == "hello"
    assert proc.run(["cat"]).stdout == ""


def test_a_log_takes_both_streams_and_is_appended_to(tmp_path: Path) -> None:
    log = tmp_path / "deep/log"
    for word in ("one", "two"):
        done = proc.run(["sh", "-c", f"echo {word}; echo {word} >&2"], log=log)
        assert done.stdout == ""
    assert log.read_text(encoding="utf-8") == "one\none\ntwo\ntwo\n"


def test_the_deadline_ends_the_whole_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc.stop, "__defaults__", (0.1,))
    pids = tmp_path / "pids"
    done = proc.run([sys.executable, "-c", STUBBORN, pids], timeout=1.5, check=None)
    assert done.timed_out
    assert not done.ok
    assert "did not end within" in done.why
    assert wait_gone([int(pid) for pid in pids.read_text(encoding="ascii").split()])


def test_ctrl_c_ends_the_whole_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc.stop, "__defaults__", (0.2,))
    pids = tmp_path / "pids"

    def interrupt() -> None:
        while not pids.exists() or len(pids.read_text(encoding="ascii").split()) < 2:
            time.sleep(0.02)
        # Twice, as an impatient person does.
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.15)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        proc.run([sys.executable, "-c", STUBBORN, pids], timeout=30)
    thread.join()
    assert wait_gone([int(pid) for pid in pids.read_text(encoding="ascii").split()])


def test_ctrl_c_while_a_child_is_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[str]] = []
    real = subprocess.Popen

    def start(*args: Any, **options: Any) -> subprocess.Popen[str]:
        started.append(real(*args, **options))
        os.kill(os.getpid(), signal.SIGINT)
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    with pytest.raises(KeyboardInterrupt):
        proc.run(["sleep", "60"])
    assert started[0].poll() is not None


def test_a_spawned_child_is_gone_after_the_block() -> None:
    with proc.spawn(["sleep", "60"]) as child:
        assert child.poll() is None
    assert child.returncode == -signal.SIGINT


def test_progress_is_told_while_it_runs() -> None:
    ticks: list[float] = []
    proc.run(["sleep", "0.7"], tick=lambda: ticks.append(time.monotonic()))
    assert len(ticks) >= 2


def test_sigterm_unwinds_like_ctrl_c() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        proc.end_on_signals()
        with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_variables_come_on_top_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRSI_KEPT", "kept")
    done = proc.run(["sh", "-c", "echo $KRSI_KEPT $KRSI_NEW"], env={"KRSI_NEW": "new"})
    assert done.stdout == "kept new\n"
