"""Every failure is one sentence on stderr and the right exit status."""

import argparse
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import cli, packages
from harness.errors import BuildError, InfraError, KrsiError, UsageError
from harness.kernel import build
from harness.model import ROOT


@pytest.mark.parametrize(
    ("error", "status"), [(UsageError, 2), (BuildError, 3), (InfraError, 4), (KrsiError, 4)]
)
def test_statuses(
    error: type[KrsiError],
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(request: build.Request) -> None:
        raise error(f"no {request.variant.name} today.")

    monkeypatch.setattr(build, "kernel", fail)
    assert cli.main(["kernel", "--variant", "audit"]) == status
    assert capsys.readouterr().err == "krsi: no audit today.\n"


def test_an_unknown_variant(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["kernel", "--variant", "krsl"]) == 2
    assert "there is no variant 'krsl'" in capsys.readouterr().err


def test_kernel_src_that_is_no_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packages, "ensure", lambda *_: None)
    monkeypatch.setattr(build, "ROOM_FIRST", 1)
    monkeypatch.setattr(build, "ROOM_SOURCES", 1)
    monkeypatch.setattr(build, "ROOM_AGAIN", 1)
    assert cli.main(["kernel", "--kernel-src", str(tmp_path), "--build", str(tmp_path)]) == 2
    assert "is no Linux kernel" in capsys.readouterr().err


def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(request: build.Request) -> None:
        raise KeyboardInterrupt(request.variant.name)

    monkeypatch.setattr(build, "kernel", interrupt)
    assert cli.main(["kernel"]) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["dance"], ["kernel", "--fast"]])
def test_wrong_usage(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for word in ("make kernel", "KERNEL_SRC=", "make patches", "./run_tests.py", "exit status"):
        assert word in text


def test_a_callers_make_does_not_reach_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAKEFLAGS", "n -- VARIANT=none")
    monkeypatch.setenv("ARCH", "arm64")
    seen: dict[str, str] = {}
    monkeypatch.setattr(build, "kernel", lambda _: seen.update(os.environ))
    assert cli.main(["kernel"]) == 0
    assert "MAKEFLAGS" not in seen
    assert "ARCH" not in seen


def test_clean_leaves_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_BUILD", tmp_path)
    for name in ("krsi", "audit", "reports", "tree", "venv", "src-none"):
        (tmp_path / name).mkdir()
    assert cli._clean(argparse.Namespace()) == 0
    assert {path.name for path in tmp_path.iterdir()} - {"lock"} == {"src-none", "tree", "venv"}


def test_what_the_machine_refuses_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "build/x")

    monkeypatch.setattr(build, "kernel", full)
    assert cli.main(["kernel"]) == 4
    assert capsys.readouterr().err == "krsi: No space left on device: build/x\n"


def test_ctrl_c_in_make_leaves_no_child(tmp_path: Path) -> None:
    """The whole way: make, the harness, a build that hangs, Ctrl-C on the terminal."""
    marker = tmp_path / "pid"
    script = (
        "import signal, sys\n"
        # What runs these tests in the background may have told them to ignore Ctrl-C.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from harness import cli, proc\n"
        "from harness.kernel import build\n"
        f"hang = ['sh', '-c', 'echo $$ >{marker}; exec sleep 60']\n"
        "build.kernel = lambda request: proc.run(hang)\n"
        "sys.exit(cli.main(['kernel']))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, start_new_session=True, stderr=subprocess.PIPE
    ) as child:
        deadline = time.monotonic() + 20
        while not (marker.exists() and marker.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(child.pid, signal.SIGINT)
        assert child.wait(20) == 130
    assert not Path(f"/proc/{marker.read_text().strip()}").exists()
